-- Knowledge: the articles of data/knowledge.csv, in a base that the consumer desk keeps. What is flagged the world
-- reads; the rest is for consumers and contacts who are signed in. Agents write for it.
INSERT INTO csm.user_criteria (key, label, match) VALUES ('customers', 'Consumers and contacts of companies', 'any');
INSERT INTO csm.user_criteria_parts (criteria_id, kind, persona)
SELECT c.id, 'persona', p FROM csm.user_criteria c, unnest('{consumer,contact}'::text[]) p WHERE c.key = 'customers';
INSERT INTO csm.user_criteria (key, label, match) VALUES ('agents', 'Agents', 'any');
INSERT INTO csm.user_criteria_parts (criteria_id, kind, role) SELECT id, 'role', 'agent' FROM csm.user_criteria WHERE key = 'agents';
INSERT INTO csm.audiences (group_id) SELECT id FROM csm.groups WHERE name = 'Consumer desk';
INSERT INTO csm.audience_grants (audience_id, action, criteria_id)
SELECT a.id, v.action, c.id
FROM csm.audiences a JOIN csm.groups g ON g.id = a.group_id AND g.name = 'Consumer desk'
CROSS JOIN (VALUES ('customers', 'read'), ('agents', 'read'), ('agents', 'contribute')) v(key, action)
JOIN csm.user_criteria c USING (key);
INSERT INTO csm.group_members (group_id, user_id) SELECT g.id, s.user_id FROM csm.groups g, demo.staff s WHERE g.name = 'Consumer desk' AND s.n = 61;
INSERT INTO csm.knowledge_bases (key, title, is_public, audience_id)
SELECT 'help', 'Help for customers', true, a.id FROM csm.audiences a JOIN csm.groups g ON g.id = a.group_id WHERE g.name = 'Consumer desk';
INSERT INTO csm.knowledge_categories (base_id, title)
SELECT DISTINCT b.id, k.category FROM csm.knowledge_bases b, demo.knowledge k WHERE b.key = 'help' ORDER BY 2;

SET csm.importing = on;
INSERT INTO csm.articles (base_id, category_id, product_id, number, language, is_public, state, published_at, updated_at, author_id, title, keywords, body)
SELECT b.id, c.id, p.id, 'KB-' || k.key, k.language, k.is_public, 'published', '2015-03-01 12:00+00', '2015-03-01 12:00+00', s.user_id, k.title, k.keywords, k.body
FROM demo.knowledge k
JOIN csm.knowledge_bases b ON b.key = 'help'
JOIN csm.knowledge_categories c ON c.base_id = b.id AND c.title = k.category
JOIN demo.staff s ON s.n = 31
LEFT JOIN csm.products p ON p.name = k.product AND p.parent_id IS NULL
WHERE k.translation_of IS NULL;
INSERT INTO csm.articles (base_id, category_id, product_id, translation_of, number, language, is_public, state, published_at, updated_at, author_id, title, keywords, body)
SELECT o.base_id, o.category_id, o.product_id, o.id, 'KB-' || k.key, k.language, k.is_public, 'published', o.published_at, o.updated_at, o.author_id, k.title, k.keywords, k.body
FROM demo.knowledge k JOIN csm.articles o ON o.number = 'KB-' || k.translation_of;
RESET csm.importing;
\pset tuples_only on
\pset format unaligned
SELECT demo.progress('articles', count(*), count(*)) FROM csm.articles;
