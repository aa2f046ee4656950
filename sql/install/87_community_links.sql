-- A question becomes a case (R A6), and what a case taught becomes a question.

CREATE TABLE csm.case_questions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    question_id bigint NOT NULL,
    relation text NOT NULL,
    created_by bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT case_questions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_questions_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_questions_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.questions (id, tenant_id),
    CONSTRAINT case_questions_created_by_fkey FOREIGN KEY (created_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_questions_relation_check CHECK (relation IN ('raised', 'published'))
);
CREATE UNIQUE INDEX case_questions_raised_key ON csm.case_questions (question_id) WHERE relation = 'raised';
CREATE UNIQUE INDEX case_questions_published_key ON csm.case_questions (case_id) WHERE relation = 'published';
CREATE INDEX case_questions_case_idx ON csm.case_questions (case_id);
CREATE INDEX case_questions_question_idx ON csm.case_questions (question_id);
SELECT csm_private.adopt_table('csm.case_questions');

CREATE POLICY case_questions_select ON csm.case_questions FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (csm_private.case_allows(case_id, tenant_id, 'case_read'));
GRANT SELECT ON csm.case_questions TO csm_portal, csm_agent, csm_admin;

COMMENT ON TABLE csm.case_questions IS 'Which case a question became, and which question a case became. The link gives no right on either';
COMMENT ON COLUMN csm.case_questions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_questions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_questions.case_id IS 'The case';
COMMENT ON COLUMN csm.case_questions.question_id IS 'The question';
COMMENT ON COLUMN csm.case_questions.relation IS 'raised: the question became the case, once (csm.case_from_question()); published: the case became the question, once (csm.question_from_case())';
COMMENT ON COLUMN csm.case_questions.created_by IS 'Who did; NULL for the system';
COMMENT ON COLUMN csm.case_questions.created_at IS 'When';
COMMENT ON POLICY case_questions_select ON csm.case_questions IS 'Whoever sees the case; who only reads the question learns nothing of a case';

CREATE FUNCTION csm_private.question_for_case(question_id bigint) RETURNS csm.questions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p CONSTANT csm_private.posts := csm_private.lock_post('question', question_id);
    q csm.questions;
BEGIN
    IF p.author_id IS DISTINCT FROM csm.current_user_id() AND NOT csm_private.is_staff('case_create') THEN
        RAISE EXCEPTION 'permission denied to open a case for question %', p.id USING ERRCODE = '42501',
            HINT = 'Who asked does, and staff who may open a case for him.';
    ELSIF p.state NOT IN ('visible', 'held') THEN
        RAISE EXCEPTION 'question % is %', p.id, p.state USING ERRCODE = '55000', HINT = 'A moderator can restore what is hidden.';
    END IF;
    SELECT * INTO q FROM csm.questions x WHERE x.id = p.id;
    RETURN q;
END $$;
COMMENT ON FUNCTION csm_private.question_for_case(bigint) IS
'The question, locked, where the caller may make a case of it; errors 42501 and 55000 of csm.case_from_question()';

-- With the caller's rights, so that who may open a case, for whom and at which
-- account is said where it always is.
CREATE FUNCTION csm_private.open_question_case(q csm.questions) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
BEGIN
    SELECT x.* INTO c FROM csm.case_questions k JOIN csm.cases x ON x.id = k.case_id AND x.tenant_id = k.tenant_id
    WHERE k.question_id = q.id AND k.relation = 'raised';
    IF NOT FOUND THEN
        c := csm.open_case(subject => q.title, description => q.body, requester_id => q.author_id, priority => 4, channel => 'community');
    END IF;
    RETURN c;
END $$;
COMMENT ON FUNCTION csm_private.open_question_case(csm.questions) IS
'Body of csm.case_from_question(): the case that the question became, as far as the caller sees it, else a new one';

CREATE FUNCTION csm_private.link_question(c csm.cases, question_id bigint) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO csm.case_questions (tenant_id, case_id, question_id, relation, created_by)
    VALUES (c.tenant_id, c.id, link_question.question_id, 'raised', csm.current_user_id()) ON CONFLICT DO NOTHING;
    IF NOT EXISTS (SELECT FROM csm.case_questions k
                   WHERE k.question_id = link_question.question_id AND k.relation = 'raised' AND k.case_id = c.id) THEN
        RAISE EXCEPTION 'question % is a case already', question_id USING ERRCODE = '55000',
            HINT = 'It is not among those that you see.';
    END IF;
    RETURN c;
END $$;
COMMENT ON FUNCTION csm_private.link_question(csm.cases, bigint) IS
'Body of csm.case_from_question(): links question and case; 55000 where it became another one that the caller does not see';

CREATE FUNCTION csm.case_from_question(question_id bigint) RETURNS csm.cases
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT csm_private.link_question(csm_private.open_question_case(csm_private.question_for_case(question_id)), question_id);
END;
COMMENT ON FUNCTION csm.case_from_question(bigint) IS
'Opens a case out of a question and returns it, once: called again it returns the same case. Title and body become subject and description, the asker the requester (his persona decides branch and account), priority 4, channel community. By the asker, and by staff who may open a case for him. Errors: 42501 no such question, or not permitted, 55000 hidden, deleted, or a case already that the caller does not see; those of csm.open_case()';

CREATE FUNCTION csm.question_from_case(case_id bigint, forum text, title text, body text) RETURNS csm.questions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
    q csm.questions;
    named text;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id FOR NO KEY UPDATE;
    IF NOT csm_private.case_allows(c, 'case_read') THEN
        RAISE EXCEPTION 'case % does not exist', coalesce(case_id::text, 'NULL') USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT csm_private.case_allows(c, 'case_work') THEN
        RAISE EXCEPTION 'permission denied to publish case %', c.number USING ERRCODE = '42501', HINT = 'Staff who work on it do.';
    ELSIF EXISTS (SELECT FROM csm.case_questions k WHERE k.case_id = c.id AND k.relation = 'published') THEN
        RAISE EXCEPTION 'case % is published already', c.number USING ERRCODE = '55000', HINT = 'csm.case_questions names the question.';
    END IF;
    -- Nothing is copied, and what tells whose case it was is refused.
    SELECT n.what INTO named
    FROM (SELECT 'the number of the case' AS what, c.number AS word
          UNION ALL SELECT 'the account', a.name FROM csm.accounts a WHERE a.id IN (c.account_id, c.counterparty_account_id, c.partner_account_id)
          UNION ALL SELECT 'a person', w.word
                    FROM csm.users u CROSS JOIN LATERAL unnest(ARRAY[u.display_name, u.email, u.phone, u.external_id,
                                                                     substring(u.display_name FROM '[^[:space:]]+$')]) w(word)
                    WHERE u.id IN (c.requester_id, c.opened_by) AND u.id <> csm.current_user_id()) n
    WHERE length(n.word) >= 3 AND csm.contains(concat_ws(' ', title, body), n.word)
    LIMIT 1;
    IF named IS NOT NULL THEN
        RAISE EXCEPTION 'the question names %', named USING ERRCODE = '22023',
            HINT = 'Write it so that nobody learns whose case it was.';
    END IF;
    q := csm.ask(forum, title, body);
    INSERT INTO csm.case_questions (tenant_id, case_id, question_id, relation, created_by)
    VALUES (c.tenant_id, c.id, q.id, 'published', csm.current_user_id());
    RETURN q;
END $$;
COMMENT ON FUNCTION csm.question_from_case(bigint, text, text, text) IS
'Asks a question in the name of the caller out of what a case taught, once, and returns it. Nothing of the case is copied; a text is refused that holds its number, or the name of its account, requester or opener. The link is seen by who sees the case. By staff who work on the case and may ask in the forum. Errors: SM001 no such case, 42501 not permitted or no such forum, 55000 published already, 22023 the text names whom it must not; those of csm.ask()';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.question_for_case(bigint)',
        'csm_private.open_question_case(csm.questions)',
        'csm_private.link_question(csm.cases, bigint)',
        'csm.case_from_question(bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_portal, csm_agent', f);
    END LOOP;
    ALTER FUNCTION csm.question_from_case(bigint, text, text, text) OWNER TO csm_owner;
    REVOKE ALL ON FUNCTION csm.question_from_case(bigint, text, text, text) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION csm.question_from_case(bigint, text, text, text) TO csm_agent;
END $$;
