-- Sold products and install base by name: who reads, who links and authorises, restricted accounts, the trees, what a
-- case may name, and registration by consumers. Each deny has an allow that differs in one thing.
\ir ../lib/small.sql
SELECT * FROM no_plan();
INSERT INTO csm.products (tenant_id, name) VALUES (small.tenant(), 'pump'), (small.tenant(), 'valve');
INSERT INTO csm.products (tenant_id, name, active) VALUES (small.tenant(), 'old pump', false);
CREATE FUNCTION small.p(text) RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT id FROM csm.products WHERE name = $1 AND tenant_id = small.tenant());
CREATE FUNCTION small.new_item(of_name text, account text, person text DEFAULT NULL, parent text DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    sold bigint;
    made bigint;
BEGIN
    INSERT INTO csm.sold_products (tenant_id, account_id, user_id, product_id)
    VALUES (small.tenant(), CASE WHEN account IS NOT NULL THEN small.a(account) END, CASE WHEN person IS NOT NULL THEN small.u(person) END,
            small.p('pump')) RETURNING id INTO sold;
    INSERT INTO csm.assets (tenant_id, account_id, user_id, product_id, sold_product_id, parent_id, serial_number, installed_at)
    SELECT s.tenant_id, s.account_id, s.user_id, s.product_id, s.id, CASE WHEN parent IS NOT NULL THEN small.id('asset', parent) END, of_name, now()
    FROM csm.sold_products s WHERE s.id = sold RETURNING id INTO made;
    INSERT INTO small.named VALUES ('sold', of_name, sold), ('asset', of_name, made);
    RETURN made;
END $$;
CREATE FUNCTION small.i(text) RETURNS bigint LANGUAGE sql STABLE RETURN small.id('asset', $1);
CREATE FUNCTION small.s(text) RETURNS bigint LANGUAGE sql STABLE RETURN small.id('sold', $1);
DO $$
BEGIN
    PERFORM small.new_item('holding pump', 'holding'), small.new_item('north pump', 'north'), small.new_item('north spare', 'north'),
            small.new_item('plant pump', 'plant'), small.new_item('south pump', 'south'),
            small.new_item('umbrella pump', 'umbrella'),
            small.new_item('son boiler', NULL, 'son'), small.new_item('mother boiler', NULL, 'mother'), small.new_item('ward boiler', NULL, 'ward');
    INSERT INTO csm.user_roles (tenant_id, user_id, role) VALUES (small.tenant(), small.u('desk manager'), 'agent') ON CONFLICT DO NOTHING;
END $$;

-- Both kinds at once: the item, then the sold product it came with.
CREATE FUNCTION pg_temp.reads(person text, item text, role_name text DEFAULT 'csm_portal', persona text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name,
        format('SELECT concat_ws('' '', (SELECT ''item'' FROM csm.assets WHERE id = %s), (SELECT ''sold'' FROM csm.sold_products WHERE id = %s))
                WHERE row_security_active(''csm.assets'') AND row_security_active(''csm.sold_products'')',
               small.i(item), small.s(item)), persona)
$$;
CREATE FUNCTION pg_temp.answers(descr text, expected text, person text, role_name text, statement text, persona text DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$ SELECT is(small.run(small.u(person), role_name, statement, persona), expected, descr) $$;
CREATE FUNCTION pg_temp.fails(descr text, state text, person text, role_name text, statement text)
RETURNS text LANGUAGE sql AS $$ SELECT is(left(small.run(small.u(person), role_name, statement), 11), 'ERROR ' || state, descr) $$;

-- A9 and B21: the account's own, reach of product_read.
SELECT is(pg_temp.reads('north contact', 'north pump'), 'item sold', 'A9 a contact reads what his account owns');
SELECT is(pg_temp.reads('north contact', 'south pump'), '', 'A9 and not a sibling''s');
SELECT is(pg_temp.reads('north contact', 'plant pump'), '', 'A9 a plain contact reads nothing below his account');
SELECT is(pg_temp.reads('north manager', 'plant pump'), 'item sold', 'V1 a case manager reads what is below');
SELECT is(pg_temp.reads('plant manager', 'north pump'), '', 'V2 a child does not read the parent''s');
SELECT is(pg_temp.reads('paragon admin', 'north pump'), '', 'A9 a partner reads nothing of his customer by being partner');
SELECT is(pg_temp.reads('student', 'north pump'), '', 'V14 somebody without any tie reads nothing');
SELECT is(pg_temp.reads('b2b agent', 'north pump', 'csm_agent'), 'item sold', 'V9 an agent for business customers reads theirs');
SELECT is(pg_temp.reads('b2b agent', 'son boiler', 'csm_agent'), '', 'V9 and no consumer''s');
SELECT is(pg_temp.reads('b2b agent', 'north pump'), '', 'V9 staff reach counts under csm_agent only');
SELECT is(pg_temp.reads('consumer agent', 'son boiler', 'csm_agent'), 'item sold', 'V9 an agent for consumers reads theirs');
SELECT is(pg_temp.reads('account team', 'north pump', 'csm_agent'), 'item sold', 'V9 reach team: an account of his team');
SELECT is(pg_temp.reads('account team', 'south pump', 'csm_agent'), '', 'V9 reach team: and no other');
SELECT is(pg_temp.reads('household team', 'son boiler', 'csm_agent'), 'item sold', 'V9 reach team: a member of a household of his team');

-- V6: consumers.
SELECT is(pg_temp.reads('son', 'son boiler'), 'item sold', 'V6 a consumer reads his own');
SELECT is(pg_temp.reads('son', 'mother boiler'), '', 'V6 a plain member reads no other member''s');
SELECT is(pg_temp.reads('mother', 'son boiler'), 'item sold', 'V6 the head reads the members''');
SELECT is(pg_temp.reads('daughter', 'son boiler'), 'item sold', 'V6 a representative reads the represented person''s');
SELECT is(pg_temp.reads('guardian', 'ward boiler'), 'item sold', 'V6 a representative outside a household');
SELECT is(pg_temp.reads('guardian', 'son boiler'), '', 'V6 and nobody else''s');
BEGIN;
UPDATE csm.household_members SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE user_id = small.u('son');
SELECT is(pg_temp.reads('mother', 'son boiler'), '', 'V6 the head loses them when the member leaves');
ROLLBACK;
BEGIN;
DELETE FROM csm.consumers WHERE user_id = small.u('son');
SELECT is(pg_temp.reads('son', 'son boiler'), '', 'V4 who is no consumer any more reads none');
ROLLBACK;
SELECT is(pg_temp.reads('son', 'son boiler', persona => 'employee'), '', 'V6 as an employee a person is no consumer');
SELECT is(pg_temp.reads('son', 'son boiler', persona => 'consumer'), 'item sold', 'V6 narrowed to the consumer he still reads them');

-- B19 and T9: restricted accounts.
SELECT is(pg_temp.reads('north reader', 'north pump'), 'item sold', 'B19 before: a contact whose role reaches the account reads');
UPDATE csm.accounts SET restrict_contact_access = true WHERE id = small.a('north');
SELECT is(pg_temp.reads('north contact', 'north pump'), '', 'B19 T9 on a restricted account a plain contact loses both');
SELECT is(pg_temp.reads('north reader', 'north pump'), '', 'B19 so does one who reads the account''s cases');
SELECT is(pg_temp.reads('north manager', 'north pump'), 'item sold', 'B19 a case manager keeps both');
SELECT is(pg_temp.reads('north admin', 'north pump'), 'item sold', 'B19 a customer admin keeps both');
SELECT is(pg_temp.reads('holding manager', 'north pump'), 'item sold', 'B19 a manager from above keeps both');
SELECT is(pg_temp.reads('b2b agent', 'north pump', 'csm_agent'), 'item sold', 'B19 staff keep both');
BEGIN;
INSERT INTO csm.asset_contacts (tenant_id, asset_id, contact_id) VALUES (small.tenant(), small.i('north pump'), small.k('north contact at north'));
SELECT is(pg_temp.reads('north contact', 'north pump'), 'item', 'B19 T9 the contact on the record reads that record');
SELECT is(pg_temp.reads('north contact', 'north spare'), '', 'B19 T9 and no other of the account');
SELECT is(pg_temp.reads('north colleague', 'north pump'), '', 'B19 T9 his colleague does not');
UPDATE csm.contacts SET login_enabled = false WHERE id = small.k('north contact at north');
SELECT is(pg_temp.reads('north contact', 'north pump'), '', 'V10 nor he once his login is disabled');
ROLLBACK;
BEGIN;
INSERT INTO csm.asset_contacts (tenant_id, sold_product_id, contact_id) VALUES (small.tenant(), small.s('north pump'), small.k('north contact at north'));
SELECT is(pg_temp.reads('north contact', 'north pump'), 'sold', 'B19 the contact on the sold product reads the sold product');
ROLLBACK;
BEGIN;
INSERT INTO csm.asset_parties (tenant_id, asset_id, user_id) VALUES (small.tenant(), small.i('north pump'), small.u('student')), (small.tenant(), small.i('north spare'), small.u('north contact'));
SELECT is(pg_temp.reads('student', 'north pump'), 'item', 'B18 T9 an authorised person reads it');
SELECT is(pg_temp.reads('north contact', 'north spare'), 'item', 'B18 B19 an authorised contact of a restricted account too');
UPDATE csm.asset_parties SET authorized = false;
SELECT is(pg_temp.reads('student', 'north pump'), '', 'B18 a person who is only listed does not');
UPDATE csm.asset_parties SET authorized = true, valid_during = tstzrange(NULL, clock_timestamp());
SELECT is(pg_temp.reads('student', 'north pump'), '', 'B18 nor one whose authorisation is over');
ROLLBACK;
BEGIN;
INSERT INTO csm.asset_parties (tenant_id, asset_id, account_id) VALUES (small.tenant(), small.i('north pump'), small.a('initech'));
INSERT INTO csm.asset_parties (tenant_id, sold_product_id, account_id) VALUES (small.tenant(), small.s('north pump'), small.a('initech'));
SELECT is(pg_temp.reads('initech contact', 'north pump'), 'item sold', 'B18 T9 contacts of an authorised account read it');
SELECT is(pg_temp.reads('globex contact', 'north pump'), '', 'B18 contacts of another account do not');
DELETE FROM csm.asset_parties;
SELECT is(pg_temp.reads('initech contact', 'north pump'), '', 'V10 nor they once the authorisation is taken back');
ROLLBACK;
UPDATE csm.accounts SET restrict_contact_access = false WHERE id = small.a('north');
SELECT is(pg_temp.reads('north contact', 'north pump'), 'item sold', 'B19 without the restriction the plain contact reads again');
SELECT pg_temp.answers('B19 a customer admin restricts his account', '', 'north admin', 'csm_portal',
    format('SELECT csm.restrict_contact_access(%s, true)', small.a('north')));
SELECT pg_temp.fails('B19 a case manager does not', '42501', 'north manager', 'csm_portal', format('SELECT csm.restrict_contact_access(%s, true)', small.a('north')));
SELECT is(small.run(small.u('north admin'), 'csm_portal', format('SELECT csm.restrict_contact_access(%s, true)', small.a('south'))),
    replace(small.run(small.u('north admin'), 'csm_portal', 'SELECT csm.restrict_contact_access(987654321, true)'), '987654321', small.a('south')::text),
    'V15 an account that one may not see and one that is none give the same error');

-- B20: use_asset_contacts.
BEGIN;
UPDATE csm.tenants SET settings = settings || '{"use_asset_contacts": true}' WHERE id = small.tenant();
SELECT is(pg_temp.reads('north contact', 'north pump'), 'sold', 'B20 a plain contact sees no items but those he is linked to; sold products stay');
SELECT is(pg_temp.reads('north admin', 'north pump'), 'item sold', 'B20 a customer admin sees all');
INSERT INTO csm.asset_contacts (tenant_id, asset_id, contact_id) VALUES (small.tenant(), small.i('north pump'), small.k('north contact at north'));
SELECT is(pg_temp.reads('north contact', 'north pump'), 'item sold', 'B20 linked, he sees the item');
SELECT is(pg_temp.reads('north contact', 'north spare'), 'sold', 'B20 and not the other');
SELECT pg_temp.answers('B20 he picks the item that he is linked to', 'true', 'north contact', 'csm_portal',
    format('SELECT (csm.open_case(''leaks'', asset_id => %s)).asset_id = %1$s', small.i('north pump')));
SELECT pg_temp.fails('B20 and no other', '42501', 'north contact', 'csm_portal', format('SELECT csm.open_case(''leaks'', asset_id => %s)', small.i('north spare')));
SELECT is(pg_temp.reads('son', 'son boiler'), 'item sold', 'B20 a consumer''s own are not touched');
ROLLBACK;

-- A15: links.
CREATE FUNCTION pg_temp.link(person text, item text, contact text, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql AS $$
    SELECT left(small.run(small.u(person), role_name, format('INSERT INTO csm.asset_contacts (asset_id, contact_id) VALUES (%s, %s) RETURNING ''linked''',
                                                        small.i(item), small.k(contact))), 11) $$;
SELECT is(pg_temp.link('north admin', 'north pump', 'north contact at north'), 'linked', 'A15 a customer admin links a contact to an item');
SELECT is(pg_temp.link('acme admin', 'plant pump', 'plant contact at plant'), 'linked', 'A15 also below his account');
SELECT is(pg_temp.link('north manager', 'north pump', 'north contact at north'), 'ERROR 42501', 'A15 a case manager does not');
SELECT is(pg_temp.link('north admin', 'south pump', 'south contact at south'), 'ERROR 42501', 'A15 nor he on a sibling''s item');
SELECT is(pg_temp.link('acme admin', 'north pump', 'south contact at south'), 'ERROR 42501', 'A15 nor a contact of another account that he manages');
SELECT is(pg_temp.link('north admin', 'north pump', 'paragon partner at paragon'), 'ERROR 42501', 'A15 nor a partner''s contact, whom he cannot read');
SELECT is(pg_temp.link('desk manager', 'north pump', 'paragon partner at paragon', 'csm_agent'), 'linked', 'A15 staff with product_manage link a partner''s contact');
SELECT is(pg_temp.link('desk manager', 'south pump', 'paragon partner at paragon', 'csm_agent'), 'ERROR 42501', 'A15 not where the partner does not look after the owner');
SELECT is(pg_temp.link('b2b agent', 'north pump', 'north contact at north', 'csm_agent'), 'ERROR 42501', 'A15 staff without product_manage do not');
SELECT is(small.run(small.u('north admin'), 'csm_portal', format('INSERT INTO csm.asset_contacts (asset_id, contact_id) VALUES (%s, %s)', small.i('south pump'), small.k('north contact at north'))),
    small.run(small.u('north admin'), 'csm_portal', format('INSERT INTO csm.asset_contacts (asset_id, contact_id) VALUES (987654321, %s)', small.k('north contact at north'))),
    'V15 an item that one may not see and one that is none give the same error');
SELECT throws_ok(format('INSERT INTO csm.asset_contacts (tenant_id, asset_id, contact_id) VALUES (%s, %s, %s)', small.tenant(), small.i('north pump'), small.k('south contact at south')),
    '23514', NULL, 'A15 who writes past row security cannot link a contact who does not fit either');
BEGIN;
INSERT INTO csm.asset_contacts (tenant_id, asset_id, contact_id) VALUES (small.tenant(), small.i('north pump'), small.k('north contact at north')),
    (small.tenant(), small.i('north pump'), small.k('paragon partner at paragon'));
SELECT is(pg_temp.link('north admin', 'north pump', 'north contact at north'), 'ERROR 23505', 'A15 a duplicate is refused');
SELECT is(pg_temp.reads('paragon partner', 'north pump'), 'item', 'A15 the partner''s contact reads the item he is linked to');
SELECT pg_temp.answers('A15 the contact sees his link', '1', 'north contact', 'csm_portal', 'SELECT count(*) FROM csm.asset_contacts');
SELECT pg_temp.answers('A15 whom else it names, only who reads the contacts', '0', 'north colleague', 'csm_portal', 'SELECT count(*) FROM csm.asset_contacts');
SELECT pg_temp.answers('A15 the admin sees all links of items that he manages', '2', 'north admin', 'csm_portal', 'SELECT count(*) FROM csm.asset_contacts');
SELECT pg_temp.answers('A15 and ends them', '2', 'north admin', 'csm_portal', 'WITH d AS (DELETE FROM csm.asset_contacts RETURNING id) SELECT count(*) FROM d');
SELECT pg_temp.answers('A15 the contact himself unlinks nobody', '0', 'north contact', 'csm_portal', 'WITH d AS (DELETE FROM csm.asset_contacts RETURNING 1) SELECT count(*) FROM d');
UPDATE csm.account_relationships SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE id = small.r('paragon-north');
SELECT is(pg_temp.reads('paragon partner', 'north pump'), '', 'V5 the partner''s contact loses it with the relationship');
UPDATE csm.assets SET account_id = small.a('south') WHERE id = small.i('north pump');
SELECT is((SELECT count(*) FROM csm.asset_contacts), 0::bigint, 'A15 a change of owner ends the links');
ROLLBACK;

-- B18: who authorises whom.
CREATE FUNCTION pg_temp.authorise(person text, item text, party text, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql AS $$
    SELECT left(small.run(small.u(person), role_name, format('INSERT INTO csm.asset_parties (asset_id, %s) VALUES (%s, %s) RETURNING ''authorised''',
        CASE WHEN party ^@ 'account ' THEN 'account_id' ELSE 'user_id' END, small.i(item),
        CASE WHEN party ^@ 'account ' THEN small.a(substr(party, 9)) ELSE small.u(party) END)), 11) $$;
SELECT is(pg_temp.authorise('acme admin', 'north pump', 'south contact'), 'authorised', 'B18 a customer admin authorises a person of an account that he manages');
SELECT is(pg_temp.authorise('acme admin', 'north pump', 'account south'), 'authorised', 'B18 or that account');
SELECT is(pg_temp.authorise('acme admin', 'north pump', 'globex contact'), 'ERROR 42501', 'B18 nobody from outside');
SELECT is(pg_temp.authorise('acme admin', 'north pump', 'account globex'), 'ERROR 42501', 'B18 and no account from outside');
SELECT is(pg_temp.authorise('north manager', 'north pump', 'north contact'), 'ERROR 42501', 'B18 a case manager authorises nobody');
SELECT is(pg_temp.authorise('desk manager', 'north pump', 'globex contact', 'csm_agent'), 'authorised', 'B18 staff with product_manage authorise anybody');
SELECT is(pg_temp.authorise('son', 'son boiler', 'mother'), 'ERROR 42501', 'B18 a consumer authorises nobody by himself');
BEGIN;
INSERT INTO csm.asset_parties (tenant_id, asset_id, user_id) VALUES (small.tenant(), small.i('north pump'), small.u('student')), (small.tenant(), small.i('north pump'), small.u('globex contact'));
SELECT pg_temp.answers('B18 the person authorised sees his authorisation alone', '1', 'student', 'csm_portal', 'SELECT count(*) FROM csm.asset_parties');
SELECT pg_temp.answers('B18 who manages the item sees them all', '2', 'north admin', 'csm_portal', 'SELECT count(*) FROM csm.asset_parties');
SELECT pg_temp.answers('B18 a plain contact of the owner sees none', '0', 'north contact', 'csm_portal', 'SELECT count(*) FROM csm.asset_parties');
SELECT pg_temp.answers('B18 staff who read the item see them all', '2', 'b2b agent', 'csm_agent', 'SELECT count(*) FROM csm.asset_parties');
SELECT pg_temp.answers('B18 who manages the item ends one', '2', 'north admin', 'csm_portal', 'WITH u AS (UPDATE csm.asset_parties SET authorized = false RETURNING 1) SELECT count(*) FROM u');
SELECT pg_temp.answers('B18 the person authorised changes nothing', '0', 'student', 'csm_portal', 'WITH u AS (UPDATE csm.asset_parties SET authorized = true RETURNING 1) SELECT count(*) FROM u');
ROLLBACK;

-- Writes are staff work.
SELECT pg_temp.answers('B21 staff with product_manage enter an item', 'true', 'desk manager', 'csm_agent',
    format('INSERT INTO csm.assets (account_id, product_id) VALUES (%s, %s) RETURNING root_id = id', small.a('north'), small.p('pump')));
SELECT pg_temp.fails('B21 staff without do not', '42501', 'b2b agent', 'csm_agent', format('INSERT INTO csm.assets (account_id, product_id) VALUES (%s, %s)', small.a('north'), small.p('pump')));
SELECT pg_temp.fails('B21 nor does the customer', '42501', 'north admin', 'csm_portal', format('INSERT INTO csm.assets (account_id, product_id) VALUES (%s, %s)', small.a('north'), small.p('pump')));
SELECT pg_temp.fails('B21 nor does he change one', '42501', 'north admin', 'csm_portal', 'UPDATE csm.assets SET location = ''here''');
SELECT throws_ok(format('INSERT INTO csm.assets (tenant_id, account_id, user_id, product_id) VALUES (%s, %s, %s, %s)', small.tenant(), small.a('north'), small.u('son'), small.p('pump')),
    '23514', NULL, 'B21 an account or a person owns it, not both');
SELECT throws_ok(format('INSERT INTO csm.sold_products (tenant_id, product_id) VALUES (%s, %s)', small.tenant(), small.p('pump')), '23514', NULL, 'B21 and not nobody');

-- B21: the trees.
BEGIN;
CREATE FUNCTION pg_temp.tree() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(a.serial_number || '<' || r.serial_number, ' ' ORDER BY a.serial_number) FROM csm.assets a JOIN csm.assets r ON r.id = a.root_id WHERE a.serial_number ~ '^t' $$;
-- children first: rows of a statement come in any order
INSERT INTO csm.assets (id, tenant_id, account_id, product_id, serial_number, parent_id) OVERRIDING SYSTEM VALUE
VALUES (1003, small.tenant(), small.a('north'), small.p('pump'), 't3', 1002), (1002, small.tenant(), small.a('north'), small.p('pump'), 't2', 1001),
       (1001, small.tenant(), small.a('north'), small.p('pump'), 't1', NULL), (1004, small.tenant(), small.a('north'), small.p('pump'), 't4', NULL);
SELECT is(pg_temp.tree(), 't1<t1 t2<t1 t3<t1 t4<t4', 'B21 every item knows the top of its tree, in whatever order a statement brings them');
UPDATE csm.assets SET parent_id = 1004 WHERE id = 1002;
SELECT is(pg_temp.tree(), 't1<t1 t2<t4 t3<t4 t4<t4', 'B21 a moved item takes what hangs below along');
UPDATE csm.assets SET parent_id = NULL WHERE id = 1002;
SELECT is(pg_temp.tree(), 't1<t1 t2<t2 t3<t2 t4<t4', 'B21 taken out it is a top itself');
UPDATE csm.assets SET root_id = 1001 WHERE id = 1003;
SELECT is(pg_temp.tree(), 't1<t1 t2<t2 t3<t2 t4<t4', 'B21 nobody writes the top by hand');
SELECT throws_ok('UPDATE csm.assets SET parent_id = 1003 WHERE id = 1002', '23514', NULL, 'B21 a circle is refused');
SELECT throws_ok('UPDATE csm.assets SET parent_id = id WHERE id = 1004', '23514', NULL, 'B21 so is an item within itself');
SELECT throws_ok(format('INSERT INTO csm.assets (id, tenant_id, account_id, product_id, parent_id) OVERRIDING SYSTEM VALUE VALUES (1010, %1$s, %2$s, %3$s, 1011), (1011, %1$s, %2$s, %3$s, 1010)',
    small.tenant(), small.a('north'), small.p('pump')), '23514', NULL, 'B21 and a circle of new items');
INSERT INTO csm.sold_products (tenant_id, account_id, product_id, parent_id) SELECT tenant_id, account_id, product_id, id FROM csm.sold_products WHERE id = small.s('north pump');
SELECT is((SELECT root_id FROM csm.sold_products WHERE parent_id = small.s('north pump')), small.s('north pump'), 'B21 sold products stand in a tree too');
ROLLBACK;

-- States by dates.
SELECT is(csm.state((1, 1, 1, NULL, NULL, 1, NULL, NULL, 1, v.during, now())::csm.sold_products), v.expected, 'B21 a sold product is ' || v.expected)
FROM (VALUES (NULL::tstzrange, 'active'), (tstzrange(now() - interval '1 day', NULL), 'active'), (tstzrange(now() + interval '1 day', NULL), 'in_preparation'),
             (tstzrange(NULL, now()), 'expired')) v(during, expected);
SELECT is(csm.state((1, 1, 1, NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, v.installed, v.removed, now())::csm.assets), v.expected, 'B21 an item is ' || v.expected)
FROM (VALUES (NULL::timestamptz, NULL::timestamptz, 'in_preparation'), (now() + interval '1 day', NULL, 'in_preparation'), (now(), NULL, 'installed'),
             (now() - interval '2 days', now() - interval '1 day', 'removed'), (now() - interval '2 days', now() + interval '1 day', 'installed')) v(installed, removed, expected);
SELECT pg_temp.answers('B21 the portal may ask for the state', 'installed', 'north contact', 'csm_portal', format('SELECT csm.state(a) FROM csm.assets a WHERE id = %s', small.i('north pump')));

-- The item of a case is one that its writer reads.
SELECT pg_temp.answers('A9 a contact opens a case on an item of his account', 'true', 'north contact', 'csm_portal',
    format('SELECT (csm.open_case(''leaks'', asset_id => %s)).asset_id = %1$s', small.i('north pump')));
SELECT pg_temp.answers('A9 by plain INSERT too', 'true', 'north contact', 'csm_portal',
    format('INSERT INTO csm.cases (subject, asset_id) VALUES (''leaks'', %s) RETURNING asset_id = %1$s', small.i('north pump')));
SELECT pg_temp.answers('A9 a consumer on his own', 'b2c', 'son', 'csm_portal', format('SELECT (csm.open_case(''cold'', asset_id => %s)).branch', small.i('son boiler')));
SELECT is(small.run(small.u('north contact'), 'csm_portal', format('SELECT csm.open_case(''leaks'', asset_id => %s)', small.i('south pump'))),
    replace(small.run(small.u('north contact'), 'csm_portal', 'SELECT csm.open_case(''leaks'', asset_id => 987654321)'), '987654321', small.i('south pump')::text),
    'V15 an item that one may not see and one that is none give the same error');
SELECT pg_temp.fails('V15 which is 42501', '42501', 'north contact', 'csm_portal', 'SELECT csm.open_case(''leaks'', asset_id => 987654321)');
SELECT pg_temp.answers('A9 staff change the item of a case to one they read', '1', 'b2b agent', 'csm_agent',
    format('WITH u AS (UPDATE csm.cases SET asset_id = %s WHERE id = %s RETURNING 1) SELECT count(*) FROM u', small.i('north pump'), small.c('north: pump')));
SELECT pg_temp.fails('A9 and not to one they do not', '42501', 'b2b agent', 'csm_agent',
    format('UPDATE csm.cases SET asset_id = %s WHERE id = %s', small.i('son boiler'), small.c('north: pump')));
SELECT pg_temp.answers('A9 through an action as well', 'awaiting_info', 'b2b agent', 'csm_agent',
    format('SELECT (csm.act(%s, ''request_info'', ''which?'', ''{"asset_id": %s}'')).state', small.c('north: pump'), small.i('north pump')));
SELECT pg_temp.fails('A9 nor through an action', '42501', 'b2b agent', 'csm_agent',
    format('SELECT csm.act(%s, ''request_info'', ''which?'', ''{"asset_id": %s}'')', small.c('north: pump'), small.i('son boiler')));
BEGIN;
UPDATE csm.cases SET asset_id = small.i('north pump') WHERE id = small.c('north: with paragon');
SELECT pg_temp.answers('A9 who may not read the item of a case still works on the case', '1', 'paragon admin', 'csm_portal',
    format('WITH c AS (SELECT csm.comment(%s, ''hello'')) SELECT count(*) FROM c', small.c('north: with paragon')));
ROLLBACK;
SELECT throws_ok(format('UPDATE csm.cases SET asset_id = 987654321 WHERE id = %s', small.c('north: pump')), '23503', NULL, 'A9 the foreign key binds who writes past row security');

-- B22: registration.
CREATE FUNCTION pg_temp.register(person text, product bigint, serial text, persona text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u(person), 'csm_portal', format('SELECT (csm.register_product(%s, %L, ''2024-05-01'')).user_id = %s', product, serial, small.u(person)), persona) $$;
SELECT is(pg_temp.register('stranger', small.p('valve'), ' V-1 '), 'true', 'B22 a consumer registers a product and owns it');
SELECT is(left(pg_temp.register('student', small.p('valve'), 'V-1'), 11), 'ERROR 42501', 'B22 somebody who is no consumer does not');
SELECT is(left(pg_temp.register('all three', small.p('valve'), 'V-1', 'employee'), 11), 'ERROR 42501', 'B22 nor a consumer who acts as employee');
SELECT is(pg_temp.register('all three', small.p('valve'), 'V-1', 'consumer'), 'true', 'B22 as consumer he does');
SELECT is(left(pg_temp.register('stranger', small.p('valve'), '  '), 11), 'ERROR 22023', 'B22 a serial number is needed');
SELECT is(regexp_replace(pg_temp.register('stranger', small.p('pump'), 'son boiler'), 'product \d+', 'product N'),
          regexp_replace(pg_temp.register('stranger', 987654321, 'son boiler'), 'product \d+', 'product N'),
          'B22 a number that another holds and a product that is none give the same error');
SELECT is(regexp_replace(pg_temp.register('stranger', small.p('pump'), 'son boiler'), 'product \d+', 'product N'),
          regexp_replace(pg_temp.register('son', small.p('pump'), 'son boiler'), 'product \d+', 'product N'),
          'B22 so does a number that one holds oneself');
BEGIN;
INSERT INTO csm.assets (tenant_id, user_id, product_id, serial_number, installed_at)
SELECT small.tenant(), small.u('stranger'), small.p('valve'), 'q' || n, now() FROM generate_series(1, 24) n;
SELECT is(pg_temp.register('stranger', small.p('valve'), 'V-1'), 'true', 'B22 the 25th product is registered');
INSERT INTO csm.assets (tenant_id, user_id, product_id, serial_number, installed_at) SELECT small.tenant(), small.u('stranger'), small.p('valve'), 'q25', now() - interval '1 day';
SELECT is(left(pg_temp.register('stranger', small.p('valve'), 'V-1'), 11), 'ERROR SM007', 'SM007 B22 the 26th is not');
UPDATE csm.assets SET removed_at = now() WHERE serial_number = 'q25';
SELECT is(pg_temp.register('stranger', small.p('valve'), 'V-1'), 'true', 'B22 one that is removed does not count');
UPDATE csm.tenants SET settings = settings || '{"quotas": {"products": 3}}' WHERE id = small.tenant();
SELECT is(left(pg_temp.register('stranger', small.p('valve'), 'V-1'), 11), 'ERROR SM007', 'B22 the tenant sets the quota');
ROLLBACK;
SELECT is(left(pg_temp.register('stranger', small.p('old pump'), 'V-1'), 11), 'ERROR 22023', 'B22 a product that is not offered any more is not registered');
SELECT * FROM finish();
