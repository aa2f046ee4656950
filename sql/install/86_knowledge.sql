-- Knowledge (R A28, B40): bases, categories, articles and their versions.
--
-- csm.articles holds what people read: the text that stands published, or, until
-- something of it was published, the text being written. What is being written
-- about a published article, and what was published before, stands in
-- csm.article_versions.
--
-- Who reads, contributes and manages, the audience says (86_criteria.sql): an
-- article carries that of its base or one within it. A visitor who is not signed
-- in reads what is flagged, never by criteria.

CREATE TABLE csm.knowledge_bases (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    is_public boolean NOT NULL DEFAULT false,
    self_publish boolean NOT NULL DEFAULT false,
    key text NOT NULL,
    title text NOT NULL,
    description text,
    language text NOT NULL DEFAULT 'en',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT knowledge_bases_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT knowledge_bases_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT knowledge_bases_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT knowledge_bases_key_key UNIQUE (tenant_id, key),
    CONSTRAINT knowledge_bases_key_check CHECK (key ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT knowledge_bases_text_check CHECK (length(title) BETWEEN 1 AND 200 AND length(description) <= 10000),
    CONSTRAINT knowledge_bases_language_check CHECK (language ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$' AND length(language) <= 35)
);
CREATE INDEX knowledge_bases_audience_idx ON csm.knowledge_bases (audience_id);
SELECT csm_private.adopt_table('csm.knowledge_bases');

CREATE TABLE csm.knowledge_categories (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    base_id bigint NOT NULL,
    parent_id bigint,
    title text NOT NULL,
    CONSTRAINT knowledge_categories_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT knowledge_categories_base_key UNIQUE (id, base_id, tenant_id),
    CONSTRAINT knowledge_categories_base_fkey FOREIGN KEY (base_id, tenant_id) REFERENCES csm.knowledge_bases (id, tenant_id),
    CONSTRAINT knowledge_categories_parent_fkey FOREIGN KEY (parent_id, base_id, tenant_id)
        REFERENCES csm.knowledge_categories (id, base_id, tenant_id),
    CONSTRAINT knowledge_categories_self_check CHECK (parent_id <> id),
    CONSTRAINT knowledge_categories_title_key UNIQUE NULLS NOT DISTINCT (base_id, parent_id, title),
    CONSTRAINT knowledge_categories_title_check CHECK (length(title) BETWEEN 1 AND 200)
);
CREATE INDEX knowledge_categories_parent_idx ON csm.knowledge_categories (parent_id) WHERE parent_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.knowledge_categories');

-- What policies and lists read stands first, as in csm.cases.
CREATE TABLE csm.articles (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    base_id bigint NOT NULL,
    is_public boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'draft',
    published_at timestamptz,
    expires_at timestamptz,
    author_id bigint DEFAULT csm.current_user_id(),
    category_id bigint,
    product_id bigint,
    translation_of bigint,
    version integer,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    number text NOT NULL,
    language text NOT NULL,
    title text NOT NULL,
    keywords text,
    body text NOT NULL,
    search tsvector,
    CONSTRAINT articles_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT articles_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT articles_base_fkey FOREIGN KEY (base_id, tenant_id) REFERENCES csm.knowledge_bases (id, tenant_id),
    CONSTRAINT articles_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT articles_category_fkey FOREIGN KEY (category_id, base_id, tenant_id)
        REFERENCES csm.knowledge_categories (id, base_id, tenant_id),
    CONSTRAINT articles_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT articles_translation_fkey FOREIGN KEY (translation_of, tenant_id) REFERENCES csm.articles (id, tenant_id),
    CONSTRAINT articles_number_key UNIQUE (tenant_id, number),
    CONSTRAINT articles_state_check CHECK (state IN ('draft', 'review', 'published', 'retired')),
    CONSTRAINT articles_published_check CHECK (state <> 'published' OR published_at IS NOT NULL),
    CONSTRAINT articles_self_check CHECK (translation_of <> id),
    CONSTRAINT articles_language_check CHECK (language ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$' AND length(language) <= 35),
    CONSTRAINT articles_text_check CHECK (length(title) BETWEEN 1 AND 400 AND title !~ '^[[:space:]]*$'
        AND length(keywords) <= 2000 AND length(body) BETWEEN 1 AND 1000000 AND length(number) BETWEEN 1 AND 40)
);
-- Who sees what, in the plain column for writes and staff and as the key by which
-- people read (csm_private.article_shown() below); what visitors read, one's own
-- drafts; the orders in which lists are read, and the words.
CREATE INDEX articles_audience_idx ON csm.articles (audience_id, published_at);
CREATE INDEX articles_key_idx ON csm.articles ((CASE WHEN is_public THEN 0 ELSE audience_id END), published_at);
CREATE INDEX articles_public_idx ON csm.articles (tenant_id, published_at DESC, id DESC) WHERE is_public AND state = 'published';
CREATE INDEX articles_draft_idx ON csm.articles (author_id) WHERE state IN ('draft', 'review');
CREATE INDEX articles_newest_idx ON csm.articles (tenant_id, published_at DESC, id DESC);
CREATE INDEX articles_base_idx ON csm.articles (base_id, published_at DESC, id DESC);
CREATE INDEX articles_category_idx ON csm.articles (category_id) WHERE category_id IS NOT NULL;
CREATE INDEX articles_product_idx ON csm.articles (product_id) WHERE product_id IS NOT NULL;
CREATE UNIQUE INDEX articles_language_idx ON csm.articles (coalesce(translation_of, id), lower(language), tenant_id) WHERE state <> 'retired';
CREATE INDEX articles_search_idx ON csm.articles USING gin (search, csm.time_slices(published_at, is_public));
DO $$
BEGIN
    EXECUTE format('CREATE INDEX articles_title_trgm_idx ON csm.articles USING gin (title %s.gin_trgm_ops, csm.time_slices(published_at, is_public))',
                   csm_private.schema_of('pg_trgm'));
END $$;
SELECT csm_private.adopt_table('csm.articles');
-- Words stay in the row while the text moves out: a search looks at them in every row that its index finds.
ALTER TABLE csm.articles ALTER COLUMN search SET STORAGE MAIN;

CREATE TABLE csm.article_versions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    article_id bigint NOT NULL,
    version integer NOT NULL,
    revision integer NOT NULL DEFAULT 1,
    state text NOT NULL DEFAULT 'draft',
    author_id bigint DEFAULT csm.current_user_id(),
    edited_by bigint DEFAULT csm.current_user_id(),
    approved_by bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    edited_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    publish_at timestamptz,
    published_at timestamptz,
    ended_at timestamptz,
    title text NOT NULL,
    keywords text,
    body text NOT NULL,
    note text,
    CONSTRAINT article_versions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT article_versions_article_fkey FOREIGN KEY (article_id, tenant_id) REFERENCES csm.articles (id, tenant_id),
    CONSTRAINT article_versions_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT article_versions_edited_by_fkey FOREIGN KEY (edited_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT article_versions_approved_by_fkey FOREIGN KEY (approved_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT article_versions_version_key UNIQUE (article_id, version),
    CONSTRAINT article_versions_state_check CHECK (state IN ('draft', 'review', 'published', 'retired', 'replaced', 'discarded')),
    CONSTRAINT article_versions_publish_check CHECK (publish_at IS NULL OR state = 'review'),
    CONSTRAINT article_versions_text_check CHECK (length(title) BETWEEN 1 AND 400 AND title !~ '^[[:space:]]*$'
        AND length(keywords) <= 2000 AND length(body) BETWEEN 1 AND 1000000 AND length(note) <= 10000),
    CONSTRAINT article_versions_counters_check CHECK (version > 0 AND revision > 0)
);
-- One version is being written, and one stands, whoever writes at once.
CREATE UNIQUE INDEX article_versions_working_idx ON csm.article_versions (article_id) WHERE state IN ('draft', 'review');
CREATE UNIQUE INDEX article_versions_shown_idx ON csm.article_versions (article_id) WHERE state IN ('published', 'retired');
CREATE INDEX article_versions_author_idx ON csm.article_versions (author_id) WHERE state IN ('draft', 'review');
SELECT csm_private.adopt_table('csm.article_versions');

-- ---- who reads ----

-- What somebody who is signed in sees, in C (src/csm_article.c). An article's key
-- is its audience, or 0 where it is public: the index of keys finds what somebody sees.
CREATE FUNCTION csm_private.article_shown(article_key bigint, audience_id bigint, state text, expires_at timestamptz, author_id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_article_shown' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
CREATE FUNCTION csm_private.article_keys_shown() RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_article_keys_shown' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
ALTER FUNCTION csm_private.article_shown(bigint, bigint, text, timestamptz, bigint) OWNER TO csm_owner;
ALTER FUNCTION csm_private.article_keys_shown() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.article_shown(bigint, bigint, text, timestamptz, bigint), csm_private.article_keys_shown() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.article_shown(bigint, bigint, text, timestamptz, bigint), csm_private.article_keys_shown()
    TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.article_shown(bigint, bigint, text, timestamptz, bigint) IS
'The rule of the policy of csm.articles for one row: published, not expired, and public or read by its audience; being written, by the author while he may contribute; or managed. article_key: 0 where the article is public, else its audience. False for nobody and where one of the first three is NULL';
COMMENT ON FUNCTION csm_private.article_keys_shown() IS
'Sorted keys of articles (see article_shown) of which the person may see any: 0, and the audiences as one of which he reads, contributes or manages; empty for nobody';

-- Written once: a policy stores a parsed expression, and children ask the same
-- of the row in hand.
CREATE FUNCTION csm_private.article_arms(arms text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stands CONSTANT text := $e$state = 'published' AND (expires_at IS NULL OR expires_at > statement_timestamp())$e$;
BEGIN
    RETURN CASE arms
        WHEN 'guest' THEN stands || ' AND is_public AND tenant_id = csm.guest_tenant_id()'
        WHEN 'person' THEN 'csm_private.article_shown(CASE WHEN is_public THEN 0 ELSE audience_id END, audience_id, state, expires_at, author_id)'
    END;
END $$;
ALTER FUNCTION csm_private.article_arms(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.article_arms(text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.article_arms(text) IS
'Install scripts only: text of the rule who reads an article; arms guest (nobody is signed in) or person';

-- For children, whose policies have no sub-select either, and for functions that
-- run as csm_owner.
DO $$
BEGIN
    EXECUTE format($f$
        CREATE FUNCTION csm_private.article_allows(article_id bigint, tenant_id bigint, action text) RETURNS boolean
        LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER PARALLEL SAFE COST 100
        SET search_path = pg_catalog, pg_temp
        AS $b$
        #variable_conflict use_column
        BEGIN
            RETURN EXISTS (SELECT FROM csm.articles a
                           WHERE a.id = article_allows.article_id AND a.tenant_id = article_allows.tenant_id
                             AND CASE WHEN article_allows.action <> 'read' THEN csm.audience_allows(audience_id, article_allows.action)
                                      WHEN csm.current_user_id() IS NULL THEN %s
                                      ELSE a.tenant_id = csm.current_tenant_id() AND (%s) END);
        END $b$ $f$, csm_private.article_arms('guest'), csm_private.article_arms('person'));
    EXECUTE format('CREATE POLICY articles_select_guest ON csm.articles FOR SELECT TO csm_guest USING (%s)', csm_private.article_arms('guest'));
    EXECUTE format('CREATE POLICY articles_select ON csm.articles FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin USING (%s)',
                   csm_private.article_arms('person'));
END $$;
ALTER FUNCTION csm_private.article_allows(bigint, bigint, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.article_allows(bigint, bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.article_allows(bigint, bigint, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.article_allows(bigint, bigint, text) IS
'Whether the caller reads the article (read, as the policies say; also for a visitor who is not signed in), or its audience gives him contribute or manage; false for a missing article';

CREATE FUNCTION csm_private.base_allows(base_id bigint, tenant_id bigint, action text) RETURNS boolean
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER PARALLEL SAFE COST 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN EXISTS (SELECT FROM csm.knowledge_bases b
                   WHERE b.id = base_id AND b.tenant_id = tenant_id
                     AND CASE WHEN action <> 'read' THEN csm.audience_allows(b.audience_id, action)
                              WHEN csm.current_user_id() IS NULL THEN b.is_public AND b.tenant_id = csm.guest_tenant_id()
                              ELSE b.tenant_id = csm.current_tenant_id()
                                   AND (b.is_public OR csm.audience_allows(b.audience_id, 'read')
                                        OR csm.audience_allows(b.audience_id, 'contribute')) END);
END $$;
ALTER FUNCTION csm_private.base_allows(bigint, bigint, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.base_allows(bigint, bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.base_allows(bigint, bigint, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.base_allows(bigint, bigint, text) IS
'Whether the caller sees the base (read: public, or read or contribute by its audience), or its audience gives him another action; false for a missing base';

CREATE POLICY knowledge_bases_select_guest ON csm.knowledge_bases FOR SELECT TO csm_guest
    USING (is_public AND tenant_id = csm.guest_tenant_id());
CREATE POLICY knowledge_bases_select ON csm.knowledge_bases FOR SELECT TO csm_portal
    USING (is_public OR csm.audience_allows(audience_id, 'read') OR csm.audience_allows(audience_id, 'contribute'));
CREATE POLICY knowledge_bases_select_staff ON csm.knowledge_bases FOR SELECT TO csm_agent, csm_reporter, csm_admin
    USING (is_public OR csm.audience_allows(audience_id, 'read') OR csm.audience_allows(audience_id, 'contribute')
        OR csm.all_in(tenant_id, 'internal', 'configure'));
CREATE POLICY knowledge_bases_write ON csm.knowledge_bases FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
CREATE POLICY knowledge_bases_update ON csm.knowledge_bases FOR UPDATE TO csm_agent
    USING (csm.audience_allows(audience_id, 'manage'));
CREATE POLICY knowledge_categories_select ON csm.knowledge_categories FOR SELECT
    TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin
    USING (csm_private.base_allows(base_id, tenant_id, 'read'));
CREATE POLICY knowledge_categories_write ON csm.knowledge_categories FOR ALL TO csm_agent
    USING (csm_private.base_allows(base_id, tenant_id, 'manage'));

CREATE POLICY article_versions_select ON csm.article_versions FOR SELECT TO csm_portal, csm_agent
    USING (author_id = csm.current_user_id() AND csm_private.article_allows(article_id, tenant_id, 'contribute')
        OR csm_private.article_allows(article_id, tenant_id, 'manage'));

GRANT SELECT ON csm.knowledge_bases, csm.knowledge_categories, csm.articles TO csm_guest, csm_portal, csm_agent, csm_admin;
GRANT SELECT (id, tenant_id, audience_id, is_public, self_publish, key, title, language, created_at) ON csm.knowledge_bases TO csm_reporter;
GRANT SELECT ON csm.knowledge_categories TO csm_reporter;
GRANT SELECT (id, tenant_id, audience_id, base_id, is_public, state, published_at, expires_at, category_id, product_id, translation_of,
              version, updated_at, number, language) ON csm.articles TO csm_reporter;
GRANT SELECT ON csm.article_versions TO csm_portal, csm_agent;
GRANT INSERT (audience_id, is_public, self_publish, key, title, description, language),
      UPDATE (is_public, self_publish, key, title, description, language) ON csm.knowledge_bases TO csm_admin;
GRANT UPDATE (title, description, language) ON csm.knowledge_bases TO csm_agent;
GRANT INSERT (base_id, parent_id, title), UPDATE (parent_id, title), DELETE ON csm.knowledge_categories TO csm_agent;

COMMENT ON TABLE csm.knowledge_bases IS 'Bases of knowledge, each with its audience';
COMMENT ON COLUMN csm.knowledge_bases.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.knowledge_bases.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.knowledge_bases.audience_id IS 'Who reads, contributes and manages; never changes. A new base without one gets an audience of its own, whose owner is who made it';
COMMENT ON COLUMN csm.knowledge_bases.is_public IS 'Its articles may be public; taken back, every article of it ceases to be';
COMMENT ON COLUMN csm.knowledge_bases.self_publish IS 'True: who wrote a text may publish it himself, without review';
COMMENT ON COLUMN csm.knowledge_bases.key IS 'Key, unique in the tenant';
COMMENT ON COLUMN csm.knowledge_bases.title IS 'Name that people read';
COMMENT ON COLUMN csm.knowledge_bases.description IS 'What it is about; NULL for nothing said';
COMMENT ON COLUMN csm.knowledge_bases.language IS 'Language tag (BCP 47) of an article that names none';
COMMENT ON COLUMN csm.knowledge_bases.created_at IS 'When it was made';
COMMENT ON TABLE csm.knowledge_categories IS 'Categories of a base, a tree';
COMMENT ON COLUMN csm.knowledge_categories.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.knowledge_categories.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.knowledge_categories.base_id IS 'The base';
COMMENT ON COLUMN csm.knowledge_categories.parent_id IS 'Category above, of the same base; NULL at the top';
COMMENT ON COLUMN csm.knowledge_categories.title IS 'Name that people read, unique below its parent';
COMMENT ON TABLE csm.articles IS 'Articles as people read them: the published text, and until there is one, the text being written. State and text follow csm.article_versions; rows are never deleted';
COMMENT ON COLUMN csm.articles.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.articles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.articles.audience_id IS 'Who reads, contributes and manages: the audience of the base, or one within it';
COMMENT ON COLUMN csm.articles.base_id IS 'The base; never changes';
COMMENT ON COLUMN csm.articles.is_public IS 'Read by everybody, signed in or not, once published; only in a public base';
COMMENT ON COLUMN csm.articles.state IS 'draft or review: never published; published; retired: published no more, or given up';
COMMENT ON COLUMN csm.articles.published_at IS 'When the text that stands was published; NULL before';
COMMENT ON COLUMN csm.articles.expires_at IS 'From when on it is not read any more; csm.run_due() then retires it. NULL for never';
COMMENT ON COLUMN csm.articles.author_id IS 'Who wrote it first; NULL for the system';
COMMENT ON COLUMN csm.articles.category_id IS 'Category of the base; NULL for none';
COMMENT ON COLUMN csm.articles.product_id IS 'Product that it is about; restricts nothing by itself';
COMMENT ON COLUMN csm.articles.translation_of IS 'Article of the same base that it translates, itself no translation; NULL for none. One article a language, retired ones aside';
COMMENT ON COLUMN csm.articles.version IS 'Number of the version that stands; NULL before the first was published';
COMMENT ON COLUMN csm.articles.updated_at IS 'Last change of the row';
COMMENT ON COLUMN csm.articles.number IS 'Human-facing number, unique in the tenant; made from the id (KB0000042) when not given';
COMMENT ON COLUMN csm.articles.language IS 'Language tag (BCP 47), and with it how search reads the words; that of the base by default';
COMMENT ON COLUMN csm.articles.title IS 'One line, up to 400 characters';
COMMENT ON COLUMN csm.articles.keywords IS 'Words by which it is to be found beside its own; NULL for none';
COMMENT ON COLUMN csm.articles.body IS 'The text, up to 1,000,000 characters';
COMMENT ON COLUMN csm.articles.search IS 'Words for csm.matches(): number and title weigh A, keywords B, body D';
COMMENT ON TABLE csm.article_versions IS 'What was, is and shall be the text of an article. Immutable once published; never deleted';
COMMENT ON COLUMN csm.article_versions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.article_versions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.article_versions.article_id IS 'The article';
COMMENT ON COLUMN csm.article_versions.version IS '1, 2, ... within the article';
COMMENT ON COLUMN csm.article_versions.revision IS 'Counts the changes of its text; csm.edit_article() wants the one that the writer has read';
COMMENT ON COLUMN csm.article_versions.state IS 'draft, review, published, retired, replaced (by a later version) or discarded; csm_private.article_transitions() says what follows what';
COMMENT ON COLUMN csm.article_versions.author_id IS 'Who began it; NULL for the system';
COMMENT ON COLUMN csm.article_versions.edited_by IS 'Who changed its text last, and so does not publish it, unless the base lets him; NULL for the system';
COMMENT ON COLUMN csm.article_versions.approved_by IS 'Who published it, or said when it is to be published; NULL for the system';
COMMENT ON COLUMN csm.article_versions.created_at IS 'When it was begun';
COMMENT ON COLUMN csm.article_versions.edited_at IS 'When its text was changed last';
COMMENT ON COLUMN csm.article_versions.publish_at IS 'When csm.run_due() publishes what was approved; NULL where nothing is planned';
COMMENT ON COLUMN csm.article_versions.published_at IS 'When it was published; NULL before';
COMMENT ON COLUMN csm.article_versions.ended_at IS 'When it was retired, replaced or discarded; NULL before';
COMMENT ON COLUMN csm.article_versions.title IS 'One line, up to 400 characters';
COMMENT ON COLUMN csm.article_versions.keywords IS 'Words by which it is to be found beside its own; NULL for none';
COMMENT ON COLUMN csm.article_versions.body IS 'The text, up to 1,000,000 characters';
COMMENT ON COLUMN csm.article_versions.note IS 'What was said with the last action, such as why it was rejected; NULL for nothing';
COMMENT ON POLICY articles_select_guest ON csm.articles IS 'Not signed in: what is published and flagged, in the tenant that csm.tenant names';
COMMENT ON POLICY articles_select ON csm.articles IS 'What is published and flagged or read by its audience; one''s own before it is published, while one may contribute; all for who manages the audience';
COMMENT ON POLICY knowledge_bases_select_guest ON csm.knowledge_bases IS 'Not signed in: public ones';
COMMENT ON POLICY knowledge_bases_select ON csm.knowledge_bases IS 'Public ones, and where one reads or contributes';
COMMENT ON POLICY knowledge_bases_select_staff ON csm.knowledge_bases IS 'The same; administrators all of the tenant';
COMMENT ON POLICY knowledge_bases_write ON csm.knowledge_bases IS 'Administrators';
COMMENT ON POLICY knowledge_bases_update ON csm.knowledge_bases IS 'Staff of the base';
COMMENT ON POLICY knowledge_categories_select ON csm.knowledge_categories IS 'Who sees the base';
COMMENT ON POLICY knowledge_categories_write ON csm.knowledge_categories IS 'Staff of the base';
COMMENT ON POLICY article_versions_select ON csm.article_versions IS 'One''s own, while one may contribute; all for who manages the audience';

-- ---- bases and categories ----

CREATE FUNCTION csm_private.base_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.audience_id IS NULL THEN
            INSERT INTO csm.audiences (tenant_id, owner_id) VALUES (NEW.tenant_id, csm.current_user_id()) RETURNING id INTO NEW.audience_id;
        END IF;
    ELSIF (NEW.id, NEW.tenant_id, NEW.audience_id) IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.audience_id) THEN
        RAISE EXCEPTION 'id, tenant and audience of "%" cannot change', OLD.key USING ERRCODE = '42501',
            HINT = 'Change what the audience grants.';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION csm_private.base_follow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        UPDATE csm.articles a SET is_public = false WHERE a.base_id = NEW.id AND a.tenant_id = NEW.tenant_id AND a.is_public;
    END IF;
    RETURN NULL;
END $$;

-- A move locks the base, so that two of them cannot close a circle unseen.
CREATE FUNCTION csm_private.category_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    ELSIF (NEW.id, NEW.tenant_id, NEW.base_id) IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.base_id) THEN
        RAISE EXCEPTION 'id, tenant and base of category "%" cannot change', OLD.title USING ERRCODE = '42501',
            HINT = 'Make one in the other base.';
    ELSIF NEW.parent_id IS NOT NULL THEN
        PERFORM FROM csm.knowledge_bases b WHERE b.id = NEW.base_id FOR NO KEY UPDATE;
        IF EXISTS (WITH RECURSIVE above(id) AS (
                       SELECT NEW.parent_id
                     UNION
                       SELECT c.parent_id FROM above JOIN csm.knowledge_categories c ON c.id = above.id WHERE c.parent_id IS NOT NULL)
                   SELECT FROM above WHERE above.id = NEW.id) THEN
            RAISE EXCEPTION 'category "%" cannot stand below itself', NEW.title USING ERRCODE = '23514',
                HINT = 'Choose a category that is not below it, or none.';
        END IF;
    END IF;
    RETURN NEW;
END $$;

-- ---- articles ----

-- What an author may refer to: the same refusal for what is hidden and what is
-- missing.
CREATE FUNCTION csm_private.may_place_article(a csm.articles, action text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm.audience_allows(b.audience_id, action) AND csm.audience_allows(a.audience_id, action)
       AND (a.category_id IS NULL OR EXISTS (SELECT FROM csm.knowledge_categories c
                                             WHERE c.id = a.category_id AND c.base_id = a.base_id AND c.tenant_id = a.tenant_id))
       AND (a.product_id IS NULL OR EXISTS (SELECT FROM csm.products p WHERE p.id = a.product_id AND p.tenant_id = a.tenant_id))
       AND (a.translation_of IS NULL
            OR csm_private.article_allows(a.translation_of, a.tenant_id, 'read')
               AND EXISTS (SELECT FROM csm.articles t
                           WHERE t.id = a.translation_of AND t.base_id = a.base_id AND t.tenant_id = a.tenant_id AND t.translation_of IS NULL))
    FROM csm.knowledge_bases b WHERE b.id = a.base_id AND b.tenant_id = a.tenant_id
$$;

CREATE FUNCTION csm_private.article_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    loads CONSTANT boolean := csm_private.importing();
    b csm.knowledge_bases;
BEGIN
    IF csm_private.restoring() THEN
        -- of a word that is erased nothing is found
        IF TG_OP = 'UPDATE' AND (NEW.title, NEW.keywords, NEW.body) IS DISTINCT FROM (OLD.title, OLD.keywords, OLD.body) THEN
            NEW.search := csm_private.search_vector(NEW.language, NEW.number || ' ' || NEW.title, NEW.keywords, NEW.body);
        END IF;
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT * INTO b FROM csm.knowledge_bases k WHERE k.id = NEW.base_id AND k.tenant_id = NEW.tenant_id;
        NEW.audience_id := coalesce(NEW.audience_id, b.audience_id);
        NEW.language := coalesce(NEW.language, b.language);
        NEW.number := coalesce(NEW.number, 'KB' || lpad(NEW.id::text, greatest(7, length(NEW.id::text)), '0'));
        IF loads THEN
            NEW.version := CASE WHEN NEW.state IN ('published', 'retired') THEN coalesce(NEW.version, 1) END;
        ELSE
            NEW.state := 'draft';
            NEW.version := NULL;
            NEW.published_at := NULL;
            NEW.updated_at := clock_timestamp();
        END IF;
    ELSIF (NEW.id, NEW.tenant_id, NEW.base_id, NEW.number, NEW.translation_of)
          IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.base_id, OLD.number, OLD.translation_of) THEN
        RAISE EXCEPTION 'id, tenant, base, number and original of article % cannot change', OLD.number USING ERRCODE = '42501',
            HINT = 'Write another article.';
    ELSIF pg_trigger_depth() < 2 AND (NEW.state, NEW.version, NEW.published_at, NEW.title, NEW.keywords, NEW.body)
          IS DISTINCT FROM (OLD.state, OLD.version, OLD.published_at, OLD.title, OLD.keywords, OLD.body) THEN
        RAISE EXCEPTION 'text and state of article % follow its versions', OLD.number USING ERRCODE = '42501',
            HINT = 'Call csm.edit_article() and csm.act_on_article().';
    ELSE
        NEW.updated_at := clock_timestamp();
    END IF;
    IF TG_OP = 'INSERT' OR NEW.audience_id <> OLD.audience_id THEN
        IF NOT EXISTS (SELECT FROM csm.audiences u JOIN csm.knowledge_bases k ON k.id = NEW.base_id AND k.tenant_id = NEW.tenant_id
                       WHERE u.id = NEW.audience_id AND u.tenant_id = NEW.tenant_id AND k.audience_id IN (u.id, u.within_id))
           AND NEW.audience_id IS NOT NULL THEN
            RAISE EXCEPTION 'audience of article % is not within that of its base', NEW.number USING ERRCODE = '23514',
                HINT = 'Give that of the base, or one whose within_id is that of the base.';
        END IF;
    END IF;
    IF NEW.is_public AND (TG_OP = 'INSERT' OR NOT OLD.is_public) THEN
        -- against the base ceasing to be public meanwhile
        SELECT * INTO b FROM csm.knowledge_bases k WHERE k.id = NEW.base_id AND k.tenant_id = NEW.tenant_id FOR SHARE;
        IF NOT b.is_public THEN
            RAISE EXCEPTION 'article % cannot be public', NEW.number USING ERRCODE = '23514',
                DETAIL = format('Knowledge base "%s" is not public.', b.key), HINT = 'An administrator makes the base public first.';
        END IF;
    END IF;
    IF TG_OP = 'INSERT' OR (NEW.language, NEW.title, NEW.keywords, NEW.body)
                           IS DISTINCT FROM (OLD.language, OLD.title, OLD.keywords, OLD.body) THEN
        NEW.search := csm_private.search_vector(NEW.language, NEW.number || ' ' || NEW.title, NEW.keywords, NEW.body);
    END IF;
    RETURN NEW;
END $$;

-- The first version, and of an import the one that stands.
CREATE FUNCTION csm_private.article_begin() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        INSERT INTO csm.article_versions (tenant_id, article_id, version, state, author_id, edited_by, created_at, edited_at,
                                          published_at, ended_at, title, keywords, body)
        SELECT n.tenant_id, n.id, coalesce(n.version, 1), n.state, n.author_id, n.author_id, n.updated_at, n.updated_at,
               n.published_at, CASE n.state WHEN 'retired' THEN n.updated_at END, n.title, n.keywords, n.body
        FROM new_rows n;
        PERFORM csm_private.set_timer(n.tenant_id, 'article_expiry', n.id, NULL, n.expires_at)
        FROM new_rows n WHERE n.expires_at IS NOT NULL;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION csm_private.article_expiry() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        PERFORM csm_private.set_timer(NEW.tenant_id, 'article_expiry', NEW.id, NULL, NEW.expires_at);
    END IF;
    RETURN NULL;
END $$;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.base_guard()',
        'csm_private.base_follow()',
        'csm_private.category_guard()',
        'csm_private.may_place_article(csm.articles, text)',
        'csm_private.article_guard()',
        'csm_private.article_begin()',
        'csm_private.article_expiry()']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm_private.may_place_article(csm.articles, text) TO csm_portal, csm_agent;
COMMENT ON FUNCTION csm_private.base_guard() IS 'Trigger of csm.knowledge_bases and csm.publication_series: an audience for a new row without one; error 42501 for a change of id, tenant or audience';
COMMENT ON FUNCTION csm_private.base_follow() IS 'Trigger of csm.knowledge_bases: a base that is not public any more has no public article';
COMMENT ON FUNCTION csm_private.category_guard() IS 'Trigger of csm.knowledge_categories: error 23514 for a circle, 42501 for a change of id, tenant or base';
COMMENT ON FUNCTION csm_private.may_place_article(csm.articles, text) IS
'Whether base and audience of the article give the caller the action, and its category, product and original are of the base and tenant and, the original, read by him; NULL or false otherwise, alike for hidden and missing';
COMMENT ON FUNCTION csm_private.article_guard() IS
'Trigger of csm.articles: fills in a new article, keeps search and updated_at. Errors: 42501 for a change of what is fixed or follows the versions, 23514 for an audience not within that of the base and for a public article of a base that is not';
COMMENT ON FUNCTION csm_private.article_begin() IS 'Trigger of csm.articles: the first version of new articles';
COMMENT ON FUNCTION csm_private.article_expiry() IS 'Trigger of csm.articles: the timer of expires_at';

CREATE TRIGGER knowledge_bases_10_guard BEFORE INSERT OR UPDATE ON csm.knowledge_bases
    FOR EACH ROW EXECUTE FUNCTION csm_private.base_guard();
CREATE TRIGGER knowledge_bases_20_follow AFTER UPDATE ON csm.knowledge_bases
    FOR EACH ROW WHEN (OLD.is_public AND NOT NEW.is_public) EXECUTE FUNCTION csm_private.base_follow();
CREATE TRIGGER knowledge_categories_10_guard BEFORE UPDATE ON csm.knowledge_categories
    FOR EACH ROW EXECUTE FUNCTION csm_private.category_guard();
CREATE TRIGGER articles_10_guard BEFORE INSERT OR UPDATE ON csm.articles
    FOR EACH ROW EXECUTE FUNCTION csm_private.article_guard();
CREATE TRIGGER articles_10_append_only BEFORE DELETE ON csm.articles
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER articles_10_append_only_truncate BEFORE TRUNCATE ON csm.articles
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER articles_20_begin AFTER INSERT ON csm.articles
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION csm_private.article_begin();
CREATE TRIGGER articles_30_expiry AFTER UPDATE ON csm.articles
    FOR EACH ROW WHEN (OLD.expires_at IS DISTINCT FROM NEW.expires_at) EXECUTE FUNCTION csm_private.article_expiry();

CREATE POLICY articles_insert ON csm.articles FOR INSERT TO csm_portal, csm_agent
    WITH CHECK (author_id = csm.current_user_id() AND csm_private.may_place_article(articles, 'contribute'));
CREATE POLICY articles_update ON csm.articles FOR UPDATE TO csm_agent
    USING (csm.audience_allows(audience_id, 'manage')) WITH CHECK (csm_private.may_place_article(articles, 'manage'));
GRANT INSERT (base_id, category_id, product_id, translation_of, language, title, keywords, body) ON csm.articles TO csm_portal, csm_agent;
GRANT UPDATE (is_public, expires_at, category_id, product_id, audience_id) ON csm.articles TO csm_agent;
COMMENT ON POLICY articles_insert ON csm.articles IS 'Who may contribute, in his own name; 42501 for a base, category or original that is hidden, missing or does not fit';
COMMENT ON POLICY articles_update ON csm.articles IS 'Staff of the audience: where it stands, who reads it, until when';
