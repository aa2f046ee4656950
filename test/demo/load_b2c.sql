-- Consumers: the 28,156 complaints in demo.complaints become cases of people with made-up names.
--
-- csm.importing takes states and times as they are given; without it every case would have to start as new today.
SET csm.importing = on;

-- Catalogue: the products and sub-products that the complaints name.
INSERT INTO csm.products (name) SELECT DISTINCT product FROM demo.complaints ORDER BY 1;
INSERT INTO csm.products (name, parent_id)
SELECT DISTINCT c.sub_product, p.id
FROM demo.complaints c JOIN csm.products p ON p.name = c.product AND p.parent_id IS NULL
WHERE c.sub_product IS NOT NULL
ORDER BY 2, 1;

-- Who complained: of the complaints from one place, about every fifth is by the person of the one before.
CREATE TABLE demo.complainants AS
SELECT complaint_id, format('consumer %s %s %s', state, zip_code, person) AS key,
       CASE WHEN zip_code IS NOT NULL THEN format('home %s %s %s', state, zip_code, (person - 1) / 3) END AS home_key,
       (person - 1) % 3 = 0 AS head
FROM (SELECT complaint_id, state, zip_code,
             count(*) FILTER (WHERE first OR demo.draw('again ' || complaint_id, 5) > 0)
                 OVER (PARTITION BY state, zip_code ORDER BY complaint_id) AS person
      FROM (SELECT *, row_number() OVER (PARTITION BY state, zip_code ORDER BY complaint_id) = 1 AS first
            FROM demo.complaints) c) n;

-- Every fourth group of up to three people from one place shares a home and a family name.
CREATE TABLE demo.consumers AS
SELECT key, min(home_key) AS home_key, bool_or(head) AS head,
       coalesce(demo.draw(min(home_key), 4) = 0, false) AS shares_home,
       row_number() OVER (ORDER BY key) AS n, NULL::bigint AS user_id, NULL::bigint AS household_id
FROM demo.complainants GROUP BY key;
UPDATE demo.consumers c SET shares_home = false
WHERE shares_home AND NOT EXISTS (SELECT FROM demo.consumers o WHERE o.home_key = c.home_key AND o.key <> c.key);

INSERT INTO csm.users (display_name, email, external_id)
SELECT given || ' ' || family, lower(given || '.' || family || n) || '@mail.example', key
FROM (SELECT key, n, demo.given_name(key) AS given,
             demo.family_name(CASE WHEN shares_home THEN home_key ELSE key END) AS family
      FROM demo.consumers) c;
UPDATE demo.consumers c SET user_id = u.id FROM csm.users u WHERE u.external_id = c.key;
INSERT INTO csm.consumers (user_id, registered_at) SELECT user_id, timestamptz '2014-06-01 00:00+00' FROM demo.consumers;

INSERT INTO csm.households (name, head_user_id)
SELECT c.home_key, c.user_id FROM demo.consumers c WHERE shares_home AND head;
UPDATE demo.consumers c SET household_id = h.id FROM csm.households h WHERE h.name = c.home_key AND c.shares_home;
UPDATE csm.households h SET name = demo.family_name(h.name) || ' household';
INSERT INTO csm.household_members (household_id, user_id)
SELECT household_id, user_id FROM demo.consumers WHERE household_id IS NOT NULL;
\pset tuples_only on
\pset format unaligned
SELECT demo.progress('people who complained', count(*), count(*)) FROM demo.consumers;

-- A region of Meridian for each state of the US.
CREATE TABLE demo.regions AS
SELECT state, o.id AS service_organization_id
FROM (VALUES
    ('California', '{CA}'::text[]), ('Mountain', '{AZ,CO,ID,MT,NM,NV,UT,WY}'), ('West', '{AK,HI,OR,WA}'),
    ('Great Lakes', '{IL,IN,MI,OH,WI}'), ('Midwest', '{IA,KS,MN,MO,ND,NE,SD}'), ('Florida', '{FL}'), ('Texas', '{TX}'),
    ('South', '{AL,AR,DC,DE,GA,KY,LA,MD,MS,NC,OK,SC,TN,VA,WV}'), ('New York', '{NY}'),
    ('Northeast', '{CT,MA,ME,NH,NJ,PA,RI,VT}')) v(name, states)
JOIN csm.service_organizations o USING (name), unnest(v.states) state;

-- What the file does not say stays empty: when a case was closed, and any word of the consumer.
CREATE FUNCTION demo.load_complaints(first bigint, last bigint) RETURNS text LANGUAGE sql AS $$
    INSERT INTO csm.cases (branch, state, subject, description, channel, requester_id, opened_by, product_id,
                           service_organization_id, assigned_to, resolution_code, attributes,
                           opened_at, submitted_at, updated_at, reopen_count)
    SELECT 'b2c', CASE c.company_response WHEN 'In progress' THEN 'open' ELSE 'closed' END,
           coalesce(c.issue, c.product),
           concat_ws(' ', format('Product: %s.', concat_ws(', ', c.product, c.sub_product)),
                     'Issue: ' || c.issue || '.', 'Sub-issue: ' || c.sub_issue || '.'),
           'regulator', p.user_id, p.user_id, coalesce(sub.id, top.id),
           coalesce(r.service_organization_id, overseas.id),
           CASE c.company_response WHEN 'In progress' THEN a.user_id END,
           nullif(c.company_response, 'In progress'),
           jsonb_strip_nulls(jsonb_build_object('complaint_id', c.complaint_id, 'state', c.state, 'zip_code', c.zip_code,
               'sub_issue', c.sub_issue, 'timely_response', c.timely_response, 'disputed', c.consumer_disputed)),
           c.received_on, c.sent_to_company_on, c.sent_to_company_on, (c.consumer_disputed IS TRUE)::int
    FROM demo.complaints c
    JOIN demo.complainants k USING (complaint_id)
    JOIN demo.consumers p USING (key)
    JOIN csm.products top ON top.name = c.product AND top.parent_id IS NULL
    LEFT JOIN csm.products sub ON sub.name = c.sub_product AND sub.parent_id = top.id
    LEFT JOIN demo.regions r USING (state)
    JOIN csm.service_organizations overseas ON overseas.name = 'Overseas'
    JOIN demo.staff a ON a.n = 31 + c.complaint_id % 29
    WHERE c.place BETWEEN first AND last
    ORDER BY c.place;
    SELECT demo.progress('complaints of consumers', last, (SELECT count(*) FROM demo.complaints));
$$;
SELECT format('SELECT demo.load_complaints(%s, %s)', first, least(first + 4999, n))
FROM (SELECT count(*) AS n FROM demo.complaints) c, generate_series(1, n, 5000) first
\gexec
