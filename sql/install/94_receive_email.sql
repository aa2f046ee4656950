-- Mail on its way in.
--
-- A gateway process hands over each mail once; csm finds the person who sent
-- it, the case that it answers, and does with that person's rights what he
-- could have done himself (src/csm_as_person.c): a comment, or a new case.
-- What he may not do is refused, recorded and kept, never raised, so that a
-- gateway has nothing to try again. One answer for a hidden and a missing case.
--
-- A From address proves nobody. It counts where the gateway says that DMARC
-- passed; a tenant may be content with less (setting mail_in).

-- Another trust than that of csm.mail_senders: a sender reads what goes out, a
-- gateway says who wrote.
CREATE TABLE csm.mail_gateways (
    user_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT mail_gateways_pkey PRIMARY KEY (user_id, tenant_id),
    CONSTRAINT mail_gateways_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE
);
SELECT csm_private.adopt_table('csm.mail_gateways');
CREATE POLICY mail_gateways_select ON csm.mail_gateways FOR SELECT TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.mail_gateways TO csm_admin;

COMMENT ON TABLE csm.mail_gateways IS 'Persons, as a rule technical ones, as whom a gateway may hand over mail for the tenant; kept by csm.allow_mail_gateway()';
COMMENT ON COLUMN csm.mail_gateways.user_id IS 'The person';
COMMENT ON COLUMN csm.mail_gateways.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.mail_gateways.created_at IS 'Since when';
COMMENT ON POLICY mail_gateways_select ON csm.mail_gateways IS 'Administrators see who may hand over mail';

CREATE TABLE csm.email_log (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    message_id text,
    from_address text,
    user_id bigint,
    status text NOT NULL,
    reason text,
    detail text,
    case_id bigint,
    entry_id bigint,
    attached integer NOT NULL DEFAULT 0,
    not_attached integer NOT NULL DEFAULT 0,
    subject text,
    body text,
    settled_by bigint,
    settled_at timestamptz,
    CONSTRAINT email_log_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT email_log_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT email_log_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT email_log_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT email_log_entry_fkey FOREIGN KEY (entry_id, tenant_id) REFERENCES csm.case_entries (id, tenant_id),
    CONSTRAINT email_log_settled_by_fkey FOREIGN KEY (settled_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT email_log_message_key UNIQUE (tenant_id, message_id),
    CONSTRAINT email_log_status_check CHECK (status IN ('received', 'opened', 'commented', 'queued', 'refused', 'ignored')),
    CONSTRAINT email_log_reason_check CHECK (reason ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT email_log_text_check CHECK (length(message_id) BETWEEN 3 AND 998 AND length(from_address) <= 320
        AND length(subject) <= 400 AND length(body) <= 100000 AND length(detail) <= 1000),
    CONSTRAINT email_log_count_check CHECK (attached >= 0 AND not_attached >= 0)
);
CREATE INDEX email_log_received_idx ON csm.email_log (tenant_id, received_at);
CREATE INDEX email_log_user_idx ON csm.email_log (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX email_log_case_idx ON csm.email_log (case_id) WHERE case_id IS NOT NULL;
CREATE INDEX email_log_from_idx ON csm.email_log (tenant_id, from_address) WHERE user_id IS NULL;
CREATE INDEX email_log_queue_idx ON csm.email_log (tenant_id, id) WHERE status = 'queued' AND settled_at IS NULL;
SELECT csm_private.adopt_table('csm.email_log');

CREATE POLICY email_log_select ON csm.email_log FOR SELECT TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure')
           OR status = 'queued' AND csm.all_in(tenant_id, 'internal', 'person_manage'));
GRANT SELECT ON csm.email_log TO csm_agent, csm_admin;

COMMENT ON TABLE csm.email_log IS 'Mail that came in and what became of it, a row each; written by csm.receive_email(), the text kept where nothing was done with it';
COMMENT ON COLUMN csm.email_log.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.email_log.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.email_log.received_at IS 'When the gateway received it, or handed it over';
COMMENT ON COLUMN csm.email_log.message_id IS 'Its Message-ID, unique in the tenant; NULL where it had none that could be read';
COMMENT ON COLUMN csm.email_log.from_address IS 'Address of From, in lower case; NULL where there was none that could be read';
COMMENT ON COLUMN csm.email_log.user_id IS 'The person with that address; NULL where nobody had it, or it was not proven';
COMMENT ON COLUMN csm.email_log.status IS 'opened (a case), commented, queued (for staff), refused, ignored (no person wrote it); received only while it is worked on';
COMMENT ON COLUMN csm.email_log.reason IS 'Why nothing was done, as the gateway was told; NULL where something was';
COMMENT ON COLUMN csm.email_log.detail IS 'What the gateway was not told: error and message; NULL for none';
COMMENT ON COLUMN csm.email_log.case_id IS 'The case opened or commented on, or the one that was refused to him; NULL for none';
COMMENT ON COLUMN csm.email_log.entry_id IS 'The entry that it became; NULL for none';
COMMENT ON COLUMN csm.email_log.attached IS 'How many of its attachments were taken';
COMMENT ON COLUMN csm.email_log.not_attached IS 'How many were not: too large, too many, malformed';
COMMENT ON COLUMN csm.email_log.subject IS 'Subject without control and direction characters; NULL where the mail became a case or an entry';
COMMENT ON COLUMN csm.email_log.body IS 'Text likewise, the first 100,000 characters; NULL where the mail became a case or an entry, or was ignored';
COMMENT ON COLUMN csm.email_log.settled_by IS 'Who took it from the queue by csm.settle_email(); NULL for nobody';
COMMENT ON COLUMN csm.email_log.settled_at IS 'When; NULL while it waits, or never waited';
COMMENT ON POLICY email_log_select ON csm.email_log IS 'Administrators all of it; staff with person_manage what waits for them';

-- Settings ------------------------------------------------------------------

ALTER TABLE csm.tenants ADD CONSTRAINT tenants_mail_in_check CHECK (
    (NOT settings ? 'mail_in'
     OR (jsonb_typeof(settings->'mail_in') = 'object'
         AND (settings->'mail_in') - '{trust,unknown,closed,opens,case_type,per_sender,marker}'::text[] = '{}'
         AND coalesce(settings->'mail_in'->>'trust', 'dmarc') IN ('dmarc', 'token', 'any')
         AND coalesce(settings->'mail_in'->>'unknown', 'refuse') IN ('refuse', 'queue')
         AND coalesce(settings->'mail_in'->>'closed', 'refuse') IN ('refuse', 'follow_up')
         AND coalesce(jsonb_typeof(settings->'mail_in'->'opens'), 'boolean') = 'boolean'
         AND coalesce(jsonb_typeof(settings->'mail_in'->'case_type'), 'string') = 'string'
         AND coalesce(jsonb_typeof(settings->'mail_in'->'marker'), 'string') = 'string'
         AND coalesce(settings->'mail_in'->>'per_sender', '1') ~ '^[1-9][0-9]{0,4}$')));

CREATE FUNCTION csm_private.mail_setting(tenant_id bigint, key text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(t.settings -> 'mail_in' ->> mail_setting.key,
                    CASE mail_setting.key WHEN 'trust' THEN 'dmarc' WHEN 'unknown' THEN 'refuse' WHEN 'closed' THEN 'refuse'
                         WHEN 'opens' THEN 'true' WHEN 'case_type' THEN 'case' WHEN 'per_sender' THEN '20' END)
    FROM csm.tenants t WHERE t.id = mail_setting.tenant_id
$$;
COMMENT ON FUNCTION csm_private.mail_setting(bigint, text) IS
'trust (dmarc: From counts where DMARC passed; token: also where the mail carries a token that was sent to that person; any: always, the gateway lets nobody else in), unknown (refuse or queue what an unknown address sends), closed (refuse an answer to a closed case, or open a follow_up), opens (whether mail opens cases), case_type (of those), per_sender (mails of an address in an hour; 20), from the setting mail_in of a tenant';

-- Reading a mail ------------------------------------------------------------

CREATE FUNCTION csm_private.mail_clean(given text, lines boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT btrim(CASE WHEN lines
                 THEN regexp_replace(regexp_replace(t.shown, '\r\n?', E'\n', 'g'), '[\u0001-\u0008\u000b-\u001f\u007f-\u009f]', '', 'g')
                 ELSE regexp_replace(t.shown, '[\u0001-\u0020\u007f-\u00a0]+', ' ', 'g') END, E' \t\n')
    FROM (SELECT regexp_replace(given, '[\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]', '', 'g') AS shown) t
$$;
COMMENT ON FUNCTION csm_private.mail_clean(text, boolean) IS
'Text without control and direction characters, trimmed; lines: with its lines, ended by line feeds, else as one line';

-- What the person wrote himself: the lines above the first marker, without the
-- quotation at the end and the line that introduces it.
CREATE FUNCTION csm_private.mail_reply(given text, markers text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    said text := given;
    marker text;
    lines text[];
    quoted boolean := false;
    n integer;
BEGIN
    FOREACH marker IN ARRAY markers LOOP
        IF strpos(said, marker) > 0 THEN
            quoted := true;
            said := regexp_replace(left(said, strpos(said, marker) - 1), '[^\n]*$', '');
        END IF;
    END LOOP;
    lines := string_to_array(said, E'\n');
    n := coalesce(cardinality(lines), 0);
    WHILE n > 0 AND lines[n] ~ '^\s*(>.*)?$' LOOP
        quoted := quoted OR lines[n] ~ '>';
        n := n - 1;
    END LOOP;
    IF quoted AND n > 0 AND lines[n] ~ '[:：]\s*$' THEN
        n := n - 1;
    END IF;
    RETURN btrim(array_to_string(lines[1:n], E'\n'), E' \t\n');
END $$;
COMMENT ON FUNCTION csm_private.mail_reply(text, text[]) IS
'What of a mail''s text is its answer: above the first line with a marker, without quoted lines at the end and a line that ends with a colon before them; may be empty';

CREATE FUNCTION csm_private.mail_address(given text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT lower(a.address)
    FROM (SELECT CASE WHEN given ~ '[<>]' THEN btrim(substring(given FROM '^[^<>]*<([^<>]*)>\s*$')) ELSE btrim(given) END AS address) a
    WHERE length(given) <= 1000 AND given !~ '[[:cntrl:]]' AND csm_private.is_address(a.address)
$$;
COMMENT ON FUNCTION csm_private.mail_address(text) IS
'The one address of a header From, in lower case; NULL where there is none, more than one, or anything that a header would read otherwise';

-- The shape of what a gateway hands over; what it says is judged later.
CREATE FUNCTION csm_private.mail_fault(mail jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN EXISTS (SELECT FROM jsonb_each(mail) e
                     WHERE e.key IN ('message_id', 'in_reply_to', 'references', 'from', 'to', 'subject', 'text', 'received_at')
                       AND jsonb_typeof(e.value) NOT IN ('string', 'null'))
          OR jsonb_typeof(mail -> 'headers') NOT IN ('object', 'null')
          OR jsonb_typeof(mail -> 'authentication') NOT IN ('object', 'null')
          OR jsonb_typeof(mail -> 'attachments') NOT IN ('array', 'null') THEN 'malformed'
        WHEN mail ->> 'message_id' IS NULL OR length(mail ->> 'message_id') NOT BETWEEN 3 AND 998
          OR mail ->> 'message_id' !~ '^<[^<>[:space:][:cntrl:]]+>$' THEN 'malformed'
        WHEN csm_private.mail_address(mail ->> 'from') IS NULL AND btrim(mail ->> 'from', ' <>') <> '' THEN 'malformed'
        WHEN length(mail ->> 'text') > 1000000 OR length(mail ->> 'subject') > 10000 OR length(mail ->> 'to') > 20000
          OR length(mail ->> 'in_reply_to') > 20000 OR length(mail ->> 'references') > 20000
          OR jsonb_array_length(coalesce(nullif(mail -> 'attachments', 'null'), '[]')) > 100
          OR (SELECT count(*) FROM jsonb_object_keys(coalesce(nullif(mail -> 'headers', 'null'), '{}'))) > 200 THEN 'too_large'
        END
$$;
COMMENT ON FUNCTION csm_private.mail_fault(jsonb) IS
'malformed or too_large; NULL where the mail can be read';

-- No person wrote it: RFC 3834, RFC 2369 and 2919, what goes by habit, and what
-- csm itself sent.
CREATE FUNCTION csm_private.mail_loop(mail jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH h AS (
        SELECT lower(k.key) AS name, lower(btrim(k.value)) AS value
        FROM jsonb_each_text(coalesce(nullif(mail -> 'headers', 'null'), '{}')) k
    )
    SELECT CASE
        WHEN btrim(coalesce(mail ->> 'from', ''), ' <>') = ''
          OR csm_private.mail_address(mail ->> 'from') ~ '^(mailer-daemon|postmaster)@'
          OR EXISTS (SELECT FROM h WHERE h.name = 'return-path' AND btrim(h.value, ' <>') = ''
                                      OR h.name = 'content-type' AND h.value LIKE 'multipart/report%') THEN 'bounce'
        WHEN (csm_private.mail_token_target(mail ->> 'message_id')).case_id IS NOT NULL
          OR EXISTS (SELECT FROM h WHERE h.name = 'x-loop') THEN 'loop'
        WHEN EXISTS (SELECT FROM h WHERE h.name = 'auto-submitted' AND h.value !~ '^no\M'
                                      OR h.name IN ('x-autoreply', 'x-autorespond', 'x-auto-response-suppress')
                                      OR h.name = 'precedence' AND h.value ~ '^(bulk|junk|auto_reply)\M') THEN 'auto_submitted'
        WHEN EXISTS (SELECT FROM h WHERE h.name IN ('list-id', 'list-post', 'list-unsubscribe')
                                      OR h.name = 'precedence' AND h.value ~ '^list\M') THEN 'mailing_list'
        END
$$;
COMMENT ON FUNCTION csm_private.mail_loop(jsonb) IS
'Why nobody is to be answered: bounce, loop, auto_submitted or mailing_list; NULL where a person seems to have written';

-- Who wrote it, merged persons included; a disabled one is nobody.
CREATE FUNCTION csm_private.mail_person(tenant_id bigint, address text) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT u.id
    FROM (SELECT coalesce(
              (SELECT u.id FROM csm.users u WHERE u.tenant_id = mail_person.tenant_id AND u.email_key = mail_person.address),
              (SELECT m.kept_id FROM csm.user_merges m
               WHERE m.tenant_id = mail_person.tenant_id AND m.removed ->> 'email_key' = mail_person.address
               ORDER BY m.merged_at DESC LIMIT 1)) AS id) p
    JOIN csm.users u ON u.id = p.id AND u.tenant_id = mail_person.tenant_id AND u.enabled
$$;
COMMENT ON FUNCTION csm_private.mail_person(bigint, text) IS
'The enabled person who has this address, or had it before he was made one with another; NULL for none';

-- Doing it ------------------------------------------------------------------

-- Run as the sender by csm_private.as_person(): what is named here he may name.
CREATE FUNCTION csm_private.mail_act(mail jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target csm.cases;
    made csm.cases;
    entry csm.case_entries;
    file jsonb;
    taken integer := 0;
    left_out integer := 0;
BEGIN
    IF mail ->> 'case_id' IS NOT NULL THEN
        SELECT * INTO target FROM csm.cases c WHERE c.id = (mail ->> 'case_id')::bigint;
        IF NOT FOUND THEN
            RETURN jsonb '{"refused": "not_permitted", "detail": "the case that it answers is hidden from the sender"}';
        END IF;
    ELSE
        SELECT c.* INTO target
        FROM jsonb_array_elements_text(mail -> 'candidates') WITH ORDINALITY k(id, n) JOIN csm.cases c ON c.id = k.id::bigint
        ORDER BY k.n LIMIT 1;
        IF NOT FOUND THEN
            SELECT c.* INTO target
            FROM jsonb_array_elements_text(mail -> 'numbers') WITH ORDINALITY k(number, n)
            JOIN csm.cases c ON c.number = k.number AND c.tenant_id = csm.current_tenant_id()
            ORDER BY k.n LIMIT 1;
        END IF;
    END IF;

    IF target.id IS NULL THEN
        IF mail ->> 'opens' <> 'true' THEN
            RETURN jsonb '{"refused": "not_permitted", "detail": "mail opens no case"}';
        END IF;
        made := csm.open_case(subject => mail ->> 'subject', description => nullif(mail ->> 'text', ''),
                              case_type => mail ->> 'case_type', channel => 'email');
    ELSIF mail ->> 'reply' = '' AND jsonb_array_length(mail -> 'attachments') = 0 THEN
        RETURN jsonb '{"refused": "empty"}';
    ELSIF target.state_class IN ('closed', 'cancelled') AND mail ->> 'closed' = 'follow_up' THEN
        made := csm.open_follow_up(target.id, NULL, nullif(mail ->> 'reply', ''));
    ELSE
        entry := csm.comment(target.id, coalesce(nullif(mail ->> 'reply', ''), '[no text]'));
    END IF;

    FOR file IN SELECT * FROM jsonb_array_elements(mail -> 'attachments') LOOP
        BEGIN
            PERFORM csm.attach(coalesce(made.id, target.id), coalesce(file ->> 'file_name', 'attachment'), file ->> 'media_type',
                decode(file ->> 'content', 'base64'), file ->> 'url', entry.id, (file ->> 'size')::bigint, decode(file ->> 'sha256', 'hex'));
            taken := taken + 1;
        EXCEPTION WHEN data_exception OR integrity_constraint_violation OR insufficient_privilege OR SQLSTATE 'SM004' OR SQLSTATE 'SM007' THEN
            left_out := left_out + 1;
        END;
    END LOOP;
    RETURN jsonb_build_object('status', CASE WHEN made.id IS NULL THEN 'commented' ELSE 'opened' END,
        'case_id', coalesce(made.id, target.id), 'entry_id', entry.id, 'attached', taken, 'not_attached', left_out);
END $$;
COMMENT ON FUNCTION csm_private.mail_act(jsonb) IS
'Body of csm.receive_email(), run as the sender: finds the case among what he sees and comments on it, or opens one. Returns what was done, or refused and why; errors as csm.comment() and csm.open_case()';

-- All that depends on the sender; fills in the row of the log.
CREATE FUNCTION csm_private.judge_mail(e csm.email_log, mail jsonb) RETURNS csm.email_log
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    token_shape CONSTANT text := '(^|[^0-9a-z])[0-9a-f]{40}(?![0-9a-z])';
    trust CONSTANT text := csm_private.mail_setting(e.tenant_id, 'trust');
    target record;
    person CONSTANT bigint := csm_private.mail_person(e.tenant_id, e.from_address);
    proven boolean := trust = 'any' OR lower(mail #>> '{authentication,dmarc}') = 'pass';
    said text;
    done jsonb;
    failure text;
BEGIN
    SELECT t.* INTO target FROM csm_private.mail_token_target(mail ->> 'to') t;
    IF target.case_id IS NULL AND lower(mail ->> 'to') ~ token_shape THEN
        -- a token that csm never made: no more is said of it than of a hidden case
        target.case_id := 0;
    ELSIF target.case_id IS NULL THEN
        SELECT t.* INTO target FROM csm_private.mail_token_target(concat_ws(' ', mail ->> 'in_reply_to', mail ->> 'references')) t;
    END IF;
    IF target.tenant_id <> e.tenant_id THEN
        target.case_id := 0;
    END IF;
    proven := coalesce(proven, false) OR coalesce(trust = 'token' AND target.user_id = person AND target.case_id <> 0, false);

    -- Counted apart, so that nobody uses up another's mails in his name.
    IF NOT csm_private.attempt('mail_in', concat_ws(' ', e.tenant_id, proven, e.from_address),
                               csm_private.mail_setting(e.tenant_id, 'per_sender')::integer, interval '1 hour') THEN
        e.status := 'refused';
        e.reason := 'too_many';
        RETURN e;
    ELSIF NOT proven THEN
        e.status := 'refused';
        e.reason := 'unauthenticated';
        RETURN e;
    ELSIF person IS NULL THEN
        e.status := CASE csm_private.mail_setting(e.tenant_id, 'unknown') WHEN 'queue' THEN 'queued' ELSE 'refused' END;
        e.reason := 'unknown_sender';
        RETURN e;
    END IF;
    e.user_id := person;
    IF target.case_id = 0 THEN
        e.status := 'refused';
        e.reason := 'not_permitted';
        e.detail := 'the token that it carries stands for nothing';
        RETURN e;
    END IF;
    e.case_id := target.case_id;

    said := csm_private.mail_reply(e.body, csm_private.mail_markers(e.tenant_id, NULL));
    BEGIN
        done := csm_private.as_person(person, csm_private.role_of_person(person, e.tenant_id), 'csm_private.mail_act(jsonb)',
            jsonb_build_object('case_id', target.case_id, 'subject', coalesce(nullif(e.subject, ''), '(no subject)'),
                'text', e.body, 'reply', said, 'attachments', coalesce(nullif(mail -> 'attachments', 'null'), '[]'),
                'opens', csm_private.mail_setting(e.tenant_id, 'opens'), 'closed', csm_private.mail_setting(e.tenant_id, 'closed'),
                'case_type', csm_private.mail_setting(e.tenant_id, 'case_type'),
                -- what came in before under an id that this mail names, the nearest first
                'candidates', (SELECT coalesce(jsonb_agg(l.case_id ORDER BY w.n DESC), '[]')
                               FROM (SELECT m.id[1] AS id, m.n
                                     FROM regexp_matches(concat_ws(' ', mail ->> 'references', mail ->> 'in_reply_to'), '<[^<>[:space:]]+>', 'g')
                                          WITH ORDINALITY m(id, n) ORDER BY m.n DESC LIMIT 50) w
                               JOIN csm.email_log l ON l.tenant_id = e.tenant_id AND l.message_id = w.id AND l.status IN ('opened', 'commented')),
                'numbers', (SELECT coalesce(jsonb_agg(DISTINCT upper(m.word[1])), '[]')
                            FROM (SELECT r.word FROM regexp_matches(e.subject, '\m([A-Za-z]{1,8}[0-9]{1,30})\M', 'g') r(word) LIMIT 5) m)));
    EXCEPTION
        WHEN insufficient_privilege OR data_exception OR integrity_constraint_violation OR SQLSTATE 'SM001' OR SQLSTATE 'SM002'
             OR SQLSTATE 'SM003' OR SQLSTATE 'SM004' OR SQLSTATE 'SM005' OR SQLSTATE 'SM006' OR SQLSTATE 'SM007' THEN
            GET STACKED DIAGNOSTICS failure = MESSAGE_TEXT;
            e.detail := left(SQLSTATE || ': ' || failure, 1000);
            done := jsonb_build_object('refused', CASE WHEN SQLSTATE IN ('42501', 'SM001') THEN 'not_permitted' WHEN SQLSTATE = 'SM004' THEN 'case_closed'
                                                       WHEN SQLSTATE = 'SM007' THEN 'quota' ELSE 'not_accepted' END);
    END;
    IF done ? 'refused' THEN
        e.status := 'refused';
        e.reason := done ->> 'refused';
        e.detail := coalesce(e.detail, done ->> 'detail');
        RETURN e;
    END IF;
    e.status := done ->> 'status';
    e.case_id := (done ->> 'case_id')::bigint;
    e.entry_id := (done ->> 'entry_id')::bigint;
    e.attached := (done ->> 'attached')::integer;
    e.not_attached := (done ->> 'not_attached')::integer;
    e.subject := NULL;
    e.body := NULL;
    RETURN e;
END $$;
COMMENT ON FUNCTION csm_private.judge_mail(csm.email_log, jsonb) IS
'Finds the sender and the case, and does as the sender what the mail asks; the row of the log as it is then. What is refused is no error; others, such as a deadlock, pass through';

CREATE FUNCTION csm.receive_email(mail jsonb, OUT status text, OUT reason text, OUT case_id bigint, OUT case_number text,
    OUT entry_id bigint, OUT attached integer, OUT not_attached integer)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant CONSTANT bigint := csm_private.gateway_tenant();
    e csm.email_log;
    fault text;
BEGIN
    IF jsonb_typeof(mail) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'mail is not a JSON object' USING ERRCODE = '22023',
            HINT = 'Give message_id, from, to, subject, text, headers and authentication; README lists them.';
    END IF;
    fault := csm_private.mail_fault(mail);
    -- The row comes first: whoever hands over the same mail meanwhile waits for it.
    INSERT INTO csm.email_log AS l (tenant_id, received_at, message_id, from_address, status, subject, body)
    SELECT tenant, csm_private.mail_time(mail ->> 'received_at'), CASE WHEN fault IS DISTINCT FROM 'malformed' THEN mail ->> 'message_id' END,
           csm_private.mail_address(mail ->> 'from'), 'received', left(csm_private.mail_clean(left(mail ->> 'subject', 10000), false), 400),
           left(csm_private.mail_clean(left(coalesce(mail ->> 'text', ''), 1000000), true), 100000)
    ON CONFLICT ON CONSTRAINT email_log_message_key DO NOTHING
    RETURNING * INTO e;
    IF NOT FOUND THEN
        SELECT * INTO e FROM csm.email_log l WHERE l.tenant_id = tenant AND l.message_id = mail ->> 'message_id';
    ELSE
        IF fault IS NOT NULL THEN
            e.status := 'refused';
            e.reason := fault;
        ELSE
            e.reason := csm_private.mail_loop(mail);
            IF e.reason IS NOT NULL THEN
                e.status := 'ignored';
                e.body := NULL;
            ELSE
                e := csm_private.judge_mail(e, mail);
            END IF;
        END IF;
        UPDATE csm.email_log l
        SET user_id = e.user_id, status = e.status, reason = e.reason, detail = e.detail, case_id = e.case_id, entry_id = e.entry_id,
            attached = e.attached, not_attached = e.not_attached, subject = e.subject, body = e.body
        WHERE l.id = e.id AND l.tenant_id = e.tenant_id;
    END IF;
    status := e.status;
    reason := e.reason;
    attached := e.attached;
    not_attached := e.not_attached;
    -- Of a case on which nothing was done the gateway learns nothing.
    IF e.status IN ('opened', 'commented') THEN
        entry_id := e.entry_id;
        SELECT c.id, c.number INTO case_id, case_number FROM csm.cases c WHERE c.id = e.case_id AND c.tenant_id = e.tenant_id;
    END IF;
END $$;
COMMENT ON FUNCTION csm.receive_email(jsonb) IS
'Takes a mail from a gateway: an object with message_id, in_reply_to, references, from, to, subject, text, received_at, headers (an object), authentication ({"dmarc": "pass"}), attachments (objects with file_name, media_type, and content in base64 or url, size, sha256 in hexadecimal). With the rights of the person who sent it, it becomes an entry of the case that it answers (status commented) or a new case (opened); else it is queued for staff, refused or ignored, and reason says why: README lists them. The same message_id gets the same answer. Persons named by csm.allow_mail_gateway(), for their tenant; the system. Errors: 42501 no gateway, 22023 no JSON object; what is wrong with a mail is no error';

-- Who hands over ------------------------------------------------------------

CREATE FUNCTION csm_private.mail_time(given text) RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN least(coalesce(given::timestamptz, clock_timestamp()), clock_timestamp());
EXCEPTION WHEN data_exception THEN
    RETURN clock_timestamp();
END $$;
COMMENT ON FUNCTION csm_private.mail_time(text) IS
'When the gateway says that it received the mail, never in the future; now where it says nothing that can be read';

CREATE FUNCTION csm_private.gateway_tenant() RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.acts_as_system() THEN
        RETURN csm.default_tenant_id();
    ELSIF NOT EXISTS (SELECT FROM csm.mail_gateways g
                      WHERE g.user_id = csm.current_user_id() AND g.tenant_id = csm.current_tenant_id()
                        AND csm_private.person_id() = g.user_id) THEN
        RAISE EXCEPTION 'mail is handed over by gateways' USING ERRCODE = '42501',
            HINT = 'The DBA names the person of a gateway with csm.allow_mail_gateway().';
    END IF;
    RETURN csm.current_tenant_id();
END $$;
COMMENT ON FUNCTION csm_private.gateway_tenant() IS
'Tenant for which the caller hands over mail; of the system the only one. Errors: 42501 for anybody else, 22023 for the system where there are several tenants';

CREATE FUNCTION csm.allow_mail_gateway(user_id bigint, allowed boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT pg_has_role(current_user, 'csm_owner', 'USAGE') THEN
        RAISE EXCEPTION 'permission denied to name a mail gateway' USING ERRCODE = '42501',
            HINT = 'A gateway says who wrote a mail: only a superuser or a member of csm_owner may call csm.allow_mail_gateway().';
    ELSIF NOT EXISTS (SELECT FROM csm.users u WHERE u.id = allow_mail_gateway.user_id) THEN
        RAISE EXCEPTION 'there is no user %', coalesce(allow_mail_gateway.user_id::text, 'NULL') USING ERRCODE = '22023',
            HINT = 'Name a csm.users.id.';
    END IF;
    IF allowed THEN
        INSERT INTO csm.mail_gateways (user_id, tenant_id)
        SELECT u.id, u.tenant_id FROM csm.users u WHERE u.id = allow_mail_gateway.user_id
        ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM csm.mail_gateways g WHERE g.user_id = allow_mail_gateway.user_id;
    END IF;
END $$;
COMMENT ON FUNCTION csm.allow_mail_gateway(bigint, boolean) IS
'Lets a gateway that is signed in as this person hand over mail, or no longer. Superuser or member of csm_owner. Errors: 42501, 22023 no such user';

-- The queue -----------------------------------------------------------------

-- Staff open the case with their own rights; here they say which one it became.
CREATE FUNCTION csm.settle_email(email_id bigint, case_id bigint DEFAULT NULL) RETURNS csm.email_log
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    e csm.email_log;
    c csm.cases;
BEGIN
    SELECT * INTO e FROM csm.email_log l WHERE l.id = email_id AND l.status = 'queued' FOR UPDATE;
    IF e.id IS NULL OR NOT coalesce(csm.all_in(e.tenant_id, 'internal', 'person_manage') OR csm.all_in(e.tenant_id, 'internal', 'configure'), false) THEN
        RAISE EXCEPTION 'no mail % waits for you', coalesce(email_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'csm.email_log lists what is queued; staff with person_manage and administrators settle it.';
    ELSIF e.settled_at IS NOT NULL THEN
        RAISE EXCEPTION 'mail % is settled already', email_id USING ERRCODE = '55000', HINT = 'Somebody else took it.';
    END IF;
    IF case_id IS NOT NULL THEN
        SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
        IF csm_private.case_allows(c, 'case_work') IS NOT TRUE THEN
            RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
                HINT = 'Name a case on which you work.';
        END IF;
    END IF;
    UPDATE csm.email_log l
    SET case_id = c.id, settled_by = csm.current_user_id(), settled_at = clock_timestamp()
    WHERE l.id = e.id AND l.tenant_id = e.tenant_id RETURNING * INTO e;
    RETURN e;
END $$;
COMMENT ON FUNCTION csm.settle_email(bigint, bigint) IS
'Takes a mail from the queue: case_id is the case that staff opened from it, NULL for none. Staff with person_manage, administrators. Errors: 42501 no such mail in the queue, SM001 no case on which he works, 55000 settled already';

-- How long it is kept -------------------------------------------------------

CREATE FUNCTION csm_private.forget_mail(tenant_id bigint, before timestamptz, at_most integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n bigint;
BEGIN
    DELETE FROM csm.email_log l
    WHERE l.tenant_id = forget_mail.tenant_id
      AND l.id = ANY (ARRAY(SELECT o.id FROM csm.email_log o
                            WHERE o.tenant_id = forget_mail.tenant_id AND o.received_at < forget_mail.before
                              AND NOT EXISTS (SELECT FROM csm.legal_holds h
                                              WHERE h.tenant_id = o.tenant_id AND h.released_at IS NULL
                                                AND (h.user_id = o.user_id OR h.case_id = o.case_id))
                            ORDER BY o.received_at LIMIT forget_mail.at_most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
COMMENT ON FUNCTION csm_private.forget_mail(bigint, timestamptz, integer) IS
'Deletes rows of csm.email_log received before, but for those of a person or case that a legal hold keeps; returns how many. A mail that comes again after that is a new one';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.mail_setting(bigint, text)',
        'csm_private.mail_clean(text, boolean)',
        'csm_private.mail_reply(text, text[])',
        'csm_private.mail_address(text)',
        'csm_private.mail_fault(jsonb)',
        'csm_private.mail_loop(jsonb)',
        'csm_private.mail_person(bigint, text)',
        'csm_private.mail_act(jsonb)',
        'csm_private.judge_mail(csm.email_log, jsonb)',
        'csm_private.mail_time(text)',
        'csm_private.gateway_tenant()',
        'csm_private.forget_mail(bigint, timestamptz, integer)',
        'csm.receive_email(jsonb)',
        'csm.allow_mail_gateway(bigint, boolean)',
        'csm.settle_email(bigint, bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.receive_email(jsonb) TO csm_portal, csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.settle_email(bigint, bigint) TO csm_agent, csm_admin;
