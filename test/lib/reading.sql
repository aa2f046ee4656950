-- Things to read in the small world: bases and forums for various people, articles and questions. After small.sql.
--
-- Bases: help (public; consumers, contacts and staff read), inside (staff), contacts (contacts only).
-- Forums: square (public; consumers and contacts read), backroom (staff).
CREATE FUNCTION small.grant_read(audience bigint, VARIADIC criteria text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id)
    SELECT small.tenant(), audience, 'read', c.id FROM csm.user_criteria c WHERE c.key = ANY (criteria) AND c.tenant_id = small.tenant()
$$;
CREATE FUNCTION small.new_article(of_base text, of_title text, of_body text, public boolean DEFAULT false, of_language text DEFAULT 'en',
                                  of_state text DEFAULT 'published') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    PERFORM set_config('csm.importing', 'on', true);
    INSERT INTO csm.articles (tenant_id, base_id, is_public, state, published_at, language, title, body)
    SELECT b.tenant_id, b.id, public, of_state, CASE WHEN of_state = 'published' THEN clock_timestamp() END, of_language, of_title, of_body
    FROM csm.knowledge_bases b WHERE b.key = of_base AND b.tenant_id = small.tenant() RETURNING id INTO made;
    PERFORM set_config('csm.importing', 'off', true);
    INSERT INTO small.named VALUES ('article', of_title, made);
    RETURN made;
END $$;
CREATE FUNCTION small.new_question(of_forum text, author text, of_title text, of_body text, of_answer text DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    INSERT INTO csm.questions (tenant_id, forum_id, author_id, language, title, body)
    SELECT f.tenant_id, f.id, small.u(author), 'en', of_title, of_body FROM csm.forums f WHERE f.key = of_forum AND f.tenant_id = small.tenant()
    RETURNING id INTO made;
    IF of_answer IS NOT NULL THEN
        INSERT INTO csm.answers (tenant_id, question_id, author_id, body) VALUES (small.tenant(), made, small.u(author), of_answer);
        UPDATE csm.answers SET accepted = true WHERE question_id = made;
        UPDATE csm.questions SET answered = true WHERE id = made;
    END IF;
    INSERT INTO small.named VALUES ('question', of_title, made);
    RETURN made;
END $$;
CREATE FUNCTION small.article(text) RETURNS bigint LANGUAGE sql STABLE RETURN small.id('article', $1);
CREATE FUNCTION small.question(text) RETURNS bigint LANGUAGE sql STABLE RETURN small.id('question', $1);

DO $$
BEGIN
    INSERT INTO csm.user_criteria (tenant_id, key, label, match)
    SELECT small.tenant(), x, x, 'any' FROM unnest('{consumers,contacts,staff}'::text[]) x;
    INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, persona)
    SELECT small.tenant(), c.id, 'persona', CASE c.key WHEN 'staff' THEN 'staff' ELSE left(c.key, -1) END FROM csm.user_criteria c WHERE c.tenant_id = small.tenant();
    INSERT INTO csm.knowledge_bases (tenant_id, key, title, is_public) VALUES
        (small.tenant(), 'help', 'Help', true), (small.tenant(), 'inside', 'Inside', false), (small.tenant(), 'contacts', 'For contacts', false);
    INSERT INTO csm.forums (tenant_id, key, title, is_public) VALUES (small.tenant(), 'square', 'Square', true), (small.tenant(), 'backroom', 'Back room', false);
    PERFORM small.grant_read(b.audience_id, VARIADIC CASE b.key WHEN 'help' THEN '{consumers,contacts,staff}' WHEN 'inside' THEN '{staff}' ELSE '{contacts}' END::text[])
    FROM csm.knowledge_bases b WHERE b.tenant_id = small.tenant();
    PERFORM small.grant_read(f.audience_id, VARIADIC CASE f.key WHEN 'square' THEN '{consumers,contacts,staff}' ELSE '{staff}' END::text[])
    FROM csm.forums f WHERE f.tenant_id = small.tenant();

    PERFORM small.new_article('help', 'Printer does not print after an update', 'Switch the printer off and on. Install the driver again, then print a test page.', true),
            small.new_article('help', 'Reset your password', 'Open the settings, choose Security and press Reset. You get a mail with a link.'),
            small.new_article('help', 'Rechnungen für Müller drucken', 'Wählen Sie die Rechnung aus und drücken Sie auf Drucken.', true, 'de'),
            small.new_article('help', '<script>alert("x")</script> & other markup', 'A body with <b>tags</b> & "quotes" about the zebra & <mark>nothing</mark> else.', true),
            small.new_article('inside', 'Printer escalation path', 'When the printer of a customer burns, escalate to the desk. Never tell the customer about the recall.'),
            small.new_article('contacts', 'Printer contract terms', 'The printer contract covers toner for companies.'),
            small.new_article('help', 'Printer draft nobody reads', 'Not yet.', false, 'en', 'draft'),
            small.new_article('help', 'Printer of the past', 'Retired.', true, 'en', 'retired');
    PERFORM small.new_question('square', 'mother', 'Why does my printer blink?', 'It blinks red since yesterday.', 'The toner of the printer is empty, replace it.'),
            small.new_question('backroom', 'b2b agent', 'Printer recall: what do we say?', 'Among ourselves.', 'Say nothing.');
    UPDATE csm.users SET language = 'de' WHERE id = small.u('daughter');
END $$;
