-- Surveys: how content whoever asked for service was (R A32).
--
-- The setting survey of a case type names a survey. When a case of the type is
-- closed, or resolved where the survey says so, its requester is asked, once a
-- case whatever becomes of it later. He answers by the single-use token of a
-- mail, or signed in. The asking is time's work (csm.run_due()), so that whoever
-- closes a case does not wait for it.
--
-- Scores stand apart from free text: csm_reporter reads the former alone.

CREATE TABLE csm.surveys (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    key text NOT NULL,
    label text NOT NULL,
    ask_when text NOT NULL DEFAULT 'closed',
    delay interval NOT NULL DEFAULT '0',
    valid_for interval NOT NULL DEFAULT '30 days',
    quarantine interval NOT NULL DEFAULT '0',
    active boolean NOT NULL DEFAULT true,
    labels jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT surveys_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT surveys_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT surveys_key_key UNIQUE (tenant_id, key),
    CONSTRAINT surveys_key_check CHECK (key ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT surveys_label_check CHECK (length(label) BETWEEN 1 AND 200),
    CONSTRAINT surveys_when_check CHECK (ask_when IN ('closed', 'resolved')),
    CONSTRAINT surveys_time_check CHECK (delay BETWEEN '0' AND '90 days' AND valid_for BETWEEN '1 hour' AND '366 days'
        AND quarantine BETWEEN '0' AND '3660 days'),
    CONSTRAINT surveys_labels_check CHECK (jsonb_typeof(labels) = 'object' AND NOT labels @?
        '$.keyvalue() ? (!(@.key like_regex "^[a-z]{2,3}(-[a-z0-9]{2,8})*$") || @.value.type() != "string" || !(@.value like_regex "[^[:space:]]") || !(@.value like_regex "^.{1,200}$" flag "s"))')
);
SELECT csm_private.adopt_table('csm.surveys');

CREATE TABLE csm.survey_questions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    survey_id bigint NOT NULL,
    key text NOT NULL,
    position smallint NOT NULL DEFAULT 1,
    kind text NOT NULL,
    label text NOT NULL,
    required boolean NOT NULL DEFAULT false,
    low smallint,
    labels jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT survey_questions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT survey_questions_survey_fkey FOREIGN KEY (survey_id, tenant_id) REFERENCES csm.surveys (id, tenant_id),
    CONSTRAINT survey_questions_key_key UNIQUE (survey_id, key),
    CONSTRAINT survey_questions_key_check CHECK (key ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT survey_questions_kind_check CHECK (kind IN ('csat', 'nps', 'ces', 'text')),
    CONSTRAINT survey_questions_label_check CHECK (length(label) BETWEEN 1 AND 1000),
    CONSTRAINT survey_questions_low_check CHECK (low IS NULL OR kind <> 'text' AND low BETWEEN 0 AND 10),
    CONSTRAINT survey_questions_labels_check CHECK (jsonb_typeof(labels) = 'object' AND NOT labels @?
        '$.keyvalue() ? (!(@.key like_regex "^[a-z]{2,3}(-[a-z0-9]{2,8})*$") || @.value.type() != "string" || !(@.value like_regex "[^[:space:]]") || !(@.value like_regex "^(.{1,250}){1,4}$" flag "s"))')
);
-- A report knows one score of a kind for each answer.
CREATE UNIQUE INDEX survey_questions_score_idx ON csm.survey_questions (survey_id, kind) WHERE kind <> 'text';
SELECT csm_private.adopt_table('csm.survey_questions');

CREATE TABLE csm.survey_responses (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    survey_id bigint NOT NULL,
    user_id bigint NOT NULL,
    sent_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    answered_at timestamptz,
    csat smallint,
    nps smallint,
    ces smallint,
    low boolean NOT NULL DEFAULT false,
    CONSTRAINT survey_responses_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT survey_responses_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT survey_responses_survey_fkey FOREIGN KEY (survey_id, tenant_id) REFERENCES csm.surveys (id, tenant_id),
    CONSTRAINT survey_responses_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT survey_responses_case_key UNIQUE (case_id, tenant_id),
    CONSTRAINT survey_responses_score_check CHECK (csat BETWEEN 1 AND 5 AND nps BETWEEN 0 AND 10 AND ces BETWEEN 1 AND 7),
    CONSTRAINT survey_responses_answered_check CHECK (answered_at IS NOT NULL OR num_nonnulls(csat, nps, ces) = 0 AND NOT low)
);
CREATE INDEX survey_responses_user_idx ON csm.survey_responses (user_id, sent_at);
CREATE INDEX survey_responses_answered_idx ON csm.survey_responses (tenant_id, answered_at) WHERE answered_at IS NOT NULL;
SELECT csm_private.adopt_table('csm.survey_responses');

CREATE TABLE csm.survey_answers (
    response_id bigint NOT NULL,
    question_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    user_id bigint NOT NULL,
    score smallint,
    body text,
    CONSTRAINT survey_answers_pkey PRIMARY KEY (response_id, question_id, tenant_id),
    CONSTRAINT survey_answers_response_fkey FOREIGN KEY (response_id, tenant_id) REFERENCES csm.survey_responses (id, tenant_id),
    CONSTRAINT survey_answers_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.survey_questions (id, tenant_id),
    CONSTRAINT survey_answers_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT survey_answers_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT survey_answers_body_check CHECK (length(body) <= 4000)
);
CREATE INDEX survey_answers_case_idx ON csm.survey_answers (case_id);
CREATE INDEX survey_answers_user_idx ON csm.survey_answers (user_id);
SELECT csm_private.adopt_table('csm.survey_answers');

CREATE TABLE csm_private.survey_tokens (
    response_id bigint NOT NULL,
    tenant_id bigint NOT NULL,
    user_id bigint NOT NULL,
    token_hash bytea NOT NULL,
    CONSTRAINT survey_tokens_pkey PRIMARY KEY (response_id, tenant_id),
    CONSTRAINT survey_tokens_hash_key UNIQUE (token_hash),
    CONSTRAINT survey_tokens_response_fkey FOREIGN KEY (response_id, tenant_id)
        REFERENCES csm.survey_responses (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT survey_tokens_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE
);
CREATE INDEX survey_tokens_user_idx ON csm_private.survey_tokens (user_id);
ALTER TABLE csm_private.survey_tokens OWNER TO csm_owner;
REVOKE ALL ON csm_private.survey_tokens FROM PUBLIC;
ALTER TABLE csm_private.survey_tokens ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.survey_tokens', '');

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{surveys,survey_questions}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_agent, csm_reporter, csm_admin '
                       'USING (tenant_id = csm.current_tenant_id())', t);
        EXECUTE format('CREATE POLICY %1$s_write ON csm.%1$s FOR ALL TO csm_admin '
                       'USING (csm.all_in(tenant_id, ''internal'', ''configure''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS ''Staff connections read what the tenant asks''', t);
        EXECUTE format('COMMENT ON POLICY %1$s_write ON csm.%1$s IS ''Administrators keep it''', t);
        EXECUTE format('GRANT SELECT ON csm.%1$s TO csm_agent, csm_reporter, csm_admin', t);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON csm.%1$s TO csm_admin', t);
    END LOOP;
    FOREACH t IN ARRAY '{survey_responses,survey_answers}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_agent, csm_admin '
                       'USING (csm_private.case_allows(case_id, tenant_id, ''case_work''))', t);
        EXECUTE format('CREATE POLICY %1$s_select_reporter ON csm.%1$s FOR SELECT TO csm_reporter '
                       'USING (csm_private.case_allows(case_id, tenant_id, ''case_read''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS ''Staff who work on the case''', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select_reporter ON csm.%1$s IS ''Reports: cases that the reader sees; scores, by column privileges''', t);
    END LOOP;
END $$;
GRANT SELECT ON csm.survey_responses, csm.survey_answers TO csm_agent, csm_admin;
GRANT SELECT (id, tenant_id, case_id, survey_id, sent_at, expires_at, answered_at, csat, nps, ces, low) ON csm.survey_responses TO csm_reporter;
GRANT SELECT (response_id, question_id, tenant_id, case_id, score) ON csm.survey_answers TO csm_reporter;

COMMENT ON TABLE csm.surveys IS 'What is asked after a case; the setting survey of a case type names one by its key';
COMMENT ON COLUMN csm.surveys.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.surveys.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.surveys.key IS 'Name by which case types refer to it, unique in the tenant';
COMMENT ON COLUMN csm.surveys.label IS 'Title that people read';
COMMENT ON COLUMN csm.surveys.ask_when IS 'closed: when the case is closed; resolved: when a solution is proposed or the case is closed, whichever comes first';
COMMENT ON COLUMN csm.surveys.delay IS 'How long after that, up to 90 days; a case that is open again by then is not asked about yet';
COMMENT ON COLUMN csm.surveys.valid_for IS 'How long it can be answered, from an hour to 366 days';
COMMENT ON COLUMN csm.surveys.quarantine IS 'For so long after any survey a person is not asked again; zero for no such time';
COMMENT ON COLUMN csm.surveys.active IS 'False: nobody is asked any more';
COMMENT ON COLUMN csm.surveys.labels IS 'The title in other languages: an object of language tags in lower case and titles, of 1 to 200 characters';
COMMENT ON TABLE csm.survey_questions IS 'Questions of a survey; of each kind of score at most one';
COMMENT ON COLUMN csm.survey_questions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.survey_questions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.survey_questions.survey_id IS 'The survey';
COMMENT ON COLUMN csm.survey_questions.key IS 'Name of the answer, unique in the survey';
COMMENT ON COLUMN csm.survey_questions.position IS 'Place among the questions';
COMMENT ON COLUMN csm.survey_questions.kind IS 'csat (satisfaction, 1 to 5), nps (would recommend, 0 to 10), ces (it was easy, 1 to 7) or text';
COMMENT ON COLUMN csm.survey_questions.label IS 'The question';
COMMENT ON COLUMN csm.survey_questions.required IS 'Whether an answer without it is refused';
COMMENT ON COLUMN csm.survey_questions.low IS 'A score up to this one is followed up; NULL: none is';
COMMENT ON COLUMN csm.survey_questions.labels IS 'The question in other languages: an object of language tags in lower case and texts, of 1 to 1,000 characters';
COMMENT ON TABLE csm.survey_responses IS 'Who was asked about which case, once a case, and his scores; written by csm.run_due() and csm.answer_survey()';
COMMENT ON COLUMN csm.survey_responses.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.survey_responses.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.survey_responses.case_id IS 'The case';
COMMENT ON COLUMN csm.survey_responses.survey_id IS 'What was asked';
COMMENT ON COLUMN csm.survey_responses.user_id IS 'The person asked: who requested the case';
COMMENT ON COLUMN csm.survey_responses.sent_at IS 'When';
COMMENT ON COLUMN csm.survey_responses.expires_at IS 'Until when he can answer';
COMMENT ON COLUMN csm.survey_responses.answered_at IS 'When he answered; NULL while he has not';
COMMENT ON COLUMN csm.survey_responses.csat IS 'Satisfaction, 1 (not at all) to 5; NULL for none';
COMMENT ON COLUMN csm.survey_responses.nps IS 'Would recommend, 0 to 10: 9 and 10 promoters, up to 6 detractors; NULL for none';
COMMENT ON COLUMN csm.survey_responses.ces IS 'It was easy, 1 (not at all) to 7; NULL for none';
COMMENT ON COLUMN csm.survey_responses.low IS 'A score was low as its question says: followed up';
COMMENT ON TABLE csm.survey_answers IS 'The single answers';
COMMENT ON COLUMN csm.survey_answers.response_id IS 'To which survey';
COMMENT ON COLUMN csm.survey_answers.question_id IS 'The question';
COMMENT ON COLUMN csm.survey_answers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.survey_answers.case_id IS 'The case, copied';
COMMENT ON COLUMN csm.survey_answers.user_id IS 'Who answered, copied';
COMMENT ON COLUMN csm.survey_answers.score IS 'The score; NULL for free text';
COMMENT ON COLUMN csm.survey_answers.body IS 'Free text, up to 4,000 characters; NULL for a score';
COMMENT ON TABLE csm_private.survey_tokens IS 'The tokens by which surveys are answered from a mail, as hashes; gone when used';
COMMENT ON COLUMN csm_private.survey_tokens.response_id IS 'Which survey of which case';
COMMENT ON COLUMN csm_private.survey_tokens.tenant_id IS 'Its tenant';
COMMENT ON COLUMN csm_private.survey_tokens.user_id IS 'The person asked, copied';
COMMENT ON COLUMN csm_private.survey_tokens.token_hash IS 'As csm_private.token_hash() makes it';

-- Asking --------------------------------------------------------------------

CREATE FUNCTION csm_private.survey_of(c csm.cases) RETURNS csm.surveys
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s FROM csm.surveys s
    WHERE s.tenant_id = c.tenant_id AND s.key = csm_private.type_text(c.tenant_id, c.case_type, 'survey') AND s.active
$$;
COMMENT ON FUNCTION csm_private.survey_of(csm.cases) IS
'The survey that the case''s type names, itself or by its parent types; NULL where it names none that is active';

CREATE FUNCTION csm_private.label_in(label text, labels jsonb, language text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(labels ->> lower(language), labels ->> split_part(lower(language), '-', 1), label);
COMMENT ON FUNCTION csm_private.label_in(text, jsonb, text) IS
'A text in a language: of the exact tag, else of its base (de for de-AT), else as it was first written; so also for NULL';

-- Run as the person by csm_private.as_person().
CREATE FUNCTION csm_private.sees_case(argument jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT to_jsonb(EXISTS (SELECT FROM csm.cases c WHERE c.id = (argument ->> 'case_id')::bigint))
$$;
COMMENT ON FUNCTION csm_private.sees_case(jsonb) IS
'Whether whoever runs it sees the case case_id; run by csm_private.as_person()';

CREATE FUNCTION csm_private.due_survey(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
    s csm.surveys;
    person csm.users;
    asked_at timestamptz;
    response bigint;
    token CONSTANT text := csm_private.new_token();
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = due_survey.object_id AND x.tenant_id = due_survey.tenant_id;
    s := csm_private.survey_of(c);
    SELECT * INTO person FROM csm.users u WHERE u.id = c.requester_id AND u.tenant_id = c.tenant_id AND u.enabled;
    IF s.id IS NULL OR person.id IS NULL OR c.state_class NOT IN ('closed', s.ask_when) OR c.parent_id IS NOT NULL
       OR csm_private.wants_notification(person.id, c.tenant_id, 'survey', 'email') IS FALSE
       OR s.quarantine > '0' AND EXISTS (SELECT FROM csm.survey_responses r WHERE r.user_id = person.id AND r.sent_at > due_survey.at - s.quarantine)
       OR csm_private.as_person(person.id, 'csm_portal', 'csm_private.sees_case(jsonb)', jsonb_build_object('case_id', c.id)) <> 'true' THEN
        RETURN;
    END IF;
    asked_at := CASE s.ask_when WHEN 'resolved' THEN coalesce(c.resolved_at, c.closed_at) ELSE c.closed_at END + s.delay;
    IF asked_at > due_survey.at THEN
        PERFORM csm_private.set_timer(c.tenant_id, 'survey', c.id, c.id, asked_at);
        RETURN;
    END IF;
    INSERT INTO csm.survey_responses AS r (tenant_id, case_id, survey_id, user_id, sent_at, expires_at)
    VALUES (c.tenant_id, c.id, s.id, person.id, due_survey.at, due_survey.at + s.valid_for)
    ON CONFLICT ON CONSTRAINT survey_responses_case_key DO NOTHING
    RETURNING r.id INTO response;
    IF response IS NOT NULL AND person.email IS NOT NULL THEN
        INSERT INTO csm_private.survey_tokens (response_id, tenant_id, user_id, token_hash)
        VALUES (response, c.tenant_id, person.id, csm_private.token_hash(token));
        PERFORM csm_private.send_mail(c.tenant_id, 'survey', person.email, person.id, person.language,
            jsonb_build_object('token', token, 'name', person.display_name, 'number', c.number, 'label', csm_private.label_in(s.label, s.labels, person.language)),
            due_survey.at + s.valid_for);
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.due_survey(bigint, bigint, timestamptz) IS
'Handler of timers of kind survey: asks who requested the case and sees it, by mail where he has an address. Not while the case is open again, within the quarantine, after he said that he does not want it (event survey, channel email), nor twice';

-- Answering -----------------------------------------------------------------

CREATE FUNCTION csm_private.survey_form(survey_id bigint, tenant_id bigint, language text) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('key', q.key, 'kind', q.kind, 'label', csm_private.label_in(q.label, q.labels, survey_form.language),
                                                 'required', q.required,
                                                 'from', CASE q.kind WHEN 'nps' THEN 0 WHEN 'text' THEN NULL ELSE 1 END,
                                                 'to', CASE q.kind WHEN 'csat' THEN 5 WHEN 'nps' THEN 10 WHEN 'ces' THEN 7 END)
                              ORDER BY q.position, q.id), '[]')
    FROM csm.survey_questions q WHERE q.survey_id = survey_form.survey_id AND q.tenant_id = survey_form.tenant_id
$$;
COMMENT ON FUNCTION csm_private.survey_form(bigint, bigint, text) IS
'The questions of a survey, in a language as far as they are translated, as a JSON array: key, kind, label, required, from and to (of a score)';

CREATE FUNCTION csm_private.survey_fault(survey_id bigint, tenant_id bigint, answers jsonb) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_typeof(answers) IS DISTINCT FROM 'object'
        OR EXISTS (SELECT FROM jsonb_object_keys(CASE jsonb_typeof(answers) WHEN 'object' THEN answers ELSE '{}' END) k
                   WHERE NOT EXISTS (SELECT FROM csm.survey_questions q
                                     WHERE q.survey_id = survey_fault.survey_id AND q.tenant_id = survey_fault.tenant_id AND q.key = k))
        OR EXISTS (SELECT FROM csm.survey_questions q,
                          LATERAL (SELECT nullif(CASE jsonb_typeof(answers) WHEN 'object' THEN answers -> q.key END, 'null') AS v) a
                   WHERE q.survey_id = survey_fault.survey_id AND q.tenant_id = survey_fault.tenant_id
                     AND CASE WHEN a.v IS NULL THEN q.required
                              WHEN q.kind = 'text' THEN jsonb_typeof(a.v) <> 'string' OR length(a.v #>> '{}') > 4000 OR q.required AND a.v #>> '{}' !~ '[^[:space:]]'
                              WHEN jsonb_typeof(a.v) <> 'number' OR a.v::text !~ '^(10|[0-9])$' THEN true
                              ELSE (a.v #>> '{}')::integer NOT BETWEEN CASE q.kind WHEN 'nps' THEN 0 ELSE 1 END
                                                               AND CASE q.kind WHEN 'csat' THEN 5 WHEN 'nps' THEN 10 ELSE 7 END END)
$$;
COMMENT ON FUNCTION csm_private.survey_fault(bigint, bigint, jsonb) IS
'True where the answers are not those of the survey: an unknown key, a required one missing, a score out of range, no text or one of more than 4,000 characters';

-- The row of the response is locked; of two who answer at once the second finds it answered.
CREATE FUNCTION csm_private.record_answers(response bigint, tenant bigint, answers jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.survey_responses;
BEGIN
    SELECT * INTO r FROM csm.survey_responses x WHERE x.id = response AND x.tenant_id = tenant FOR UPDATE;
    IF r.id IS NULL OR r.answered_at IS NOT NULL OR r.expires_at <= clock_timestamp() THEN
        RETURN 'refused';
    ELSIF csm_private.survey_fault(r.survey_id, tenant, answers) THEN
        RETURN 'invalid';
    END IF;
    INSERT INTO csm.survey_answers (response_id, question_id, tenant_id, case_id, user_id, score, body)
    SELECT r.id, q.id, tenant, r.case_id, r.user_id, CASE WHEN q.kind <> 'text' THEN (answers ->> q.key)::smallint END,
           CASE WHEN q.kind = 'text' THEN csm_private.mail_clean(answers ->> q.key, true) END
    FROM csm.survey_questions q
    WHERE q.survey_id = r.survey_id AND q.tenant_id = tenant AND answers ->> q.key IS NOT NULL;
    UPDATE csm.survey_responses x
    SET answered_at = clock_timestamp(), csat = a.csat, nps = a.nps, ces = a.ces, low = a.low
    FROM (SELECT max(w.score) FILTER (WHERE q.kind = 'csat') AS csat, max(w.score) FILTER (WHERE q.kind = 'nps') AS nps,
                 max(w.score) FILTER (WHERE q.kind = 'ces') AS ces, coalesce(bool_or(w.score <= q.low), false) AS low
          FROM csm.survey_answers w JOIN csm.survey_questions q ON q.id = w.question_id AND q.tenant_id = w.tenant_id
          WHERE w.response_id = r.id AND w.tenant_id = tenant) a
    WHERE x.id = r.id AND x.tenant_id = tenant RETURNING x.* INTO r;
    DELETE FROM csm_private.survey_tokens t WHERE t.response_id = r.id AND t.tenant_id = tenant;
    PERFORM csm_private.emit(tenant, r.case_id, 'survey_answered', jsonb_build_object('response_id', r.id, 'csat', r.csat, 'nps', r.nps, 'ces', r.ces),
                             'internal', NULL, r.user_id);
    IF r.low THEN
        PERFORM csm_private.set_timer(tenant, 'survey_low', r.id, r.case_id, clock_timestamp());
    END IF;
    RETURN 'accepted';
END $$;
COMMENT ON FUNCTION csm_private.record_answers(bigint, bigint, jsonb) IS
'Writes the answers of a survey: accepted, invalid (nothing written), or refused where it is answered, expired or not there. Asks nothing';

CREATE FUNCTION csm.survey_by_token(token text) RETURNS TABLE (label text, questions jsonb)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm_private.label_in(s.label, s.labels, u.language), csm_private.survey_form(s.id, s.tenant_id, u.language)
    FROM csm_private.survey_tokens t
    JOIN csm.survey_responses r ON r.id = t.response_id AND r.tenant_id = t.tenant_id
    JOIN csm.users u ON u.id = r.user_id AND u.tenant_id = r.tenant_id
    JOIN csm.surveys s ON s.id = r.survey_id AND s.tenant_id = r.tenant_id
    WHERE t.token_hash = csm_private.token_hash(survey_by_token.token) AND r.answered_at IS NULL AND r.expires_at > clock_timestamp()
$$;
COMMENT ON FUNCTION csm.survey_by_token(text) IS
'Title and questions of the survey whose mail carried the token, in the language of who was asked, for the page on which it is answered; nothing of the case. No row where the token is unknown, used or expired';

CREATE FUNCTION csm.answer_survey(token text, answers jsonb, OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t csm_private.survey_tokens;
BEGIN
    SELECT * INTO t FROM csm_private.survey_tokens x WHERE x.token_hash = csm_private.token_hash(answer_survey.token);
    status := CASE WHEN FOUND THEN csm_private.record_answers(t.response_id, t.tenant_id, answers) ELSE 'refused' END;
END $$;
COMMENT ON FUNCTION csm.answer_survey(text, jsonb) IS
'Answers a survey by the token of its mail, signed in or not: an object of question keys with scores and texts. accepted; invalid: not the answers of this survey, try again; refused: the token is unknown, used or expired, all alike';

CREATE FUNCTION csm.my_surveys() RETURNS TABLE (response_id bigint, case_id bigint, label text, questions jsonb, sent_at timestamptz, expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.id, CASE WHEN csm_private.case_allows(r.case_id, r.tenant_id, 'case_read') THEN r.case_id END,
           csm_private.label_in(s.label, s.labels, u.language), csm_private.survey_form(s.id, s.tenant_id, u.language), r.sent_at, r.expires_at
    FROM csm.survey_responses r
    JOIN csm.surveys s ON s.id = r.survey_id AND s.tenant_id = r.tenant_id
    JOIN csm.users u ON u.id = r.user_id AND u.tenant_id = r.tenant_id
    WHERE r.user_id = csm.current_user_id() AND r.tenant_id = csm.current_tenant_id() AND csm_private.person_id() = r.user_id
      AND r.answered_at IS NULL AND r.expires_at > clock_timestamp()
    ORDER BY r.sent_at, r.id
$$;
COMMENT ON FUNCTION csm.my_surveys() IS
'Surveys that the caller is asked to answer, in his language, by csm.answer_my_survey(); case_id is NULL where he does not see the case any more';

CREATE FUNCTION csm.answer_my_survey(response_id bigint, answers jsonb, OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
BEGIN
    status := 'refused';
    IF EXISTS (SELECT FROM csm.survey_responses r
               WHERE r.id = answer_my_survey.response_id AND r.user_id = me AND r.tenant_id = csm.current_tenant_id()
                 AND csm_private.person_id() = me) THEN
        status := csm_private.record_answers(answer_my_survey.response_id, csm.current_tenant_id(), answers);
    END IF;
END $$;
COMMENT ON FUNCTION csm.answer_my_survey(bigint, jsonb) IS
'Answers one of csm.my_surveys(); answers and status as csm.answer_survey(). refused also for somebody else''s';

-- Following up --------------------------------------------------------------

-- A closed case takes no task; what follows it up is a case of its own.
CREATE FUNCTION csm_private.due_survey_low(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.survey_responses;
    c csm.cases;
    made bigint;
    said text;
BEGIN
    SELECT * INTO r FROM csm.survey_responses x WHERE x.id = due_survey_low.object_id AND x.tenant_id = due_survey_low.tenant_id;
    SELECT * INTO c FROM csm.cases x WHERE x.id = r.case_id AND x.tenant_id = r.tenant_id;
    said := concat_ws(', ', 'CSAT ' || r.csat, 'NPS ' || r.nps, 'CES ' || r.ces);
    PERFORM csm_private.emit(r.tenant_id, r.case_id, 'survey_low_score', jsonb_build_object('response_id', r.id, 'csat', r.csat, 'nps', r.nps, 'ces', r.ces),
                             'internal', NULL, NULL);
    IF c.state_class IN ('closed', 'cancelled') THEN
        INSERT INTO csm.cases (tenant_id, subject, requester_id, account_id, channel, assigned_group_id, description)
        VALUES (c.tenant_id, left('Follow-up of a survey: ' || c.number, 400), c.requester_id, c.account_id, 'survey', c.assigned_group_id, said)
        RETURNING id INTO made;
        INSERT INTO csm.case_links (tenant_id, from_case_id, to_case_id, kind) VALUES (c.tenant_id, made, c.id, 'follow_up');
    ELSE
        INSERT INTO csm.case_tasks (tenant_id, case_id, subject, description, blocking, assigned_group_id)
        VALUES (c.tenant_id, c.id, 'Follow up a low score', said, false, c.assigned_group_id);
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.due_survey_low(bigint, bigint, timestamptz) IS
'Handler of timers of kind survey_low: event survey_low_score, and for the group of the case a task, or, where it is closed, a case that follows it up';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.survey_of(csm.cases)',
        'csm_private.sees_case(jsonb)',
        'csm_private.due_survey(bigint, bigint, timestamptz)',
        'csm_private.due_survey_low(bigint, bigint, timestamptz)',
        'csm_private.label_in(text, jsonb, text)',
        'csm_private.survey_form(bigint, bigint, text)',
        'csm_private.survey_fault(bigint, bigint, jsonb)',
        'csm_private.record_answers(bigint, bigint, jsonb)',
        'csm.survey_by_token(text)',
        'csm.answer_survey(text, jsonb)',
        'csm.my_surveys()',
        'csm.answer_my_survey(bigint, jsonb)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.survey_by_token(text), csm.answer_survey(text, jsonb) TO csm_guest, csm_portal, csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.my_surveys(), csm.answer_my_survey(bigint, jsonb) TO csm_portal, csm_agent, csm_admin;

-- Reports -------------------------------------------------------------------

CREATE VIEW csm_report.surveys WITH (security_invoker = true) AS
SELECT r.id, r.case_id, s.key AS survey, r.sent_at, r.expires_at, r.answered_at, r.csat, r.nps, r.ces,
       CASE WHEN r.nps >= 9 THEN 'promoter' WHEN r.nps >= 7 THEN 'passive' WHEN r.nps IS NOT NULL THEN 'detractor' END AS nps_group,
       r.low, c.branch, c.case_type, c.account_id, c.assigned_group_id, c.assigned_to AS assignee_id
FROM csm.survey_responses r
JOIN csm.surveys s ON s.id = r.survey_id AND s.tenant_id = r.tenant_id
JOIN csm.cases c ON c.id = r.case_id AND c.tenant_id = r.tenant_id;
ALTER VIEW csm_report.surveys OWNER TO csm_owner;
REVOKE ALL ON csm_report.surveys FROM PUBLIC;
GRANT SELECT ON csm_report.surveys TO csm_agent, csm_reporter, csm_admin;
COMMENT ON VIEW csm_report.surveys IS 'One row for each survey sent about a case that the reader may see; scores, no text, no personal data';
COMMENT ON COLUMN csm_report.surveys.id IS 'Key, csm.survey_responses.id';
COMMENT ON COLUMN csm_report.surveys.case_id IS 'The case';
COMMENT ON COLUMN csm_report.surveys.survey IS 'Key of the survey';
COMMENT ON COLUMN csm_report.surveys.sent_at IS 'When the person was asked';
COMMENT ON COLUMN csm_report.surveys.expires_at IS 'Until when it can be answered';
COMMENT ON COLUMN csm_report.surveys.answered_at IS 'When it was answered; NULL while it is not';
COMMENT ON COLUMN csm_report.surveys.csat IS 'Satisfaction, 1 to 5';
COMMENT ON COLUMN csm_report.surveys.nps IS 'Would recommend, 0 to 10';
COMMENT ON COLUMN csm_report.surveys.ces IS 'It was easy, 1 to 7';
COMMENT ON COLUMN csm_report.surveys.nps_group IS 'promoter (9, 10), passive (7, 8) or detractor (0 to 6); NULL without that score';
COMMENT ON COLUMN csm_report.surveys.low IS 'A score was low as its question says';
COMMENT ON COLUMN csm_report.surveys.branch IS 'Branch of the case';
COMMENT ON COLUMN csm_report.surveys.case_type IS 'Type of the case';
COMMENT ON COLUMN csm_report.surveys.account_id IS 'Customer account of the case; NULL unless b2b';
COMMENT ON COLUMN csm_report.surveys.assigned_group_id IS 'Group that worked on it';
COMMENT ON COLUMN csm_report.surveys.assignee_id IS 'Who worked on it (csm.users.id)';

CREATE VIEW csm_report.satisfaction WITH (security_invoker = true) AS
SELECT s.survey || ' ' || s.case_type || ' ' || to_char(s.sent_at AT TIME ZONE 'UTC', 'YYYY-MM') AS id,
       s.survey, s.case_type, (date_trunc('month', s.sent_at AT TIME ZONE 'UTC'))::date AS month,
       count(*) AS sent,
       count(s.answered_at) AS answered,
       round(avg(s.csat), 2) AS csat,
       round(100.0 * count(*) FILTER (WHERE s.csat >= 4) / nullif(count(s.csat), 0), 1) AS csat_satisfied,
       round(100.0 * (count(*) FILTER (WHERE s.nps >= 9) - count(*) FILTER (WHERE s.nps <= 6)) / nullif(count(s.nps), 0), 1) AS nps,
       round(avg(s.ces), 2) AS ces,
       count(*) FILTER (WHERE s.low) AS low
FROM csm_report.surveys s
GROUP BY s.survey, s.case_type, to_char(s.sent_at AT TIME ZONE 'UTC', 'YYYY-MM'), date_trunc('month', s.sent_at AT TIME ZONE 'UTC');
ALTER VIEW csm_report.satisfaction OWNER TO csm_owner;
REVOKE ALL ON csm_report.satisfaction FROM PUBLIC;
GRANT SELECT ON csm_report.satisfaction TO csm_agent, csm_reporter, csm_admin;
COMMENT ON VIEW csm_report.satisfaction IS 'Scores by survey, case type and month, of cases that the reader may see';
COMMENT ON COLUMN csm_report.satisfaction.id IS 'Key: survey, type and month';
COMMENT ON COLUMN csm_report.satisfaction.survey IS 'Key of the survey';
COMMENT ON COLUMN csm_report.satisfaction.case_type IS 'Type of case';
COMMENT ON COLUMN csm_report.satisfaction.month IS 'First day of the month (UTC) in which people were asked';
COMMENT ON COLUMN csm_report.satisfaction.sent IS 'How many were asked';
COMMENT ON COLUMN csm_report.satisfaction.answered IS 'How many answered';
COMMENT ON COLUMN csm_report.satisfaction.csat IS 'Average satisfaction, 1 to 5; NULL without answers';
COMMENT ON COLUMN csm_report.satisfaction.csat_satisfied IS 'Per cent of those answers that are 4 or 5';
COMMENT ON COLUMN csm_report.satisfaction.nps IS 'Net promoter score: per cent of promoters (9, 10) less per cent of detractors (0 to 6)';
COMMENT ON COLUMN csm_report.satisfaction.ces IS 'Average customer effort score, 1 to 7';
COMMENT ON COLUMN csm_report.satisfaction.low IS 'How many had a low score';
