-- What becomes of articles: who found them helpful, how often they are read,
-- which cases they solve, and what is missing.

-- ---- what readers say ----

CREATE TABLE csm.article_feedback (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    article_id bigint NOT NULL,
    user_id bigint,
    version integer,
    helpful boolean,
    solved boolean,
    rating smallint,
    comment text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT article_feedback_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT article_feedback_article_fkey FOREIGN KEY (article_id, tenant_id) REFERENCES csm.articles (id, tenant_id),
    CONSTRAINT article_feedback_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT article_feedback_user_key UNIQUE (article_id, user_id),
    CONSTRAINT article_feedback_something CHECK (num_nonnulls(helpful, solved, rating, comment) > 0),
    CONSTRAINT article_feedback_rating_check CHECK (rating BETWEEN 1 AND 5),
    CONSTRAINT article_feedback_comment_check CHECK (length(comment) BETWEEN 1 AND 4000)
);
CREATE INDEX article_feedback_user_idx ON csm.article_feedback (user_id) WHERE user_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.article_feedback');

CREATE POLICY article_feedback_select ON csm.article_feedback FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (user_id = csm.current_user_id() OR csm_private.article_allows(article_id, tenant_id, 'manage'));
GRANT SELECT ON csm.article_feedback TO csm_portal, csm_agent, csm_admin;
GRANT SELECT (id, tenant_id, article_id, version, helpful, solved, rating, created_at, updated_at) ON csm.article_feedback TO csm_reporter;

COMMENT ON TABLE csm.article_feedback IS 'What readers say of an article: one row a person, which he may change, and one each time for visitors who are not signed in; written by csm.rate_article()';
COMMENT ON COLUMN csm.article_feedback.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.article_feedback.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.article_feedback.article_id IS 'The article';
COMMENT ON COLUMN csm.article_feedback.user_id IS 'Who says it; NULL for a visitor';
COMMENT ON COLUMN csm.article_feedback.version IS 'Version of which he last said it';
COMMENT ON COLUMN csm.article_feedback.helpful IS 'Whether it helped; NULL: not said';
COMMENT ON COLUMN csm.article_feedback.solved IS 'Whether it solved the matter, so that no case is needed; NULL: not said';
COMMENT ON COLUMN csm.article_feedback.rating IS '1 (worst) to 5; NULL: not said';
COMMENT ON COLUMN csm.article_feedback.comment IS 'In words, up to 4,000 characters; NULL for nothing';
COMMENT ON COLUMN csm.article_feedback.created_at IS 'When it was first said';
COMMENT ON COLUMN csm.article_feedback.updated_at IS 'When it was last changed';
COMMENT ON POLICY article_feedback_select ON csm.article_feedback IS 'One''s own; all for staff of the base';

CREATE FUNCTION csm.rate_article(article_id bigint, helpful boolean DEFAULT NULL, rating integer DEFAULT NULL, solved boolean DEFAULT NULL,
    comment text DEFAULT NULL, source text DEFAULT NULL) RETURNS csm.article_feedback
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := coalesce(csm.current_tenant_id(), csm.guest_tenant_id());
    allowed CONSTANT integer := CASE WHEN me IS NULL THEN 10 ELSE 100 END;
    a csm.articles;
    f csm.article_feedback;
BEGIN
    SELECT * INTO a FROM csm.articles x WHERE x.id = article_id AND x.tenant_id = tenant;
    IF a.id IS NULL OR NOT csm_private.article_allows(a.id, a.tenant_id, 'read') OR a.state <> 'published' THEN
        RAISE EXCEPTION 'article % does not exist', coalesce(article_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'An article that you may not see, and one that is not published, are reported in the same way.';
    ELSIF num_nonnulls(helpful, rating, solved, nullif(btrim(comment), '')) = 0 THEN
        RAISE EXCEPTION 'nothing is said of article %', a.number USING ERRCODE = '22023', HINT = 'Give helpful, rating, solved or comment.';
    ELSIF rating NOT BETWEEN 1 AND 5 OR length(comment) > 4000 THEN
        RAISE EXCEPTION 'rating or comment is out of range' USING ERRCODE = '22023',
            HINT = 'A rating is 1 to 5, a comment has up to 4,000 characters.';
    ELSIF NOT csm_private.attempt('article feedback', tenant || ' ' || coalesce(me::text, 'guest ' || left(csm_private.source_of(source), 200)),
                                  allowed, '1 hour') THEN
        RAISE EXCEPTION 'too much was said of articles' USING ERRCODE = 'SM007',
            DETAIL = format('At most %s times an hour.', allowed), HINT = 'Try again later.';
    END IF;
    INSERT INTO csm.article_feedback AS x (tenant_id, article_id, user_id, version, helpful, rating, solved, comment)
    VALUES (a.tenant_id, a.id, me, a.version, helpful, rating, solved, nullif(btrim(comment), ''))
    ON CONFLICT ON CONSTRAINT article_feedback_user_key DO UPDATE
    SET version = excluded.version, helpful = coalesce(excluded.helpful, x.helpful), rating = coalesce(excluded.rating, x.rating),
        solved = coalesce(excluded.solved, x.solved), comment = coalesce(excluded.comment, x.comment), updated_at = clock_timestamp()
    RETURNING * INTO f;
    RETURN f;
END $$;

-- ---- how often it is read ----

-- A view is a row appended here, so that readers never wait for one another;
-- csm.run_due() adds them up by day. Nothing says who viewed.
CREATE TABLE csm_private.article_view_log (
    base_id bigint NOT NULL,
    tenant_id bigint NOT NULL,
    article_id bigint NOT NULL,
    on_day date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date
);
CREATE INDEX article_view_log_base_idx ON csm_private.article_view_log (base_id);
ALTER TABLE csm_private.article_view_log OWNER TO csm_owner;
REVOKE ALL ON csm_private.article_view_log FROM PUBLIC;
ALTER TABLE csm_private.article_view_log ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.article_view_log', '');
COMMENT ON TABLE csm_private.article_view_log IS 'Views not yet added up';
COMMENT ON COLUMN csm_private.article_view_log.base_id IS 'Base of the article';
COMMENT ON COLUMN csm_private.article_view_log.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.article_view_log.article_id IS 'The article; articles are never deleted, so without a foreign key';
COMMENT ON COLUMN csm_private.article_view_log.on_day IS 'Day of the view, UTC';

CREATE TABLE csm.article_views (
    article_id bigint NOT NULL,
    on_day date NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    views bigint NOT NULL,
    CONSTRAINT article_views_pkey PRIMARY KEY (article_id, on_day, tenant_id),
    CONSTRAINT article_views_article_fkey FOREIGN KEY (article_id, tenant_id) REFERENCES csm.articles (id, tenant_id),
    CONSTRAINT article_views_check CHECK (views > 0)
);
SELECT csm_private.adopt_table('csm.article_views');
CREATE POLICY article_views_select ON csm.article_views FOR SELECT TO csm_agent, csm_reporter, csm_admin
    USING (csm_private.article_allows(article_id, tenant_id, 'manage'));
GRANT SELECT ON csm.article_views TO csm_agent, csm_reporter, csm_admin;
COMMENT ON TABLE csm.article_views IS 'How often an article was viewed on a day; kept by csm.run_due(), some minutes behind';
COMMENT ON COLUMN csm.article_views.article_id IS 'The article';
COMMENT ON COLUMN csm.article_views.on_day IS 'The day, UTC';
COMMENT ON COLUMN csm.article_views.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.article_views.views IS 'How often';
COMMENT ON POLICY article_views_select ON csm.article_views IS 'Staff of the base';

-- Whoever is not signed in counts for so much from one place and no more, or
-- anybody could make an article look read; he reads on all the same.
CREATE FUNCTION csm_private.note_view(a csm.articles, source text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF a.id IS NOT NULL AND a.state = 'published'
       AND (csm.current_user_id() IS NOT NULL
            OR csm_private.attempt('article views', a.tenant_id || ' ' || left(csm_private.source_of(note_view.source), 200),
                                   CASE WHEN btrim(note_view.source) <> '' THEN 100 ELSE 10000 END, interval '1 hour')) THEN
        INSERT INTO csm_private.article_view_log (base_id, tenant_id, article_id) VALUES (a.base_id, a.tenant_id, a.id);
    END IF;
    RETURN true;
END $$;

-- Runs under the policies of the caller.
CREATE FUNCTION csm.view_article(article_id bigint, language text DEFAULT NULL, source text DEFAULT NULL) RETURNS csm.articles
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT x.a FROM (SELECT csm.article_in(view_article.article_id, view_article.language) AS a OFFSET 0) x
    WHERE csm_private.note_view(x.a, view_article.source);
END;

CREATE FUNCTION csm_private.due_article_views(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    WITH gone AS (
        DELETE FROM csm_private.article_view_log l WHERE l.base_id = object_id RETURNING l.article_id, l.tenant_id, l.on_day
    )
    INSERT INTO csm.article_views AS v (article_id, on_day, tenant_id, views)
    SELECT g.article_id, g.on_day, g.tenant_id, count(*) FROM gone g GROUP BY g.article_id, g.on_day, g.tenant_id ORDER BY g.article_id, g.on_day
    ON CONFLICT ON CONSTRAINT article_views_pkey DO UPDATE SET views = v.views + excluded.views;
    PERFORM csm_private.set_timer(tenant_id, 'article_views', object_id, NULL, at + interval '10 minutes');
END $$;

CREATE FUNCTION csm_private.begin_article_views() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        PERFORM csm_private.set_timer(NEW.tenant_id, 'article_views', NEW.id, NULL, clock_timestamp() + interval '10 minutes');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER knowledge_bases_30_views AFTER INSERT ON csm.knowledge_bases
    FOR EACH ROW EXECUTE FUNCTION csm_private.begin_article_views();

-- ---- articles on cases ----

CREATE TABLE csm.case_articles (
    case_id bigint NOT NULL,
    article_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    relation text NOT NULL DEFAULT 'suggested',
    attached_by bigint DEFAULT csm.current_user_id(),
    attached_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT case_articles_pkey PRIMARY KEY (case_id, article_id, tenant_id),
    CONSTRAINT case_articles_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_articles_article_fkey FOREIGN KEY (article_id, tenant_id) REFERENCES csm.articles (id, tenant_id),
    CONSTRAINT case_articles_attached_by_fkey FOREIGN KEY (attached_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_articles_relation_check CHECK (relation IN ('suggested', 'related', 'solution'))
);
CREATE INDEX case_articles_article_idx ON csm.case_articles (article_id, relation);
SELECT csm_private.adopt_table('csm.case_articles');

CREATE POLICY case_articles_select ON csm.case_articles FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (csm_private.case_allows(case_id, tenant_id, 'case_read') AND csm_private.article_allows(article_id, tenant_id, 'read'));
CREATE POLICY case_articles_delete ON csm.case_articles FOR DELETE TO csm_agent
    USING (csm_private.case_allows(case_id, tenant_id, 'case_work'));
GRANT SELECT ON csm.case_articles TO csm_portal, csm_agent, csm_admin;
GRANT DELETE ON csm.case_articles TO csm_agent;
GRANT SELECT (case_id, article_id, tenant_id, relation, attached_at) ON csm.case_articles TO csm_reporter;
COMMENT ON TABLE csm.case_articles IS 'Articles on cases; written by csm.attach_article()';
COMMENT ON COLUMN csm.case_articles.case_id IS 'The case';
COMMENT ON COLUMN csm.case_articles.article_id IS 'The article';
COMMENT ON COLUMN csm.case_articles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_articles.relation IS 'suggested, related or solution';
COMMENT ON COLUMN csm.case_articles.attached_by IS 'Who attached it last; NULL for the system';
COMMENT ON COLUMN csm.case_articles.attached_at IS 'When it was attached, or its relation last changed';
COMMENT ON POLICY case_articles_select ON csm.case_articles IS 'Who reads both the case and the article';
COMMENT ON POLICY case_articles_delete ON csm.case_articles IS 'Staff who work on the case';

CREATE FUNCTION csm.attach_article(case_id bigint, article_id bigint, relation text DEFAULT 'suggested') RETURNS csm.case_articles
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    is_system CONSTANT boolean := csm_private.acts_as_system();
    c csm.cases;
    a csm.articles;
    link csm.case_articles;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND is_system) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT (is_system OR csm_private.case_allows(c, 'case_work')) THEN
        RAISE EXCEPTION 'an article on case % is not permitted', c.number USING ERRCODE = '42501', HINT = 'Staff who work on the case attach it.';
    ELSIF relation IS NULL OR relation NOT IN ('suggested', 'related', 'solution') THEN
        RAISE EXCEPTION 'relation "%" is unknown', coalesce(relation, 'NULL') USING ERRCODE = '22023', HINT = 'Give suggested, related or solution.';
    END IF;
    SELECT * INTO a FROM csm.articles x WHERE x.id = article_id AND x.tenant_id = c.tenant_id;
    IF a.id IS NULL OR a.state <> 'published' OR NOT (is_system OR csm_private.article_allows(a.id, a.tenant_id, 'read')) THEN
        RAISE EXCEPTION 'article % does not exist', coalesce(article_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'An article that you may not see, and one that is not published, are reported in the same way.';
    END IF;
    -- What the customer cannot read is no answer to him.
    IF relation = 'solution' AND NOT a.is_public
       AND NOT EXISTS (SELECT FROM csm_private.audience_rights(c.tenant_id, c.requester_id, a.audience_id, false, NULL, statement_timestamp()) r
                       WHERE r.action = 'read' AND r.granted) THEN
        RAISE EXCEPTION 'article % does not solve case %', a.number, c.number USING ERRCODE = '42501',
            DETAIL = 'The requester may not read it.', HINT = 'Attach it as related, or widen its audience.';
    END IF;
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id FOR NO KEY UPDATE;
    IF c.state_class IN ('closed', 'cancelled') THEN
        RAISE EXCEPTION 'case % is closed', c.number USING ERRCODE = 'SM004',
            DETAIL = format('Its state is "%s".', c.state), HINT = 'Open a new case that refers to it.';
    END IF;
    INSERT INTO csm.case_articles AS x (tenant_id, case_id, article_id, relation) VALUES (c.tenant_id, c.id, a.id, relation)
    ON CONFLICT ON CONSTRAINT case_articles_pkey DO UPDATE
    SET relation = excluded.relation, attached_by = excluded.attached_by, attached_at = excluded.attached_at
    RETURNING * INTO link;
    RETURN link;
END $$;

-- Proposes the article as the solution.
CREATE FUNCTION csm.resolve_with_article(case_id bigint, article_id bigint, resolution_code text DEFAULT 'knowledge',
    note text DEFAULT NULL) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    a csm.articles;
BEGIN
    PERFORM csm.attach_article(case_id, article_id, 'solution');
    SELECT * INTO a FROM csm.articles x WHERE x.id = article_id;
    RETURN csm.act(case_id, 'propose', note,
                   jsonb_build_object('resolution_code', resolution_code, 'resolution_notes', format('%s: %s', a.number, a.title)));
END $$;

-- ---- what is missing ----

CREATE TABLE csm.knowledge_gaps (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    base_id bigint,
    state text NOT NULL DEFAULT 'open',
    summary text NOT NULL,
    reported_by bigint DEFAULT csm.current_user_id(),
    reported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_by bigint,
    article_id bigint,
    closed_at timestamptz,
    CONSTRAINT knowledge_gaps_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT knowledge_gaps_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT knowledge_gaps_base_fkey FOREIGN KEY (base_id, tenant_id) REFERENCES csm.knowledge_bases (id, tenant_id),
    CONSTRAINT knowledge_gaps_reported_by_fkey FOREIGN KEY (reported_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT knowledge_gaps_claimed_by_fkey FOREIGN KEY (claimed_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT knowledge_gaps_article_fkey FOREIGN KEY (article_id, tenant_id) REFERENCES csm.articles (id, tenant_id),
    CONSTRAINT knowledge_gaps_state_check CHECK (state IN ('open', 'claimed', 'answered', 'dismissed')),
    CONSTRAINT knowledge_gaps_claimed_check CHECK (state <> 'open' OR claimed_by IS NULL),
    CONSTRAINT knowledge_gaps_answered_check CHECK ((state = 'answered') = (article_id IS NOT NULL)),
    CONSTRAINT knowledge_gaps_closed_check CHECK ((state IN ('answered', 'dismissed')) = (closed_at IS NOT NULL)),
    CONSTRAINT knowledge_gaps_summary_check CHECK (length(summary) BETWEEN 1 AND 4000 AND summary !~ '^[[:space:]]*$')
);
CREATE INDEX knowledge_gaps_case_idx ON csm.knowledge_gaps (case_id);
CREATE INDEX knowledge_gaps_open_idx ON csm.knowledge_gaps (tenant_id, reported_at) WHERE state IN ('open', 'claimed');
SELECT csm_private.adopt_table('csm.knowledge_gaps');

CREATE FUNCTION csm_private.gap_allows(case_id bigint, base_id bigint, tenant_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE COST 100
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(csm_private.case_allows(case_id, tenant_id, 'case_work'), false)
        OR coalesce(csm_private.is_staff() AND csm_private.base_allows(base_id, tenant_id, 'contribute'), false);
END $$;
CREATE POLICY knowledge_gaps_select ON csm.knowledge_gaps FOR SELECT TO csm_agent
    USING (csm_private.gap_allows(case_id, base_id, tenant_id));
GRANT SELECT ON csm.knowledge_gaps TO csm_agent;
COMMENT ON TABLE csm.knowledge_gaps IS 'What a case showed to be missing in the knowledge: open, claimed by who writes it, answered by an article, or dismissed';
COMMENT ON COLUMN csm.knowledge_gaps.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.knowledge_gaps.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.knowledge_gaps.case_id IS 'The case';
COMMENT ON COLUMN csm.knowledge_gaps.base_id IS 'Base in which it is missing: its contributors among staff see the gap; NULL: only who works on the case does';
COMMENT ON COLUMN csm.knowledge_gaps.state IS 'open, claimed, answered or dismissed';
COMMENT ON COLUMN csm.knowledge_gaps.summary IS 'What is missing, up to 4,000 characters; read by people who do not see the case';
COMMENT ON COLUMN csm.knowledge_gaps.reported_by IS 'Who reported it; NULL for the system';
COMMENT ON COLUMN csm.knowledge_gaps.reported_at IS 'When';
COMMENT ON COLUMN csm.knowledge_gaps.claimed_by IS 'Who took it on; NULL for nobody';
COMMENT ON COLUMN csm.knowledge_gaps.article_id IS 'Article that answers it; NULL until then';
COMMENT ON COLUMN csm.knowledge_gaps.closed_at IS 'When it was answered or dismissed; NULL before';
COMMENT ON POLICY knowledge_gaps_select ON csm.knowledge_gaps IS 'Staff who work on the case, and staff who may contribute to the base';

CREATE FUNCTION csm.report_knowledge_gap(case_id bigint, summary text, base_id bigint DEFAULT NULL) RETURNS csm.knowledge_gaps
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    is_system CONSTANT boolean := csm_private.acts_as_system();
    c csm.cases;
    g csm.knowledge_gaps;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND is_system) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT (is_system OR csm_private.case_allows(c, 'case_work')) THEN
        RAISE EXCEPTION 'a knowledge gap of case % is not permitted', c.number USING ERRCODE = '42501',
            HINT = 'Staff who work on the case report it.';
    ELSIF coalesce(summary, '') ~ '^[[:space:]]*$' OR length(summary) > 4000 THEN
        RAISE EXCEPTION 'summary is empty or longer than 4,000 characters' USING ERRCODE = '22023', HINT = 'Say what is missing.';
    ELSIF base_id IS NOT NULL AND NOT (csm_private.base_allows(base_id, c.tenant_id, 'read')
            OR is_system AND EXISTS (SELECT FROM csm.knowledge_bases b WHERE b.id = base_id AND b.tenant_id = c.tenant_id)) THEN
        RAISE EXCEPTION 'knowledge base % does not exist', base_id USING ERRCODE = '42501',
            HINT = 'A base that you may not see is reported in the same way.';
    END IF;
    INSERT INTO csm.knowledge_gaps (tenant_id, case_id, base_id, summary) VALUES (c.tenant_id, c.id, base_id, summary) RETURNING * INTO g;
    RETURN g;
END $$;

-- claim, release, answer (with an article), dismiss.
CREATE FUNCTION csm.act_on_gap(gap_id bigint, action text, article_id bigint DEFAULT NULL) RETURNS csm.knowledge_gaps
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    is_system CONSTANT boolean := csm_private.acts_as_system();
    g csm.knowledge_gaps;
BEGIN
    SELECT * INTO g FROM csm.knowledge_gaps x
    WHERE x.id = gap_id AND (is_system OR x.tenant_id = csm.current_tenant_id() AND csm_private.gap_allows(x.case_id, x.base_id, x.tenant_id));
    IF g.id IS NULL THEN
        RAISE EXCEPTION 'knowledge gap % does not exist', coalesce(gap_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'A gap that you may not see is reported in the same way.';
    ELSIF action IS NULL OR action NOT IN ('claim', 'release', 'answer', 'dismiss') THEN
        RAISE EXCEPTION 'action "%" is unknown', coalesce(action, 'NULL') USING ERRCODE = '22023',
            HINT = 'Gaps are claimed, released, answered or dismissed: claim, release, answer, dismiss.';
    ELSIF (action = 'answer') <> (article_id IS NOT NULL) THEN
        RAISE EXCEPTION 'an article is given to answer a gap, and for nothing else' USING ERRCODE = '22023';
    ELSIF article_id IS NOT NULL
          AND NOT (EXISTS (SELECT FROM csm.articles a WHERE a.id = article_id AND a.tenant_id = g.tenant_id AND a.state = 'published')
                   AND (is_system OR csm_private.article_allows(article_id, g.tenant_id, 'read'))) THEN
        RAISE EXCEPTION 'article % does not exist', article_id USING ERRCODE = '42501',
            HINT = 'An article that you may not see, and one that is not published, are reported in the same way.';
    END IF;
    SELECT * INTO g FROM csm.knowledge_gaps x WHERE x.id = gap_id FOR NO KEY UPDATE;
    IF action <> 'claim' AND g.state = 'claimed' AND g.claimed_by IS DISTINCT FROM me
       AND NOT (is_system OR coalesce(csm_private.base_allows(g.base_id, g.tenant_id, 'manage'), false)) THEN
        RAISE EXCEPTION 'knowledge gap % is claimed by somebody else', gap_id USING ERRCODE = '42501',
            HINT = 'Who claimed it answers or releases it, and staff of the base.';
    ELSIF g.state <> ALL (CASE action WHEN 'claim' THEN '{open}' WHEN 'release' THEN '{claimed}' ELSE '{open,claimed}' END::text[]) THEN
        RAISE EXCEPTION 'to % knowledge gap % is not possible now', action, gap_id USING ERRCODE = 'SM002',
            DETAIL = format('It is %s.', g.state), HINT = 'Choose one that is open.';
    END IF;
    UPDATE csm.knowledge_gaps x
    SET state = CASE action WHEN 'claim' THEN 'claimed' WHEN 'release' THEN 'open' WHEN 'answer' THEN 'answered' ELSE 'dismissed' END,
        claimed_by = CASE action WHEN 'release' THEN NULL WHEN 'claim' THEN me ELSE x.claimed_by END,
        article_id = article_id, closed_at = CASE WHEN action IN ('answer', 'dismiss') THEN clock_timestamp() END
    WHERE x.id = gap_id RETURNING * INTO g;
    RETURN g;
END $$;

-- ---- counted ----

CREATE VIEW csm_report.article_use WITH (security_invoker = true) AS
SELECT a.id AS article_id, a.tenant_id, a.base_id, a.number, a.language, a.state, a.is_public, a.published_at,
       coalesce(v.views, 0) AS views, f.helpful, f.not_helpful, f.ratings, f.average_rating, f.solved,
       c.cases, c.solutions
FROM csm.articles a
LEFT JOIN LATERAL (SELECT sum(w.views)::bigint AS views FROM csm.article_views w WHERE w.article_id = a.id) v ON true
CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE x.helpful) AS helpful, count(*) FILTER (WHERE NOT x.helpful) AS not_helpful,
                           count(x.rating) AS ratings, round(avg(x.rating), 2) AS average_rating, count(*) FILTER (WHERE x.solved) AS solved
                    FROM csm.article_feedback x WHERE x.article_id = a.id) f
CROSS JOIN LATERAL (SELECT count(*) AS cases, count(*) FILTER (WHERE k.relation = 'solution') AS solutions
                    FROM csm.case_articles k WHERE k.article_id = a.id) c
WHERE csm.audience_allows(a.audience_id, 'manage');
ALTER VIEW csm_report.article_use OWNER TO csm_owner;
REVOKE ALL ON csm_report.article_use FROM PUBLIC;
GRANT SELECT ON csm_report.article_use TO csm_agent, csm_reporter, csm_admin;
COMMENT ON VIEW csm_report.article_use IS 'Articles whose audience the caller manages, and what became of them';
COMMENT ON COLUMN csm_report.article_use.article_id IS 'Identity of the article';
COMMENT ON COLUMN csm_report.article_use.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_report.article_use.base_id IS 'Knowledge base';
COMMENT ON COLUMN csm_report.article_use.number IS 'Human-facing number';
COMMENT ON COLUMN csm_report.article_use.language IS 'Language tag';
COMMENT ON COLUMN csm_report.article_use.state IS 'draft, review, published or retired';
COMMENT ON COLUMN csm_report.article_use.is_public IS 'Read without signing in';
COMMENT ON COLUMN csm_report.article_use.published_at IS 'When the text that stands was published; NULL before';
COMMENT ON COLUMN csm_report.article_use.views IS 'Views added up so far';
COMMENT ON COLUMN csm_report.article_use.helpful IS 'Readers whom it helped';
COMMENT ON COLUMN csm_report.article_use.not_helpful IS 'Readers whom it did not help';
COMMENT ON COLUMN csm_report.article_use.ratings IS 'Readers who rated it';
COMMENT ON COLUMN csm_report.article_use.average_rating IS '1.00 to 5.00; NULL without ratings';
COMMENT ON COLUMN csm_report.article_use.solved IS 'Readers whose matter it solved';
COMMENT ON COLUMN csm_report.article_use.cases IS 'Cases to which it is attached, of those that the caller reads';
COMMENT ON COLUMN csm_report.article_use.solutions IS 'Cases of them that it solves';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm.rate_article(bigint, boolean, integer, boolean, text, text)',
        'csm_private.note_view(csm.articles, text)',
        'csm.view_article(bigint, text, text)',
        'csm_private.due_article_views(bigint, bigint, timestamptz)',
        'csm_private.begin_article_views()',
        'csm.attach_article(bigint, bigint, text)',
        'csm.resolve_with_article(bigint, bigint, text, text)',
        'csm_private.gap_allows(bigint, bigint, bigint)',
        'csm.report_knowledge_gap(bigint, text, bigint)',
        'csm.act_on_gap(bigint, text, bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.rate_article(bigint, boolean, integer, boolean, text, text), csm.view_article(bigint, text, text),
    csm_private.note_view(csm.articles, text) TO csm_guest, csm_portal, csm_agent;
GRANT EXECUTE ON FUNCTION csm_private.gap_allows(bigint, bigint, bigint), csm.attach_article(bigint, bigint, text),
    csm.resolve_with_article(bigint, bigint, text, text), csm.report_knowledge_gap(bigint, text, bigint),
    csm.act_on_gap(bigint, text, bigint) TO csm_agent;
COMMENT ON FUNCTION csm.rate_article(bigint, boolean, integer, boolean, text, text) IS
'What the caller says of a published article that he reads: helpful, rating (1 to 5), solved, comment; what is NULL stays as he said it before. One row a person; a visitor who is not signed in adds one each time. source: where the caller of a trusted backend sits, as for signing in. Errors: 42501 hidden, missing or not published, 22023 nothing said or out of range, SM007 more than 100 an hour a person, 10 a visitor''s source';
COMMENT ON FUNCTION csm_private.note_view(csm.articles, text) IS
'Appends a view of a published article, of visitors who are not signed in at most 100 an hour from a source, 10,000 from the address of a connection where none is given; true';
COMMENT ON FUNCTION csm.view_article(bigint, text, text) IS
'csm.article_in(), and counts a view of the article returned; NULL for what the caller does not read. source: where a visitor sits who is not signed in, as the caller of a trusted backend says; of one source 100 views an hour count, of a connection that names none 10,000';
COMMENT ON FUNCTION csm_private.due_article_views(bigint, bigint, timestamptz) IS
'Handler of timers of kind article_views, one a base: adds up what was viewed and comes again ten minutes later';
COMMENT ON FUNCTION csm_private.begin_article_views() IS 'Trigger of csm.knowledge_bases: the first timer of kind article_views';
COMMENT ON FUNCTION csm.attach_article(bigint, bigint, text) IS
'Attaches a published article to a case, or changes its relation: suggested, related or solution. Staff who work on the case and read the article. Errors: SM001 no such case, 42501 not permitted, an article that is hidden, missing or not published, or as solution one that the requester may not read, SM004 case closed, 22023 unknown relation';
COMMENT ON FUNCTION csm.resolve_with_article(bigint, bigint, text, text) IS
'Attaches the article as solution and proposes it (csm.act, propose): its number and title become the resolution notes. Errors of csm.attach_article() and csm.act()';
COMMENT ON FUNCTION csm_private.gap_allows(bigint, bigint, bigint) IS
'Whether the caller sees a knowledge gap: works on the case, or is staff and may contribute to the base';
COMMENT ON FUNCTION csm.report_knowledge_gap(bigint, text, bigint) IS
'Reports that an article is missing for a case; with base_id to those who write there. Staff who work on the case. Errors: SM001 no such case, 42501 not permitted, or a base that is hidden or missing, 22023 summary empty or too long';
COMMENT ON FUNCTION csm.act_on_gap(bigint, text, bigint) IS
'Takes an action on a knowledge gap: claim, release, answer (with a published article), dismiss. Who sees the gap; once claimed, who claimed it and staff of the base. Errors: 42501 hidden, missing or not permitted, SM002 not possible from its state, 22023 unknown action, or an article missing or out of place';
