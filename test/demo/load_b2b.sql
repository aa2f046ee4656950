-- Companies: account trees six levels deep, partners, contacts of every role, made-up cases; internal cases as well.
SET csm.importing = on;

INSERT INTO csm.products (name) VALUES ('Services for companies');
INSERT INTO csm.products (name, parent_id)
SELECT v.name, p.id
FROM csm.products p,
    unnest('{Payment terminals,Fleet cards,Payroll accounts,Treasury portal,Trade finance,Invoice collection}'::text[]) v(name)
WHERE p.name = 'Services for companies';

-- ---- accounts ----

-- The number says where in the tree an account stands: A01.2.1 lies below A01.2.
CREATE TABLE demo.accounts AS
WITH company(g, name) AS (
    SELECT g, name FROM unnest('{Halden,Orvane,Castellan,Brightwell,Norrland,Quillon,Verdane,Ashgrove,Tarkin,Lumora,
        Pellworm,Sandhurst,Averill,Corvina,Delmarco,Everton,Fairholm,Garrick,Hollins,Istrana,Jorvik,Kestrel,Larkhill,
        Maristo,Nordvik,Oakhurst,Pinecrest,Quarry,Rosetti,Selwyn,Thornbury,Umbra,Valmont,Westmark,Xandria,Yarrow,Zephyr,
        Birchwood,Copperfield,Dunmore}'::text[]) WITH ORDINALITY u(name, g)
), place(region, r, country, c, cities) AS (
    VALUES ('Europe', 1, 'Germany', 1, '{Hamburg,Leipzig}'::text[]), ('Europe', 1, 'Spain', 2, '{Bilbao,Valencia}'),
           ('Americas', 2, 'USA', 1, '{Denver,Atlanta}'), ('Americas', 2, 'Canada', 2, '{Calgary,Halifax}'),
           ('Asia Pacific', 3, 'Japan', 1, '{Osaka,Sapporo}'), ('Asia Pacific', 3, 'Australia', 2, '{Perth,Hobart}')
), division(d, name) AS (
    VALUES (1, 'Retail'), (2, 'Logistics')
), a(number, name, level) AS (
    SELECT format('A%s', lpad(g::text, 2, '0')), name || ' Group', 1 FROM company
  UNION ALL
    SELECT DISTINCT format('A%s.%s', lpad(g::text, 2, '0'), r), name || ' ' || region, 2 FROM company, place
  UNION ALL
    SELECT format('A%s.%s.%s', lpad(g::text, 2, '0'), r, c), name || ' ' || country, 3 FROM company, place
  UNION ALL
    SELECT format('A%s.%s.%s.%s', lpad(g::text, 2, '0'), r, c, d), concat_ws(' ', y.name, country, d.name), 4
    FROM company y, place, division d
  UNION ALL
    SELECT format('A%s.%s.%s.%s.%s', lpad(g::text, 2, '0'), r, c, d, s), concat_ws(' ', y.name, d.name, city), 5
    FROM company y, place, division d, unnest(cities) WITH ORDINALITY t(city, s)
  UNION ALL
    SELECT format('A%s.%s.%s.%s.%s.%s', lpad(g::text, 2, '0'), r, c, d, s, o),
           concat_ws(' ', y.name, d.name, city, office), 6
    FROM company y, place, division d, unnest(cities) WITH ORDINALITY t(city, s),
         unnest('{Purchasing,Payroll}'::text[]) WITH ORDINALITY f(office, o)
    WHERE o = 1 OR (g + s) % 2 = 0
)
SELECT number, name, level, false AS partner, NULL::bigint AS id FROM a
UNION ALL
SELECT format('P%s', lpad(n::text, 2, '0')), name || ' Partners', 1, true, NULL
FROM unnest('{Brightwater,Calder,Ellery,Foxglove,Greystone,Hawthorn,Ironbridge,Juniper,Kingsway,Lindenau,Merrow,Northgate,
    Ostara,Pembroke,Quayside,Redfern,Silverlake,Tidewater,Underhill,Vantage,Whitmore,Yellowstone,Zenith,Amberley}'::text[])
    WITH ORDINALITY u(name, n);

-- One statement for the whole forest: rows may come in any order.
INSERT INTO csm.accounts (number, name, is_customer, is_partner)
SELECT number, name, NOT partner, partner FROM demo.accounts WHERE level = 1 ORDER BY number;
\pset tuples_only on
\pset format unaligned
SELECT format('INSERT INTO csm.accounts (number, name, parent_id)
               SELECT a.number, a.name, p.id FROM demo.accounts a
               JOIN csm.accounts p ON p.number = regexp_replace(a.number, ''\.\d+$'', '''')
               WHERE a.level = %s ORDER BY a.number', level)
FROM generate_series(2, 6) level
\gexec
UPDATE demo.accounts d SET id = a.id FROM csm.accounts a WHERE a.number = d.number;
SELECT demo.progress('accounts in trees six levels deep', count(*), count(*)) FROM csm.accounts;

-- ---- people ----

-- How many contacts of which role an account has, by level.
CREATE TABLE demo.contacts AS
SELECT a.number, a.id AS account_id, v.role, n,
       format('contact %s %s %s', a.number, v.role, n) AS key, NULL::bigint AS user_id, NULL::bigint AS contact_id
FROM (VALUES
    (1, false, 'customer_admin', 1), (1, false, 'case_manager', 1), (1, false, 'customer', 3),
    (2, false, 'case_manager', 1), (2, false, 'customer', 1),
    (3, false, 'case_manager', 1), (3, false, 'customer', 1),
    (4, false, 'case_manager', 1), (4, false, 'case_reader', 1), (4, false, 'customer', 2),
    (5, false, 'case_reader', 1), (5, false, 'customer', 1),
    (6, false, 'customer', 1),
    (1, true, 'partner_admin', 1), (1, true, 'partner', 3)) v(level, partner, role, people)
JOIN demo.accounts a USING (level, partner), generate_series(1, v.people) n;

INSERT INTO csm.users (display_name, email, external_id, enabled)
SELECT given || ' ' || family, lower(given || '.' || family) || '@' || lower(replace(number, '.', '-')) || '.example', key,
       demo.draw('enabled ' || key, 200) > 0
FROM (SELECT DISTINCT ON (number, demo.given_name(key), demo.family_name(key)) key, number,
             demo.given_name(key) AS given, demo.family_name(key) AS family
      FROM demo.contacts) c;
UPDATE demo.contacts k SET user_id = u.id FROM csm.users u WHERE u.external_id = k.key;

-- Few logins are switched off, few contacts have left.
INSERT INTO csm.contacts (user_id, account_id, role, login_enabled, valid_during)
SELECT user_id, account_id, role, demo.draw('login ' || key, 50) > 0,
       CASE WHEN demo.draw('left ' || key, 40) = 0 AND n > 1 THEN tstzrange('2013-01-01', '2015-02-01') END
FROM demo.contacts;
UPDATE demo.contacts d SET contact_id = k.id FROM csm.contacts k WHERE k.user_id = d.user_id;
-- Some look after a second account; some are consumers as well: one person, several personas.
INSERT INTO csm.contacts (user_id, account_id, role, is_home)
SELECT k.user_id, a.id, 'customer', false
FROM demo.contacts k JOIN demo.accounts a ON a.level = 6 AND demo.draw('second ' || k.key, 8) = 0
     AND a.number = k.number || '.1'
WHERE k.role = 'customer';
INSERT INTO csm.consumers (user_id)
SELECT user_id FROM demo.contacts WHERE demo.draw('consumer ' || key, 30) = 0;
SELECT demo.progress('contacts of companies and partners', count(*), count(*)) FROM csm.contacts;

-- Account teams: managers of relationships by company, some also by consumer and household.
INSERT INTO csm.account_team (account_id, member_id, responsibility)
SELECT a.id, s.user_id, 'relationship_manager'
FROM demo.accounts a JOIN demo.staff s ON s.n = 65 + demo.draw('team ' || split_part(a.number, '.', 1), 12)
WHERE NOT a.partner;
INSERT INTO csm.account_team (account_id, member_id, responsibility)
SELECT a.id, s.user_id, 'account_agent'
FROM demo.accounts a JOIN demo.staff s ON s.n = 26 + demo.draw('agent ' || split_part(a.number, '.', 1), 5)
WHERE NOT a.partner AND a.level <= 4;
INSERT INTO csm.account_team (user_id, member_id)
SELECT c.user_id, s.user_id FROM demo.consumers c JOIN demo.staff s ON s.n = 65 + c.n % 12 WHERE c.n % 100 = 0;
INSERT INTO csm.account_team (household_id, member_id)
SELECT h.id, s.user_id FROM csm.households h JOIN demo.staff s ON s.n = 65 + h.id % 12 WHERE h.id % 50 = 0;

-- ---- relationships ----

-- The partner of the tour: all cases of Halden Europe and below since 2015, and what names it at Orvane Europe.
INSERT INTO csm.account_relationships (partner_account_id, customer_account_id, scope, history_from, include_descendants)
SELECT p.id, c.id, v.scope, v.history_from, true
FROM (VALUES ('A01.1', 'all', timestamptz '2015-01-01 00:00+00'), ('A02.1', 'named', NULL)) v(number, scope, history_from)
JOIN demo.accounts c USING (number) JOIN demo.accounts p ON p.number = 'P01';
-- The others: a dozen customers each, both scopes; some from a date on, some with what lies below, some over.
INSERT INTO csm.account_relationships (partner_account_id, customer_account_id, scope, history_from, include_descendants,
                                       administers, valid_during)
SELECT p.id, c.id, CASE i % 2 WHEN 0 THEN 'named' ELSE 'all' END,
       CASE WHEN i % 4 = 1 THEN timestamptz '2014-10-01 00:00+00' END, i % 3 = 0, i % 5 = 0,
       CASE WHEN i = 7 THEN tstzrange('2014-01-01', '2015-01-15') WHEN i = 9 THEN tstzrange('2040-01-01', NULL) END
FROM demo.accounts p
CROSS JOIN generate_series(1, 12) i
JOIN (SELECT id, row_number() OVER (ORDER BY number) AS n FROM demo.accounts
      WHERE level IN (2, 3, 4) AND number NOT LIKE 'A01%') c
    ON c.n = 1 + demo.draw(format('customer %s of %s', i, p.number), 800)
WHERE p.partner AND p.number <> 'P01'
ON CONFLICT DO NOTHING;
-- Who trades with whom, for disputes.
INSERT INTO csm.account_relationships (type, partner_account_id, customer_account_id)
SELECT 'trades_with', a.id, b.id
FROM (SELECT *, row_number() OVER (ORDER BY number) AS n FROM demo.accounts WHERE level = 4) a
JOIN (SELECT *, row_number() OVER (ORDER BY number) AS n FROM demo.accounts WHERE level = 4) b ON b.n = 1 + (a.n + 137) % 480
WHERE a.n % 3 = 0;

-- ---- cases ----

CREATE TABLE demo.subjects AS
SELECT p.id AS product_id, p.name AS product, u.subject, row_number() OVER (ORDER BY p.id, u.subject) AS n
FROM (VALUES
    ('Payment terminals', '{Terminal offline since this morning,Card reader rejects contactless cards,Receipt printer prints blank slips,
        Settlement report misses a day,Terminal asks for activation again,Wrong currency on receipts}'::text[]),
    ('Fleet cards', '{Card declined at filling station,New card for a new vehicle,Limit of a card too low,
        Fuel invoice lists a sold vehicle,PIN blocked after three attempts}'),
    ('Payroll accounts', '{Salary run rejected,Wrong account number in payroll file,Payslips arrive a day late,
        Former employee still in the salary run,Upload of payroll file fails}'),
    ('Treasury portal', '{User cannot sign in to treasury portal,Balance differs from bank statement,Second approver does not get the request,
        Export to spreadsheet is empty,Exchange rate looks outdated}'),
    ('Trade finance', '{Letter of credit not yet issued,Documents returned as discrepant,Guarantee expires before delivery,
        Fee charged twice on a guarantee}'),
    ('Invoice collection', '{Reminder sent for a paid invoice,Debtor disputes an invoice,Payment booked to the wrong invoice,
        Collection letter shows an old address}')) v(product, subjects)
JOIN csm.products p ON p.name = v.product, unnest(v.subjects) u(subject);

-- The partner who looks after an account, and his three people.
CREATE TABLE demo.looked_after AS
SELECT DISTINCT ON (a.id) a.id AS account_id, r.partner_account_id, p.number AS partner_number, r.history_from
FROM csm.account_relationships r
JOIN demo.accounts c ON c.id = r.customer_account_id
JOIN demo.accounts p ON p.id = r.partner_account_id
JOIN demo.accounts a ON a.id = c.id OR r.include_descendants AND a.number LIKE c.number || '.%'
WHERE r.type = 'partner_of'
ORDER BY a.id, r.id;

CREATE TABLE demo.requesters AS
SELECT k.*, a.name AS account, row_number() OVER (ORDER BY k.number, k.role, k.n) AS place
FROM demo.contacts k JOIN demo.accounts a ON a.id = k.account_id WHERE NOT a.partner;

CREATE FUNCTION demo.load_business_cases(first int, last int, of_all int) RETURNS text LANGUAGE sql AS $$
    INSERT INTO csm.cases (branch, state, priority, subject, description, channel, requester_id, opened_by, account_id,
                           counterparty_account_id, partner_account_id, partner_contact_id, internal_contact_id,
                           product_id, assigned_group_id, assigned_to, resolution_code, resolution_notes,
                           opened_at, submitted_at, first_response_at, resolved_at, closed_at, updated_at, reopen_count)
    SELECT 'b2b', t.state, CASE WHEN luck < 3 THEN 1 WHEN luck < 15 THEN 2 WHEN luck < 50 THEN 3 ELSE 4 END,
           s.subject, format('%s: %s. Reported by %s.', s.product, s.subject, k.account),
           demo.pick('{web,web,phone,email}', 'channel ' || seed), k.user_id,
           CASE WHEN demo.draw('opener ' || seed, 10) = 0 THEN agent.user_id ELSE k.user_id END, k.account_id,
           CASE WHEN demo.draw('dispute ' || seed, 4) = 0 THEN other.customer_account_id END,
           partner.partner_account_id, partner_contact.contact_id, proxy.user_id, s.product_id,
           CASE WHEN working OR done THEN (SELECT m.group_id FROM csm.group_members m WHERE m.user_id = agent.user_id) END,
           CASE WHEN working OR done THEN agent.user_id END,
           CASE WHEN done THEN 'Solved' END,
           CASE WHEN done THEN demo.pick('{Equipment replaced,Setting corrected,Fee refunded,Explained on the phone,
               Data corrected,Fixed with the last release}', 'solved ' || seed) END,
           t.opened, t.submitted, t.responded, t.resolved,
           CASE t.state WHEN 'closed' THEN t.resolved + interval '2 days' WHEN 'cancelled' THEN t.submitted + interval '1 hour' END,
           coalesce(t.resolved, t.responded, t.opened),
           CASE WHEN done AND demo.draw('reopened ' || seed, 12) = 0 THEN 1 ELSE 0 END
    FROM (SELECT i, 'case ' || i AS seed, demo.draw('luck ' || i, 100) AS luck FROM generate_series(first, last) i) c
    JOIN demo.requesters k ON k.place = 1 + demo.draw('requester ' || seed, (SELECT count(*)::int FROM demo.requesters))
    JOIN demo.subjects s ON s.n = 1 + demo.draw('subject ' || seed, (SELECT count(*)::int FROM demo.subjects))
    JOIN demo.staff agent ON agent.n = 1 + demo.draw('agent ' || seed, 25)
    CROSS JOIN LATERAL (
        SELECT state, state IN ('open', 'awaiting_info') AS working, state IN ('resolved', 'closed') AS done
        FROM (SELECT CASE WHEN l < 68 THEN 'closed' WHEN l < 74 THEN 'resolved' WHEN l < 86 THEN 'open'
                          WHEN l < 92 THEN 'awaiting_info' WHEN l < 96 THEN 'new' WHEN l < 98 THEN 'cancelled' ELSE 'draft' END
              FROM demo.draw('state ' || seed, 100) l) x(state)) st
    CROSS JOIN LATERAL (
        SELECT timestamptz '2014-06-01 06:00+00' + demo.draw('day ' || seed, 291) * interval '1 day'
               + demo.draw('minute ' || seed, 720) * interval '1 minute') o(opened)
    CROSS JOIN LATERAL (
        SELECT st.state, o.opened, CASE WHEN st.state <> 'draft' THEN o.opened + interval '1 minute' END AS submitted,
               CASE WHEN working OR done THEN o.opened + (5 + demo.draw('first ' || seed, 600)) * interval '1 minute' END AS responded,
               CASE WHEN done THEN o.opened + (12 + demo.draw('solve ' || seed, 300)) * interval '1 hour' END AS resolved) t
    LEFT JOIN csm.account_relationships other ON other.type = 'trades_with' AND other.partner_account_id = k.account_id
    LEFT JOIN demo.looked_after partner ON partner.account_id = k.account_id AND demo.draw('partner ' || seed, 3) = 0
        AND (partner.history_from IS NULL OR t.opened >= partner.history_from)
    LEFT JOIN demo.contacts partner_contact ON partner_contact.number = partner.partner_number
        AND partner_contact.role = 'partner' AND partner_contact.n = 1 + demo.draw('person ' || seed, 6)
    LEFT JOIN demo.staff proxy ON proxy.n = 105 + demo.draw('proxy ' || seed, 200) AND proxy.role = 'proxy'
    ORDER BY t.opened, c.i;
    SELECT demo.progress('cases of companies', last, of_all);
$$;
SELECT format('SELECT demo.load_business_cases(%s, %s, 20000)', first, first + 4999)
FROM generate_series(1, 20000, 5000) first
\gexec

-- Employees ask as well; an internal case needs neither account nor consumer.
INSERT INTO csm.cases (branch, state, priority, subject, channel, requester_id, opened_by, assigned_group_id, assigned_to,
                       resolution_code, resolution_notes, opened_at, resolved_at, closed_at, updated_at)
SELECT 'internal', CASE WHEN i % 6 = 0 THEN 'open' ELSE 'closed' END, 4,
       demo.pick('{Laptop does not start,Access to the archive,New badge,Mailbox full,Headset broken,Printer on floor 2 jams,
           Phone number for a new colleague,VPN drops every hour}', seed),
       'web', s.user_id, s.user_id, (SELECT id FROM csm.groups WHERE name = 'Internal desk'), a.user_id,
       CASE WHEN i % 6 > 0 THEN 'Solved' END, CASE WHEN i % 6 > 0 THEN 'Done by the desk' END,
       opened, CASE WHEN i % 6 > 0 THEN opened + interval '1 day' END, CASE WHEN i % 6 > 0 THEN opened + interval '3 days' END, opened
FROM (SELECT i, 'internal ' || i AS seed,
             timestamptz '2014-06-01 07:00+00' + demo.draw('internal day ' || i, 291) * interval '1 day' AS opened
      FROM generate_series(1, 1200) i) c
JOIN demo.staff s ON s.n = 1 + demo.draw(seed, 240)
JOIN demo.staff a ON a.n = 111 + i % 10
ORDER BY opened, i;
SELECT demo.progress('cases of employees', count(*), count(*)) FROM csm.cases WHERE branch = 'internal';

-- Some cases are shared with a person elsewhere: comment, but no decision.
INSERT INTO csm.case_parties (case_id, user_id, capabilities)
SELECT c.id, k.user_id, '{case_read,case_comment}'
FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM csm.cases WHERE branch = 'b2b' AND id % 80 = 0) c
JOIN demo.requesters k ON k.place = 1000 + c.n * 17;
