-- Publications (R B41): what is said to many at once, each of whom gets it as if
-- it were said to him alone.
--
-- A publication belongs to a series, whose audience says who writes
-- (contribute), who approves (manage), and who can be addressed at all (read).
-- Whom it addresses narrows that audience by criteria and by lists of recipients
-- (86_criteria.sql, 83_major_cases.sql); who reads it is then the answer of the
-- audience, in the portal and for the mail alike.
--
-- Which stage follows which is said once, in csm_private.publication_transitions();
-- triggers hold whoever writes to it. How it is sent stands in
-- 88_publications_send.sql.
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
        ('csm_private.publication_transitions()', NULL, 'Which stage of a publication follows which, by which action, who may take it, and whether a note is required; constant'),
        ('csm_private.publication_guard()', NULL, 'Trigger of csm.publications: only steps of csm_private.publication_transitions() (SM002); what was submitted changes its end alone (SM002); an end that has passed is refused (22023); stamps times'),
        ('csm_private.publication_follow()', NULL, 'Trigger of csm.publications: timers follow the row; an internal event publication_published on the major cases it is about'),
        ('csm_private.publication_text_guard()', NULL, 'Trigger of csm.publication_texts: words change while the publication is being written (SM002), and are counted in its revision'),
        ('csm_private.case_publication_guard()', NULL, 'Trigger of csm.case_publications: error 22023 for a case that is not a major case'),
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
