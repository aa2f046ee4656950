-- Attachments: what they are here, their content beside, or an address where it
-- is kept.  Rows are neither changed nor deleted.  An attachment is seen by
-- whoever sees its entry, or, without one, like a shared entry.

CREATE TABLE csm.attachments (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    entry_id bigint,
    author_id bigint,
    author_name text NOT NULL,
    visibility text NOT NULL DEFAULT 'shared',
    side text NOT NULL,
    file_name text NOT NULL,
    media_type text NOT NULL DEFAULT 'application/octet-stream',
    size bigint,
    sha256 bytea,
    url text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT attachments_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT attachments_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT attachments_entry_fkey FOREIGN KEY (entry_id, tenant_id) REFERENCES csm.case_entries (id, tenant_id),
    CONSTRAINT attachments_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT attachments_visibility_check CHECK (visibility IN ('shared', 'internal', 'private')),
    CONSTRAINT attachments_side_check CHECK (side IN ('customer', 'counterparty', 'operator')),
    CONSTRAINT attachments_name_check CHECK (length(file_name) BETWEEN 1 AND 255 AND file_name !~ '[/\\[:cntrl:]]'),
    CONSTRAINT attachments_type_check CHECK (media_type ~ '^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$'),
    CONSTRAINT attachments_url_check CHECK (url ~ '^https?://[^[:space:][:cntrl:]]+$' AND length(url) <= 2000),
    CONSTRAINT attachments_content_check CHECK (size >= 0 AND octet_length(sha256) = 32
        AND (url IS NOT NULL OR size IS NOT NULL AND sha256 IS NOT NULL))
);
CREATE INDEX attachments_case_idx ON csm.attachments (case_id, created_at);
CREATE INDEX attachments_entry_idx ON csm.attachments (entry_id) WHERE entry_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.attachments');

CREATE TABLE csm.attachment_contents (
    attachment_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    content bytea NOT NULL,
    CONSTRAINT attachment_contents_pkey PRIMARY KEY (attachment_id, tenant_id),
    CONSTRAINT attachment_contents_attachment_fkey FOREIGN KEY (attachment_id, tenant_id) REFERENCES csm.attachments (id, tenant_id)
);
-- Files are compressed already, as a rule; so substring() reads what it needs.
ALTER TABLE csm.attachment_contents ALTER COLUMN content SET STORAGE EXTERNAL;
SELECT csm_private.adopt_table('csm.attachment_contents');

CREATE POLICY attachments_select ON csm.attachments FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.cases c
                   WHERE c.id = case_id AND c.tenant_id = attachments.tenant_id
                     AND CASE visibility
                         WHEN 'shared' THEN true
                         WHEN 'internal' THEN csm_private.case_allows(c, 'case_work')
                         ELSE csm_private.case_side_allows(c, attachments.side) END));
CREATE POLICY attachment_contents_select ON csm.attachment_contents FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.attachments a WHERE a.id = attachment_id AND a.tenant_id = attachment_contents.tenant_id));
GRANT SELECT ON csm.attachments, csm.attachment_contents TO csm_portal, csm_agent, csm_admin;

COMMENT ON TABLE csm.attachments IS 'Files on a case; append-only, written by csm.attach()';
COMMENT ON COLUMN csm.attachments.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.attachments.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.attachments.case_id IS 'The case';
COMMENT ON COLUMN csm.attachments.entry_id IS 'Entry of the case that it belongs to; NULL: the case itself';
COMMENT ON COLUMN csm.attachments.author_id IS 'Who attached it; NULL for the system';
COMMENT ON COLUMN csm.attachments.author_name IS 'His name then (V11)';
COMMENT ON COLUMN csm.attachments.visibility IS 'That of its entry, copied; shared without one';
COMMENT ON COLUMN csm.attachments.side IS 'Side of its author, or of its entry, copied: customer, counterparty or operator';
COMMENT ON COLUMN csm.attachments.file_name IS 'Name without path, 1 to 255 characters';
COMMENT ON COLUMN csm.attachments.media_type IS 'Media type without parameters (RFC 6838), as the client gave it: not to be trusted';
COMMENT ON COLUMN csm.attachments.size IS 'Bytes; NULL where a url was given without it';
COMMENT ON COLUMN csm.attachments.sha256 IS 'SHA-256 of the content, computed here where the content is here; NULL where a url was given without it';
COMMENT ON COLUMN csm.attachments.url IS 'http or https address of the content, up to 2,000 characters; NULL where it stands in csm.attachment_contents';
COMMENT ON COLUMN csm.attachments.created_at IS 'When it was attached';
COMMENT ON TABLE csm.attachment_contents IS 'Contents that are kept in the database; append-only';
COMMENT ON COLUMN csm.attachment_contents.attachment_id IS 'The attachment';
COMMENT ON COLUMN csm.attachment_contents.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.attachment_contents.content IS 'The bytes, not compressed';
COMMENT ON POLICY attachments_select ON csm.attachments IS 'As the entry it belongs to; without one, all who see the case';
COMMENT ON POLICY attachment_contents_select ON csm.attachment_contents IS 'Whoever sees the attachment';

CREATE FUNCTION csm_private.file_name(given text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT nullif(CASE WHEN length(n.name) <= 255 THEN n.name
                  ELSE left(n.name, 255 - length(n.extension)) || n.extension END, '')
    FROM (SELECT s.name, coalesce(substring(s.name FROM '\.[A-Za-z0-9]{1,16}$'), '') AS extension
          FROM (SELECT btrim(regexp_replace(
                           regexp_replace(regexp_replace(given, '^.*[/\\]', ''),
                               '[[:cntrl:]\u0080-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]', '', 'g'),
                           '[<>:"|?*]', '_', 'g'), ' .') AS name) s) n
$$;
COMMENT ON FUNCTION csm_private.file_name(text) IS
'A file name as it can be kept and shown: what follows the last / or \, without control and direction characters, without blanks and points at its ends, characters that a file system refuses as _, cut to 255 characters before the extension; NULL where nothing is left';

CREATE FUNCTION csm_private.attachment_limit(c csm.cases, key text, otherwise bigint) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN jsonb_typeof(s.value) = 'number' THEN floor(s.value::numeric)::bigint ELSE otherwise END
    FROM (SELECT coalesce(csm_private.type_setting(c.tenant_id, c.case_type, attachment_limit.key),
                          (SELECT t.settings -> attachment_limit.key FROM csm.tenants t WHERE t.id = c.tenant_id)) AS value) s
$$;
COMMENT ON FUNCTION csm_private.attachment_limit(csm.cases, text, bigint) IS
'A limit as the case type says, else the tenant, else the last argument';

-- The case is locked before it is judged, so that of two who attach at once the
-- second is counted after the first.
CREATE FUNCTION csm.attach(case_id bigint, file_name text, media_type text DEFAULT NULL, content bytea DEFAULT NULL,
    url text DEFAULT NULL, entry_id bigint DEFAULT NULL, size bigint DEFAULT NULL, sha256 bytea DEFAULT NULL) RETURNS csm.attachments
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    is_system CONSTANT boolean := csm_private.acts_as_system();
    clean_name CONSTANT text := csm_private.file_name(file_name);
    clean_type CONSTANT text := lower(btrim(split_part(coalesce(media_type, 'application/octet-stream'), ';', 1)));
    c csm.cases;
    e csm.case_entries;
    a csm.attachments;
    most bigint;
BEGIN
    IF case_id IS NULL OR file_name IS NULL THEN
        RAISE EXCEPTION '% of csm.attach() is null', CASE WHEN case_id IS NULL THEN 'case_id' ELSE 'file_name' END
            USING ERRCODE = '22004', HINT = 'Give the case, a name, and content or url.';
    END IF;
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND is_system) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT (is_system OR csm_private.case_allows(c, 'case_comment') OR csm_private.case_allows(c, 'case_work')) THEN
        RAISE EXCEPTION 'an attachment to case % is not permitted', c.number USING ERRCODE = '42501',
            HINT = 'Attaching needs case_comment.';
    ELSIF num_nonnulls(content, url) <> 1 THEN
        RAISE EXCEPTION 'an attachment has either content or url' USING ERRCODE = '22023',
            HINT = 'Give the bytes, or the address where they are kept.';
    ELSIF clean_name IS NULL THEN
        RAISE EXCEPTION 'file name "%" has no character that can be kept', left(file_name, 100) USING ERRCODE = '22023',
            HINT = 'Give a name such as invoice.pdf.';
    ELSIF clean_type !~ '^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$' THEN
        RAISE EXCEPTION 'media type "%" is malformed', left(media_type, 100) USING ERRCODE = '22023',
            HINT = 'Give one such as application/pdf, or leave it out.';
    ELSIF url !~ '^https?://[^[:space:][:cntrl:]]+$' OR length(url) > 2000 THEN
        RAISE EXCEPTION 'url of the attachment cannot be kept' USING ERRCODE = '22023',
            HINT = 'Use http or https, without blanks, up to 2,000 characters.';
    ELSIF content IS NOT NULL AND (size <> octet_length(content) OR sha256 <> pg_catalog.sha256(content)) THEN
        RAISE EXCEPTION 'the content is not what was sent' USING ERRCODE = '22023',
            DETAIL = format('%s bytes came.', octet_length(content)), HINT = 'Send it again.';
    ELSIF size < 0 OR octet_length(sha256) <> 32 THEN
        RAISE EXCEPTION 'size or sha256 of the attachment is out of range' USING ERRCODE = '22023',
            HINT = 'A SHA-256 has 32 bytes.';
    END IF;

    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id FOR NO KEY UPDATE;
    IF c.state_class IN ('closed', 'cancelled') THEN
        RAISE EXCEPTION 'case % is closed', c.number USING ERRCODE = 'SM004',
            DETAIL = format('Its state is "%s".', c.state), HINT = 'Open a new case that refers to it.';
    END IF;
    IF entry_id IS NOT NULL THEN
        SELECT * INTO e FROM csm.case_entries x
        WHERE x.id = entry_id AND x.case_id = case_id AND (is_system OR x.author_id = me);
        IF NOT FOUND THEN
            RAISE EXCEPTION 'entry % of case % is not yours', entry_id, c.number USING ERRCODE = '42501',
                HINT = 'Attach to an entry that you wrote, or to the case.';
        END IF;
    END IF;
    most := csm_private.attachment_limit(c, 'max_attachment_bytes', 10485760);
    IF octet_length(content) > most THEN
        RAISE EXCEPTION 'attachment "%" is too large', clean_name USING ERRCODE = '22023',
            DETAIL = format('It has %s bytes; at most %s are allowed.', octet_length(content), most),
            HINT = 'Keep it elsewhere and give its url.';
    END IF;
    most := csm_private.attachment_limit(c, 'max_attachments', 100);
    IF (SELECT count(*) FROM csm.attachments x WHERE x.case_id = case_id) >= most THEN
        RAISE EXCEPTION 'case % has too many attachments', c.number USING ERRCODE = 'SM007',
            DETAIL = format('At most %s are allowed.', most), HINT = 'An administrator sets max_attachments of the case type or the tenant.';
    END IF;

    IF c.branch = 'b2c' THEN
        PERFORM csm_private.enforce_quota(c.tenant_id, 'attachments',
            (SELECT count(*) + 1 FROM csm.attachments x WHERE x.case_id = case_id AND x.author_id = me));
    END IF;

    a.side := coalesce(e.side, CASE WHEN is_system OR csm_private.case_allows(c, 'case_work') THEN 'operator'
                                    WHEN csm_private.case_side_allows(c, 'customer') THEN 'customer' ELSE 'counterparty' END);
    a.author_name := coalesce((SELECT u.display_name FROM csm.users u WHERE u.id = me AND u.tenant_id = c.tenant_id), 'system');
    -- The case needs attention as after an entry, but nothing is answered: announced as one of its side alone.
    PERFORM csm_private.begin_entry(case_id, CASE e.visibility WHEN 'internal' THEN 'internal' ELSE 'private' END, a.side, me);
    UPDATE csm.cases x SET updated_at = x.updated_at WHERE x.id = case_id;
    INSERT INTO csm.attachments (tenant_id, case_id, entry_id, author_id, author_name, visibility, side, file_name, media_type, size, sha256, url)
    VALUES (c.tenant_id, case_id, entry_id, me, a.author_name, coalesce(e.visibility, 'shared'), a.side, clean_name, clean_type,
            coalesce(octet_length(content), size), coalesce(pg_catalog.sha256(content), sha256), url)
    RETURNING * INTO a;
    IF content IS NOT NULL THEN
        INSERT INTO csm.attachment_contents (attachment_id, tenant_id, content) VALUES (a.id, a.tenant_id, content);
    END IF;
    PERFORM csm_private.emit(a.tenant_id, a.case_id, 'attached', jsonb_build_object('attachment_id', a.id),
        a.visibility, CASE a.visibility WHEN 'private' THEN a.side END, me);
    RETURN a;
END $$;
COMMENT ON FUNCTION csm.attach(bigint, text, text, bytea, text, bigint, bigint, bytea) IS
'Attaches a file to a case, or to an entry that the caller wrote, and returns it. Either content, which is kept here and whose size and SHA-256 are computed (size and sha256, where given, must agree), or url, with which size and sha256 are kept as given. file_name loses its path and what cannot be shown. media_type: application/octet-stream by default. Limits: max_attachments of a case (100) and max_attachment_bytes of a content (10,485,760) in the settings of the case type, else of the tenant; of a consumer the quota attachments of the tenant. Errors: SM001 no such case, 42501 not permitted, or no entry of his, SM004 case closed, SM007 too many, 22004 null argument, 22023 name, type, url or content not acceptable or too large';

-- A content that is no more what its row says, a row that is not what was attached.
CREATE FUNCTION csm_private.attachment_problems(only_tenant bigint, only_case bigint)
RETURNS TABLE (case_id bigint, seq bigint, what text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT h.case_id, h.seq,
           CASE WHEN a.id IS NULL THEN 'attachment ' || (h.payload #>> '{attachment.id,1}') || ' is missing'
                WHEN a.url IS NULL AND t.content IS NULL THEN 'content of attachment ' || a.id || ' is missing'
                WHEN t.content IS NOT NULL AND (octet_length(t.content), sha256(t.content)) IS DISTINCT FROM (a.size, a.sha256)
                THEN 'content of attachment ' || a.id || ' was changed'
                ELSE 'attachment ' || a.id || ' was changed' END
    FROM csm.case_history h
    LEFT JOIN csm.attachments a ON a.id = (h.payload #>> '{attachment.id,1}')::bigint
    LEFT JOIN csm.attachment_contents t ON t.attachment_id = a.id AND t.tenant_id = a.tenant_id
    WHERE (only_tenant IS NULL OR h.tenant_id = only_tenant) AND (only_case IS NULL OR h.case_id = only_case)
      AND h.payload ? 'attachment.id'
      AND (a.id IS NULL
           OR (a.case_id, a.tenant_id, a.entry_id, a.author_id, a.author_name, a.visibility, a.side, a.file_name, a.media_type,
               a.size, encode(a.sha256, 'hex'), a.url, a.created_at)
              IS DISTINCT FROM
              (h.case_id, h.tenant_id, (h.payload #>> '{attachment.entry_id,1}')::bigint,
               csm_private.person_now((h.payload #>> '{attachment.author_id,1}')::bigint, h.tenant_id), h.actor_name, h.payload #>> '{attachment.visibility,1}', h.payload #>> '{attachment.side,1}',
               h.payload #>> '{attachment.file_name,1}', h.payload #>> '{attachment.media_type,1}',
               (h.payload #>> '{attachment.size,1}')::bigint, h.payload #>> '{attachment.sha256,1}', h.payload #>> '{attachment.url,1}',
               (h.payload #>> '{attachment.created_at,1}')::timestamptz)
           OR a.url IS NULL AND t.content IS NULL
           OR (octet_length(t.content), sha256(t.content)) IS DISTINCT FROM (a.size, a.sha256) AND t.content IS NOT NULL)
$$;
COMMENT ON FUNCTION csm_private.attachment_problems(bigint, bigint) IS
'Attachments that are not what the history says, and contents that are not what their attachment says; of one tenant or case, NULL for all';

DO $$
DECLARE
    f regprocedure;
    t text;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.file_name(text)',
        'csm_private.attachment_limit(csm.cases, text, bigint)',
        'csm.attach(bigint, text, text, bytea, text, bigint, bigint, bytea)',
        'csm_private.attachment_problems(bigint, bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
    FOREACH t IN ARRAY '{attachments,attachment_contents}'::text[] LOOP
        EXECUTE format('CREATE TRIGGER %1$s_10_append_only_truncate BEFORE TRUNCATE ON csm.%1$s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only()', t);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.attach(bigint, text, text, bytea, text, bigint, bigint, bytea) TO csm_portal, csm_agent;

CREATE TRIGGER attachments_10_append_only BEFORE UPDATE OR DELETE ON csm.attachments
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('author_name', 'file_name', 'size', 'sha256', 'url');
CREATE TRIGGER attachment_contents_10_append_only BEFORE UPDATE OR DELETE ON csm.attachment_contents
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('content');
CREATE TRIGGER attachments_30_history AFTER INSERT ON csm.attachments
    FOR EACH ROW EXECUTE FUNCTION csm_private.history('attachment');
