-- Half of all questions answered without a case: knowledge, the community, a survey. Included after tour_people.sql.

-- ----
\connect - demo_visitor
\set as demo_visitor
\set title 'A visitor types a question'
\set look 'Nobody is signed in. What may answer the question comes while it is typed; the last word need not be finished.'
\ir step.sql
\set ECHO queries
SET ROLE csm_guest;
SELECT kind, number, title FROM csm.suggest('the collector keeps calling me at wo', 3);
SELECT title, split_part(body, E'\n', 1) AS body FROM csm.view_article((SELECT id FROM csm.suggest('the collector keeps calling me at wo', 1)));
\set ECHO none
SELECT number AS seen FROM csm.suggest('the collector keeps calling me at wo', 1) \gset
\set should 'KB-debt-calls'
\set what 'what comes first'
\ir check.sql
SELECT count(*) || ' articles, ' || count(*) FILTER (WHERE NOT is_public) || ' of them not public' AS seen FROM csm.articles \gset
\set should '44 articles, 0 of them not public'
\set what 'what a visitor reads of 45'
\ir check.sql

-- ----
\connect - demo_consumer
\set as demo_consumer
\set title 'A consumer finds the answer, and opens no case'
\set look 'Typing errors do not matter. He reads what visitors read and what is for customers, and says that it solved his problem.'
\ir step.sql
\set ECHO queries
SELECT kind, number, title, found_by FROM csm.search('mortage payment incresed', '{article}', "limit" => 3);
SELECT helpful, rating, solved FROM csm.rate_article((SELECT id FROM csm.articles WHERE number = 'KB-mortgage-escrow'), true, 5, solved => true);
SELECT title, language FROM csm.article_in((SELECT id FROM csm.articles WHERE number = 'KB-debt-calls'), 'de-AT');
\set ECHO none
SELECT number || ', ' || (SELECT count(*) FROM csm.articles) || ' articles' AS seen FROM csm.search('mortage payment incresed', '{article}', "limit" => 1) \gset
\set should 'KB-mortgage-escrow, 45 articles'
\set what 'what comes first, and how many he reads'
\ir check.sql

-- ----
\connect - demo_admin
\set ECHO queries
INSERT INTO csm.forums (key, title) VALUES ('money', 'Questions about money');
INSERT INTO csm.audience_grants (audience_id, action, criteria_id)
SELECT f.audience_id, a, c.id FROM csm.forums f, csm.user_criteria c, unnest('{read,ask,answer}'::text[]) a WHERE f.key = 'money' AND c.key = 'customers';
\connect - demo_consumer
\set as 'demo_consumer, demo_contact'
\set title 'What is not written, he asks the community'
\set look 'The forum is for customers, the administrator said so above. A contact of a company answers; only who asked accepts.'
\ir step.sql
\set ECHO queries
SELECT kind, number, title FROM csm.suggest('standing order abroad');
SELECT id AS question FROM csm.ask('money', 'Standing order to a bank abroad', 'My bank says it cannot do that. Has anybody found a way?', 'en') \gset
\connect - demo_contact
\set ECHO queries
SELECT id AS answer, author_name IS NOT NULL AS signed FROM csm.answer_question(:question, 'Ask for a scheduled international transfer: same thing, other name.') \gset
\set ON_ERROR_STOP off
SELECT csm.accept_answer(:answer);
\set refused :SQLSTATE
\echo
\set ON_ERROR_STOP on
\connect - demo_consumer
\set ECHO queries
SELECT title, answered FROM csm.accept_answer(:answer);
SELECT kind, title FROM csm.suggest('standing order abroad');
\set ECHO none
SELECT :'refused' || ', ' || (SELECT answered FROM csm.questions WHERE id = :question) || ', ' || (SELECT kind FROM csm.suggest('standing order abroad', 1)) AS seen \gset
\set should '42501, true, question'
\set what 'accepting by another; answered; and found from now on as a'
\ir check.sql

-- ----
\connect - demo_agent
\set as 'demo_agent, demo_manager'
\set title 'An agent makes an article of it'
\set look 'He may contribute. A second person publishes; customers read it with the commit.'
\ir step.sql
\set ECHO queries
INSERT INTO csm.articles (base_id, title, keywords, body)
SELECT id, 'Standing orders to a bank abroad', 'scheduled international transfer', 'Ask your bank for a scheduled international transfer.'
FROM csm.knowledge_bases WHERE key = 'help' RETURNING id AS article, number, state \gset
SELECT number, state FROM csm.act_on_article(:article, 'submit');
\set ON_ERROR_STOP off
SELECT csm.act_on_article(:article, 'publish');
\set seen :SQLSTATE
\echo
\set ON_ERROR_STOP on
\connect - demo_manager
\set ECHO queries
SELECT action, label, from_state, to_state FROM csm.article_actions(:article);
SELECT number, state, version FROM csm.act_on_article(:article, 'publish');
\connect - demo_consumer
\set ECHO queries
SELECT kind, title FROM csm.suggest('standing order abroad');
\set ECHO none
SELECT :'seen' || ', ' || kind AS seen FROM csm.suggest('standing order abroad', 1) \gset
\set should '42501, article'
\set what 'publishing by who wrote it; and what comes first now'
\ir check.sql

-- ----
\connect - demo_admin
\set ECHO queries
INSERT INTO csm.surveys (key, label) VALUES ('content', 'How did we do?');
INSERT INTO csm.survey_questions (survey_id, key, kind, label, required)
SELECT id, 'content', 'csat', 'How content are you with the answer? 1 to 5', true FROM csm.surveys WHERE key = 'content';
UPDATE csm.case_types SET settings = settings || '{"survey": "content"}' WHERE case_type = 'case';
\connect - demo_consumer
\set as 'demo_consumer, demo_manager'
\set title 'A case is solved by an article, and he is asked how content he is'
\set look 'Once a case, whatever becomes of it later. The score is for the desk; reporting reads it without the words.'
\ir step.sql
\set ECHO queries
SELECT id AS asked FROM csm.open_case('My payments went to the old servicer') \gset
\connect - demo_manager
\set ECHO queries
SELECT number, state FROM csm.act(:asked, 'take');
SELECT kind, number, title FROM csm.suggest('mortgage transferred to another servicer', 2);
SELECT number, state, resolution_notes
FROM csm.resolve_with_article(:asked, (SELECT id FROM csm.articles WHERE number = 'KB-mortgage-transfer'));
\connect - demo_consumer
\set ECHO queries
SELECT number, state FROM csm.act(:asked, 'accept');
\connect - postgres
\set ECHO queries
SELECT kind, done, failed FROM csm.run_due() WHERE kind = 'survey';
\connect - demo_consumer
\set ECHO queries
SELECT response_id AS response, label FROM csm.my_surveys() WHERE case_id = :asked \gset
SELECT csm.answer_my_survey(:response, '{"content": 5}') AS status;
SELECT csm.answer_my_survey(:response, '{"content": 1}') AS status;
\connect - demo_manager
\set ECHO queries
SELECT r.csat, a.number AS article FROM csm.survey_responses r JOIN csm.case_articles l USING (case_id) JOIN csm.articles a ON a.id = l.article_id
WHERE r.case_id = :asked;
SELECT number, views, helpful, solved, solutions FROM csm_report.article_use WHERE solved > 0 OR solutions > 0 ORDER BY number;
\set ECHO none
SELECT (SELECT csat FROM csm.survey_responses WHERE case_id = :asked) || ', ' || (SELECT solutions FROM csm_report.article_use WHERE number = 'KB-mortgage-transfer') AS seen \gset
\set should '5, 1'
\set what 'his score, and cases that the article solved'
\ir check.sql

-- ----
\connect - demo_manager
\set as 'demo_manager, demo_admin, demo_agent'
\set title 'What concerns many is said to each of them'
\set look 'A list of whom it concerns; an agent writes, a second person approves, each gets a mail of his own and reads it in the portal.'
\ir step.sql
\set ECHO queries
INSERT INTO csm.recipient_lists (name, kind) VALUES ('Mortgages with the old servicer', 'consumers') RETURNING id AS list \gset
INSERT INTO csm.recipients (list_id, user_id)
SELECT DISTINCT :list, c.requester_id FROM csm.cases c LEFT JOIN csm.products p ON p.id = c.product_id
WHERE c.branch = 'b2c' AND (c.id = :asked OR p.name = 'FHA mortgage');
\connect - demo_admin
\set ECHO queries
WITH c AS (INSERT INTO csm.user_criteria (key, label) VALUES ('old-servicer', 'Mortgages with the old servicer') RETURNING id)
INSERT INTO csm.user_criteria_parts (criteria_id, kind, list_id) SELECT id, 'list', :list FROM c;
INSERT INTO csm.publication_series (key, title, audience_id) SELECT 'notices', 'Notices', audience_id FROM csm.knowledge_bases WHERE key = 'help';
\connect - demo_agent
\set ECHO queries
SELECT id AS notice FROM csm.create_publication('notices', 'A new servicer', 'From July on, pay to the new servicer. Nothing else changes.') \gset
SELECT state FROM csm.address_publication(:notice, '{old-servicer}');
SELECT state FROM csm.act_on_publication(:notice, 'submit');
\set ON_ERROR_STOP off
SELECT csm.act_on_publication(:notice, 'approve');
\set refused :SQLSTATE
\echo
\set ON_ERROR_STOP on
\connect - demo_manager
\set ECHO queries
SELECT persons, with_address FROM csm.publication_reach(:notice);
SELECT state FROM csm.act_on_publication(:notice, 'approve');
SELECT state FROM csm.act_on_publication(:notice, 'publish');
\connect - postgres
\set ECHO queries
SELECT kind, done, failed FROM csm.run_due() WHERE kind ~ '^publication';
SELECT state, count(*) FROM csm.publication_recipients GROUP BY state;
\connect - demo_contact
\set ECHO queries
SELECT title FROM csm.my_publications();
SELECT count(*) AS others FROM csm.publications \gset
\connect - demo_consumer
\set ECHO queries
SELECT title, body FROM csm.my_publications();
\set ECHO none
SELECT title || ', ' || :others || ', ' || :'refused' AS seen FROM csm.my_publications() \gset
\set should 'A new servicer, 0, 42501'
\set what 'what he reads, what a contact of a company does, and approving by who wrote it'
\ir check.sql
\connect - postgres
\set ECHO none
SELECT count(*) || ' of ' || count(DISTINCT user_id) || ' persons, ' || bool_and(state IN ('mailed', 'withheld')) AS seen FROM csm.publication_recipients \gset
SELECT count(*) || ' of ' || count(*) || ' persons, true' AS should FROM csm.recipients WHERE list_id = :list \gset
\set what 'each of the list once'
\ir check.sql
