-- Publications (R B41): what is said to many at once, each of whom gets it as if
-- it were said to him alone.
--
-- A publication belongs to a series, whose audience says who writes
-- (contribute), who approves (manage), and who can be addressed at all (read).
-- Whom it addresses narrows that audience by criteria and by lists of recipients
-- (86_criteria.sql, 83_recipients.sql); who reads it is then the answer of the
-- audience, in the portal and for the mail alike.
--
-- Which stage follows which is said once, in csm_private.publication_transitions();
-- triggers hold whoever writes to it. What people do with one stands in
-- 88_publications_fn.sql, how it is sent in 88_publications_send.sql.
--
-- Locks: the publication, then what belongs to it.

CREATE TABLE csm.publication_series (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    key text NOT NULL,
    title text NOT NULL,
    description text,
    event text NOT NULL DEFAULT 'publication',
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT publication_series_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT publication_series_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT publication_series_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT publication_series_key_key UNIQUE (tenant_id, key),
    CONSTRAINT publication_series_key_check CHECK (key ~ '^[a-z][a-z0-9_-]{0,62}$'),
    CONSTRAINT publication_series_text_check CHECK (length(title) BETWEEN 1 AND 200 AND length(description) <= 10000),
    CONSTRAINT publication_series_event_check CHECK (event ~ '^[a-z][a-z_]{0,39}$')
);
CREATE INDEX publication_series_audience_idx ON csm.publication_series (audience_id);
SELECT csm_private.adopt_table('csm.publication_series');

-- What policies and lists read stands first, as in csm.cases.
CREATE TABLE csm.publications (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    series_id bigint NOT NULL,
    state text NOT NULL DEFAULT 'author',
    published_at timestamptz,
    expires_at timestamptz,
    author_id bigint DEFAULT csm.current_user_id(),
    by_mail boolean NOT NULL DEFAULT true,
    language text NOT NULL DEFAULT 'en',
    revision integer NOT NULL DEFAULT 1,
    publish_at timestamptz,
    ended_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT publications_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT publications_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT publications_series_fkey FOREIGN KEY (series_id, tenant_id) REFERENCES csm.publication_series (id, tenant_id),
    CONSTRAINT publications_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT publications_state_check CHECK (state IN ('author', 'review', 'ready', 'published', 'expired', 'cancelled')),
    CONSTRAINT publications_published_check CHECK (state NOT IN ('published', 'expired') OR published_at IS NOT NULL),
    CONSTRAINT publications_publish_check CHECK (publish_at IS NULL OR state = 'ready'),
    CONSTRAINT publications_language_check CHECK (language ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$' AND length(language) <= 35)
);
CREATE INDEX publications_audience_idx ON csm.publications (audience_id, published_at);
CREATE INDEX publications_newest_idx ON csm.publications (tenant_id, published_at DESC, id DESC);
CREATE INDEX publications_series_idx ON csm.publications (series_id);
CREATE INDEX publications_draft_idx ON csm.publications (author_id) WHERE state IN ('author', 'review', 'ready');
SELECT csm_private.adopt_table('csm.publications');

CREATE TABLE csm.publication_texts (
    publication_id bigint NOT NULL,
    language text NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    title text NOT NULL,
    body text NOT NULL,
    CONSTRAINT publication_texts_pkey PRIMARY KEY (publication_id, language, tenant_id),
    CONSTRAINT publication_texts_publication_fkey FOREIGN KEY (publication_id, tenant_id) REFERENCES csm.publications (id, tenant_id),
    CONSTRAINT publication_texts_language_check CHECK (language ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$' AND length(language) <= 35),
    CONSTRAINT publication_texts_text_check CHECK (length(title) BETWEEN 1 AND 400 AND title !~ '^[[:space:]]*$'
        AND length(body) BETWEEN 1 AND 100000)
);
SELECT csm_private.adopt_table('csm.publication_texts');

CREATE TABLE csm.publication_acts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    publication_id bigint NOT NULL,
    action text NOT NULL,
    actor_id bigint DEFAULT csm.current_user_id(),
    note text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT publication_acts_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT publication_acts_publication_fkey FOREIGN KEY (publication_id, tenant_id) REFERENCES csm.publications (id, tenant_id),
    CONSTRAINT publication_acts_actor_fkey FOREIGN KEY (actor_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT publication_acts_action_check CHECK (action ~ '^[a-z]{1,40}$'),
    CONSTRAINT publication_acts_note_check CHECK (length(note) <= 10000)
);
CREATE INDEX publication_acts_publication_idx ON csm.publication_acts (publication_id, id);
CREATE INDEX publication_acts_actor_idx ON csm.publication_acts (actor_id);
SELECT csm_private.adopt_table('csm.publication_acts');

CREATE TABLE csm.case_publications (
    case_id bigint NOT NULL,
    publication_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    attached_by bigint DEFAULT csm.current_user_id(),
    attached_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT case_publications_pkey PRIMARY KEY (case_id, publication_id, tenant_id),
    CONSTRAINT case_publications_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_publications_publication_fkey FOREIGN KEY (publication_id, tenant_id) REFERENCES csm.publications (id, tenant_id),
    CONSTRAINT case_publications_attached_by_fkey FOREIGN KEY (attached_by, tenant_id) REFERENCES csm.users (id, tenant_id)
);
CREATE INDEX case_publications_publication_idx ON csm.case_publications (publication_id);
SELECT csm_private.adopt_table('csm.case_publications');

-- ---- who reads ----

-- Written once: the policy, and the same of the row in hand for what belongs to
-- a publication and for functions that run as csm_owner.
DO $$
DECLARE
    arms CONSTANT text := $e$state = 'published' AND (expires_at IS NULL OR expires_at > statement_timestamp())
            AND csm.audience_allows(audience_id, 'read')
        OR author_id = csm.current_user_id() AND state IN ('author', 'review', 'ready') AND csm.audience_allows(audience_id, 'contribute')
        OR csm.audience_allows(audience_id, 'manage')$e$;
BEGIN
    EXECUTE format('CREATE POLICY publications_select ON csm.publications FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin USING (%s)', arms);
    EXECUTE format($f$
        CREATE FUNCTION csm_private.publication_allows(publication_id bigint, tenant_id bigint, action text) RETURNS boolean
        LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER PARALLEL SAFE COST 100
        SET search_path = pg_catalog, pg_temp
        AS $b$
        #variable_conflict use_column
        BEGIN
            RETURN EXISTS (SELECT FROM csm.publications p
                           WHERE p.id = publication_allows.publication_id AND p.tenant_id = publication_allows.tenant_id
                             AND p.tenant_id = csm.current_tenant_id()
                             AND CASE publication_allows.action WHEN 'read' THEN %s
                                      ELSE csm.audience_allows(audience_id, publication_allows.action) END);
        END $b$ $f$, arms);
END $$;
ALTER FUNCTION csm_private.publication_allows(bigint, bigint, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.publication_allows(bigint, bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.publication_allows(bigint, bigint, text) TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.publication_allows(bigint, bigint, text) IS
'Whether the caller reads the publication (read, as the policy says), or its audience gives him contribute or manage; false for a missing one';

CREATE POLICY publication_series_select ON csm.publication_series FOR SELECT TO csm_portal, csm_agent, csm_reporter
    USING (csm.audience_allows(audience_id, 'read') OR csm.audience_allows(audience_id, 'contribute'));
CREATE POLICY publication_series_write ON csm.publication_series FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
CREATE POLICY publications_update ON csm.publications FOR UPDATE TO csm_agent
    USING (csm.audience_allows(audience_id, 'manage') OR author_id = csm.current_user_id() AND state = 'author' AND csm.audience_allows(audience_id, 'contribute'));
CREATE POLICY publication_texts_select ON csm.publication_texts FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (csm_private.publication_allows(publication_id, tenant_id, 'read'));
CREATE POLICY publication_acts_select ON csm.publication_acts FOR SELECT TO csm_agent
    USING (csm_private.publication_allows(publication_id, tenant_id, 'read')
       AND (actor_id = csm.current_user_id() OR csm_private.publication_allows(publication_id, tenant_id, 'contribute')));
CREATE POLICY case_publications_select ON csm.case_publications FOR SELECT TO csm_agent
    USING (csm_private.case_allows(case_id, tenant_id, 'case_work') AND csm_private.publication_allows(publication_id, tenant_id, 'read'));
CREATE POLICY case_publications_write ON csm.case_publications FOR ALL TO csm_agent
    USING (csm_private.case_allows(case_id, tenant_id, 'case_work') AND csm_private.publication_allows(publication_id, tenant_id, 'read')
       AND csm_private.publication_allows(publication_id, tenant_id, 'contribute'));

GRANT SELECT ON csm.publication_series TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT INSERT (audience_id, key, title, description, event, active), UPDATE (key, title, description, event, active)
    ON csm.publication_series TO csm_admin;
GRANT SELECT ON csm.publications, csm.publication_texts TO csm_portal, csm_agent, csm_admin;
GRANT SELECT (id, tenant_id, audience_id, series_id, state, published_at, expires_at, by_mail, language, revision, publish_at, ended_at, created_at)
    ON csm.publications TO csm_reporter;
GRANT UPDATE (expires_at, by_mail) ON csm.publications TO csm_agent;
GRANT SELECT ON csm.publication_acts TO csm_agent;
GRANT SELECT, INSERT (case_id, publication_id), DELETE ON csm.case_publications TO csm_agent;

COMMENT ON TABLE csm.publication_series IS 'What is published under one heading, such as outages or news, each with its audience';
COMMENT ON COLUMN csm.publication_series.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.publication_series.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.publication_series.audience_id IS 'Who can be addressed (read), writes (contribute) and approves (manage); never changes. A new series without one gets an audience of its own, whose owner is who made it';
COMMENT ON COLUMN csm.publication_series.key IS 'Key, unique in the tenant';
COMMENT ON COLUMN csm.publication_series.title IS 'Name that people read';
COMMENT ON COLUMN csm.publication_series.description IS 'What it is about; NULL for nothing said';
COMMENT ON COLUMN csm.publication_series.event IS 'Event of csm.notification_preferences under which persons say whether they want it by mail';
COMMENT ON COLUMN csm.publication_series.active IS 'False: nothing new is written in it';
COMMENT ON TABLE csm.publications IS 'Publications and their stages; the words stand in csm.publication_texts. Rows are never deleted';
COMMENT ON COLUMN csm.publications.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.publications.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.publications.audience_id IS 'Whom it addresses: the audience of the series, or one within it (csm.address_publication())';
COMMENT ON COLUMN csm.publications.series_id IS 'The series; never changes';
COMMENT ON COLUMN csm.publications.state IS 'author (being written), review, ready (approved), published, expired, cancelled; csm_private.publication_transitions() says what follows what';
COMMENT ON COLUMN csm.publications.published_at IS 'When it was published; NULL before';
COMMENT ON COLUMN csm.publications.expires_at IS 'From when on it is not read any more, nor mailed; csm.run_due() then lets it expire. NULL for never';
COMMENT ON COLUMN csm.publications.author_id IS 'Who began it; NULL for the system';
COMMENT ON COLUMN csm.publications.by_mail IS 'Whether those it addresses get it by mail too, or read it in the portal alone';
COMMENT ON COLUMN csm.publications.language IS 'Language tag (BCP 47) of its own text, for readers in whose language there is none';
COMMENT ON COLUMN csm.publications.revision IS 'Counts the changes of its texts; csm.edit_publication() wants the one that the writer has read';
COMMENT ON COLUMN csm.publications.publish_at IS 'When csm.run_due() publishes it; NULL where nothing is planned';
COMMENT ON COLUMN csm.publications.ended_at IS 'When it expired or was cancelled; NULL before';
COMMENT ON COLUMN csm.publications.created_at IS 'When it was begun';
COMMENT ON TABLE csm.publication_texts IS 'The words of a publication, by language; they change while it is being written';
COMMENT ON COLUMN csm.publication_texts.publication_id IS 'The publication';
COMMENT ON COLUMN csm.publication_texts.language IS 'Language tag (BCP 47)';
COMMENT ON COLUMN csm.publication_texts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.publication_texts.title IS 'One line, up to 400 characters; the subject of the mail';
COMMENT ON COLUMN csm.publication_texts.body IS 'The text, up to 100,000 characters';
COMMENT ON TABLE csm.publication_acts IS 'Who did what with a publication; neither changed nor deleted';
COMMENT ON COLUMN csm.publication_acts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.publication_acts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.publication_acts.publication_id IS 'The publication';
COMMENT ON COLUMN csm.publication_acts.action IS 'create, edit, address, or an action of csm.publication_actions()';
COMMENT ON COLUMN csm.publication_acts.actor_id IS 'Who did it; NULL for time and the system';
COMMENT ON COLUMN csm.publication_acts.note IS 'What he said with it; NULL for nothing';
COMMENT ON COLUMN csm.publication_acts.created_at IS 'When';
COMMENT ON TABLE csm.case_publications IS 'Publications about a major case';
COMMENT ON COLUMN csm.case_publications.case_id IS 'The major case';
COMMENT ON COLUMN csm.case_publications.publication_id IS 'The publication';
COMMENT ON COLUMN csm.case_publications.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_publications.attached_by IS 'Who said so; NULL for the system';
COMMENT ON COLUMN csm.case_publications.attached_at IS 'When';
COMMENT ON POLICY publication_series_select ON csm.publication_series IS 'Who can be addressed, and who writes in it';
COMMENT ON POLICY publication_series_write ON csm.publication_series IS 'Administrators';
COMMENT ON POLICY publications_select ON csm.publications IS 'What is published, until it expires, for those whom it addresses; one''s own before, while one may contribute; all for who manages the audience';
COMMENT ON POLICY publications_update ON csm.publications IS 'Who manages the audience, and the author while it is being written';
COMMENT ON POLICY publication_texts_select ON csm.publication_texts IS 'Who reads the publication';
COMMENT ON POLICY publication_acts_select ON csm.publication_acts IS 'Who writes or approves in the series, of publications that he reads';
COMMENT ON POLICY case_publications_select ON csm.case_publications IS 'Staff who work on the case and read the publication';
COMMENT ON POLICY case_publications_write ON csm.case_publications IS 'The same, where they write or approve in the series';

-- ---- stages ----

-- actors: author (began it and may contribute), manager (manages the audience),
-- reviewer (a manager who has written nothing of it).
CREATE FUNCTION csm_private.publication_transitions()
RETURNS TABLE (action text, from_state text, to_state text, actors text[], note_required boolean, label text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 11
BEGIN ATOMIC
    VALUES ('submit', 'author', 'review', '{author,manager}'::text[], false, 'Submit for review'),
           ('withdraw', 'review', 'author', '{author}'::text[], false, 'Withdraw'),
           ('reject', 'review', 'author', '{manager}'::text[], true, 'Reject'),
           ('approve', 'review', 'ready', '{reviewer}'::text[], false, 'Approve'),
           ('revise', 'ready', 'author', '{author,manager}'::text[], false, 'Revise'),
           ('publish', 'ready', 'published', '{author,manager}'::text[], false, 'Publish'),
           ('expire', 'published', 'expired', '{manager}'::text[], false, 'Let expire'),
           ('cancel', 'author', 'cancelled', '{author,manager}'::text[], false, 'Cancel'),
           ('cancel', 'review', 'cancelled', '{manager}'::text[], true, 'Cancel'),
           ('cancel', 'ready', 'cancelled', '{manager}'::text[], true, 'Cancel'),
           ('cancel', 'published', 'cancelled', '{manager}'::text[], true, 'Cancel');
END;

CREATE FUNCTION csm_private.publication_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' THEN
        NEW.audience_id := coalesce(NEW.audience_id, (SELECT s.audience_id FROM csm.publication_series s
                                                      WHERE s.id = NEW.series_id AND s.tenant_id = NEW.tenant_id));
        IF NEW.state <> 'author' AND NOT csm_private.importing() THEN
            RAISE EXCEPTION 'a new publication is being written' USING ERRCODE = 'SM002',
                DETAIL = format('Its state was given as "%s".', NEW.state), HINT = 'Publish it by csm.act_on_publication().';
        END IF;
    ELSIF (NEW.id, NEW.tenant_id, NEW.series_id, NEW.created_at) IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.series_id, OLD.created_at) THEN
        RAISE EXCEPTION 'id, tenant and series of publication % cannot change', OLD.id USING ERRCODE = '42501', HINT = 'Write another one.';
    ELSIF NEW.state <> OLD.state AND NOT EXISTS (SELECT FROM csm_private.publication_transitions() t
                                                 WHERE t.from_state = OLD.state AND t.to_state = NEW.state) THEN
        RAISE EXCEPTION 'publication % cannot become %', OLD.id, NEW.state USING ERRCODE = 'SM002',
            DETAIL = format('It is %s.', OLD.state), HINT = 'csm.publication_actions() lists what can be done.';
    ELSIF (NEW.audience_id, NEW.by_mail, NEW.language, NEW.revision)
          IS DISTINCT FROM (OLD.audience_id, OLD.by_mail, OLD.language, OLD.revision) AND OLD.state <> 'author'
       OR NEW.expires_at IS DISTINCT FROM OLD.expires_at AND OLD.state IN ('expired', 'cancelled') THEN
        RAISE EXCEPTION 'publication % cannot change', OLD.id USING ERRCODE = 'SM002',
            DETAIL = format('It is %s.', OLD.state), HINT = 'Only its end changes after it was submitted; withdraw or revise it first.';
    END IF;
    IF (TG_OP = 'INSERT' OR NEW.audience_id <> OLD.audience_id)
       AND NOT EXISTS (SELECT FROM csm.audiences u JOIN csm.publication_series s ON s.id = NEW.series_id AND s.tenant_id = NEW.tenant_id
                       WHERE u.id = NEW.audience_id AND u.tenant_id = NEW.tenant_id AND s.audience_id IN (u.id, u.within_id)) THEN
        RAISE EXCEPTION 'audience of publication % is not within that of its series', NEW.id USING ERRCODE = '23514',
            HINT = 'Give that of the series, or one whose within_id is that of the series.';
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.state <> OLD.state THEN
        IF NEW.state = 'published' THEN
            NEW.published_at := clock_timestamp();
        END IF;
        NEW.ended_at := CASE WHEN NEW.state IN ('expired', 'cancelled') THEN clock_timestamp() END;
    END IF;
    IF NEW.state <> 'ready' THEN
        NEW.publish_at := NULL;
    END IF;
    IF (TG_OP = 'INSERT' OR NEW.expires_at IS DISTINCT FROM OLD.expires_at OR NEW.state = 'published' AND OLD.state <> 'published'
        OR NEW.publish_at IS DISTINCT FROM OLD.publish_at)
       AND NEW.expires_at <= greatest(NEW.publish_at, clock_timestamp()) AND NOT csm_private.importing() THEN
        RAISE EXCEPTION 'publication % would not be read by anybody', NEW.id USING ERRCODE = '22023',
            DETAIL = format('It expires at %s.', NEW.expires_at), HINT = 'Change or clear expires_at first.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER publications_10_guard BEFORE INSERT OR UPDATE ON csm.publications
    FOR EACH ROW EXECUTE FUNCTION csm_private.publication_guard();
CREATE TRIGGER publications_10_append_only BEFORE DELETE ON csm.publications
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER publications_10_append_only_truncate BEFORE TRUNCATE ON csm.publications
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER publication_series_10_guard BEFORE INSERT OR UPDATE ON csm.publication_series
    FOR EACH ROW EXECUTE FUNCTION csm_private.base_guard();

-- Timers, and the major cases that it is about.
CREATE FUNCTION csm_private.publication_follow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF NEW.publish_at IS DISTINCT FROM OLD.publish_at THEN
        PERFORM csm_private.set_timer(NEW.tenant_id, 'publication_publish', NEW.id, NULL, NEW.publish_at);
    END IF;
    IF NEW.state = 'published' AND (OLD.state <> 'published' OR NEW.expires_at IS DISTINCT FROM OLD.expires_at) THEN
        PERFORM csm_private.set_timer(NEW.tenant_id, 'publication_expiry', NEW.id, NULL, NEW.expires_at);
    END IF;
    IF NEW.state = 'published' AND OLD.state <> 'published' THEN
        IF NEW.by_mail THEN
            PERFORM csm_private.set_timer(NEW.tenant_id, 'publication_address', NEW.id, NULL, clock_timestamp());
        END IF;
        PERFORM csm_private.emit(a.tenant_id, a.case_id, 'publication_published', jsonb_build_object('publication_id', NEW.id), 'internal')
        FROM csm.case_publications a WHERE a.publication_id = NEW.id AND a.tenant_id = NEW.tenant_id;
    ELSIF OLD.state = 'published' AND NEW.state <> 'published' THEN
        PERFORM csm_private.set_timer(NEW.tenant_id, 'publication_expiry', NEW.id, NULL, NULL),
                csm_private.set_timer(NEW.tenant_id, 'publication_address', NEW.id, NULL, NULL),
                csm_private.set_timer(NEW.tenant_id, 'publication_clear', NEW.id, NULL, clock_timestamp());
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER publications_20_follow AFTER UPDATE ON csm.publications
    FOR EACH ROW EXECUTE FUNCTION csm_private.publication_follow();

-- Locks the publication, so that nothing is written that was not reviewed.
CREATE FUNCTION csm_private.publication_text_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t csm.publication_texts;
BEGIN
    t := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    IF csm_private.restoring() OR csm_private.importing() THEN
        RETURN t;
    ELSIF TG_OP = 'UPDATE' AND (NEW.publication_id, NEW.tenant_id) IS DISTINCT FROM (OLD.publication_id, OLD.tenant_id) THEN
        RAISE EXCEPTION 'a text stays with publication %', OLD.publication_id USING ERRCODE = '42501', HINT = 'Write another one.';
    END IF;
    UPDATE csm.publications p SET revision = p.revision + 1
    WHERE p.id = t.publication_id AND p.tenant_id = t.tenant_id AND p.state = 'author';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the text of publication % cannot change', t.publication_id USING ERRCODE = 'SM002',
            DETAIL = 'It is not being written.', HINT = 'Withdraw, reject or revise it first.';
    END IF;
    RETURN t;
END $$;
CREATE TRIGGER publication_texts_10_guard BEFORE INSERT OR UPDATE OR DELETE ON csm.publication_texts
    FOR EACH ROW EXECUTE FUNCTION csm_private.publication_text_guard();
CREATE TRIGGER publication_acts_10_append_only BEFORE UPDATE OR DELETE ON csm.publication_acts
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('note');
CREATE TRIGGER publication_acts_10_append_only_truncate BEFORE TRUNCATE ON csm.publication_acts
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();

-- After the policy has judged: a hidden case is refused there.
CREATE FUNCTION csm_private.case_publication_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring()
       AND NOT EXISTS (SELECT FROM csm.cases c WHERE c.id = NEW.case_id AND c.tenant_id = NEW.tenant_id AND c.major_state = 'accepted') THEN
        RAISE EXCEPTION 'case % is not a major case', NEW.case_id USING ERRCODE = '22023', HINT = 'Propose and accept one first.';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER case_publications_20_guard AFTER INSERT OR UPDATE ON csm.case_publications
    FOR EACH ROW EXECUTE FUNCTION csm_private.case_publication_guard();

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.publication_transitions()', 'Which stage of a publication follows which, by which action, who may take it, and whether a note is required; constant'),
        ('csm_private.publication_guard()', 'Trigger of csm.publications: only steps of csm_private.publication_transitions() (SM002); what was submitted changes its end alone (SM002); an end that has passed is refused (22023); stamps times'),
        ('csm_private.publication_follow()', 'Trigger of csm.publications: timers follow the row; an internal event publication_published on the major cases it is about'),
        ('csm_private.publication_text_guard()', 'Trigger of csm.publication_texts: words change while the publication is being written (SM002), and are counted in its revision'),
        ('csm_private.case_publication_guard()', 'Trigger of csm.case_publications: error 22023 for a case that is not a major case')
    ) AS v(name, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
    END LOOP;
END $$;
