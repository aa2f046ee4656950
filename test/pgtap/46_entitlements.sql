-- Contracts and entitlements by name: who reads, what fits a case and in which order, what closing uses, hours; and what
-- fits against a definition without any look-up, over random entitlements and cases.
\ir ../lib/small.sql
SELECT * FROM no_plan();
UPDATE csm.tenants SET settings = settings || '{"quotas": {"cases_per_day": null}}' WHERE id = small.tenant();
INSERT INTO csm.products (tenant_id, name) VALUES (small.tenant(), 'pump'), (small.tenant(), 'valve');
CREATE FUNCTION small.p(text) RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT id FROM csm.products WHERE name = $1 AND tenant_id = small.tenant());
INSERT INTO csm.sold_products (tenant_id, account_id, product_id) VALUES (small.tenant(), small.a('north'), small.p('pump'));
INSERT INTO csm.sold_products (tenant_id, user_id, product_id) VALUES (small.tenant(), small.u('son'), small.p('valve'));
INSERT INTO csm.assets (tenant_id, account_id, user_id, product_id, sold_product_id, serial_number, installed_at)
SELECT s.tenant_id, s.account_id, s.user_id, s.product_id, s.id, CASE WHEN s.user_id IS NULL THEN 'north pump' ELSE 'son valve' END, now() FROM csm.sold_products s;
CREATE FUNCTION small.i(text) RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT id FROM csm.assets WHERE serial_number = $1);
CREATE FUNCTION small.s(text) RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT sold_product_id FROM csm.assets WHERE serial_number = $1);
INSERT INTO csm.contracts (tenant_id, account_id, name) VALUES (small.tenant(), small.a('north'), 'care'), (small.tenant(), small.a('north'), 'pump care');
CREATE FUNCTION small.ct(text) RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT id FROM csm.contracts WHERE name = $1);
INSERT INTO csm.contract_lines (tenant_id, contract_id, asset_id) VALUES (small.tenant(), small.ct('pump care'), small.i('north pump'));
CREATE FUNCTION small.e(text) RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT id FROM csm.entitlements WHERE name = $1);
CREATE FUNCTION pg_temp.answers(descr text, expected text, person text, role_name text, statement text, persona text DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$ SELECT is(small.run(small.u(person), role_name, statement, persona), expected, descr) $$;
CREATE FUNCTION pg_temp.fails(descr text, state text, person text, role_name text, statement text)
RETURNS text LANGUAGE sql AS $$ SELECT is(left(small.run(small.u(person), role_name, statement), 11), 'ERROR ' || state, descr) $$;

-- Reading: reach of entitlement_read on the holder.
INSERT INTO csm.entitlements (tenant_id, name, account_id, user_id, product_id, asset_id, contract_id, unit) VALUES
    (small.tenant(), 'of north', small.a('north'), NULL, NULL, NULL, NULL, 'hours'),
    (small.tenant(), 'of north''s pump', NULL, NULL, NULL, small.i('north pump'), NULL, 'hours'),
    (small.tenant(), 'of north''s care', NULL, NULL, NULL, NULL, small.ct('care'), 'hours'),
    (small.tenant(), 'of son', NULL, small.u('son'), NULL, NULL, NULL, 'hours'),
    (small.tenant(), 'of every valve', NULL, NULL, small.p('valve'), NULL, NULL, 'hours');
CREATE FUNCTION pg_temp.names(person text, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name, 'SELECT string_agg(name, '', '' ORDER BY id) FROM csm.entitlements WHERE row_security_active(''csm.entitlements'')') $$;
SELECT is(pg_temp.names('north contact'), 'of north, of north''s pump, of north''s care', 'B24 a contact reads the entitlements of his account, however they name it');
SELECT is(pg_temp.names('holding manager'), 'of north, of north''s pump, of north''s care', 'B24 a manager those of his subtree');
SELECT is(pg_temp.names('holding contact'), NULL, 'B24 a plain contact of the parent does not');
SELECT is(pg_temp.names('son'), 'of son', 'B24 a consumer his own');
SELECT is(pg_temp.names('mother'), NULL, 'B24 the head of the household does not: V6 is of cases and products');
SELECT is(pg_temp.names('b2b agent', 'csm_agent'), 'of north, of north''s pump, of north''s care, of every valve', 'B24 an agent for business customers theirs, and those of a product');
SELECT is(pg_temp.names('consumer agent', 'csm_agent'), 'of son, of every valve', 'B24 an agent for consumers theirs');
SELECT is(pg_temp.names('account team', 'csm_agent'), 'of north, of north''s pump, of north''s care', 'B24 reach team those of his customers');
SELECT pg_temp.answers('B23 a contact reads the contracts of his account, and their lines', '2 1', 'north contact', 'csm_portal',
    'SELECT concat_ws('' '', (SELECT count(*) FROM csm.contracts), (SELECT count(*) FROM csm.contract_lines))');
SELECT pg_temp.answers('B23 a contact of another account reads none', '0 0', 'south contact', 'csm_portal',
    'SELECT concat_ws('' '', (SELECT count(*) FROM csm.contracts), (SELECT count(*) FROM csm.contract_lines))');
BEGIN;
UPDATE csm.accounts SET restrict_contact_access = true WHERE id = small.a('north');
SELECT is(pg_temp.names('north contact'), 'of north, of north''s pump, of north''s care', 'B19 the restriction is of products, not of entitlements');
ROLLBACK;
BEGIN;
UPDATE csm.assets SET account_id = small.a('south') WHERE id = small.i('north pump');
SELECT is(pg_temp.names('south contact'), 'of north''s pump', 'B24 an entitlement of an item goes with the item');
ROLLBACK;

-- States.
SELECT is(csm.state((1, 1, 1, NULL, NULL, NULL, 'x', v.draft, v.cancelled, v.during, now())::csm.contracts), v.expected, 'B23 a contract is ' || v.expected)
FROM (VALUES (false, false, NULL::tstzrange, 'active'), (true, false, NULL, 'draft'), (false, false, tstzrange(now() + interval '1 day', NULL), 'draft'),
             (false, false, tstzrange(NULL, now()), 'expired'), (true, true, NULL, 'cancelled')) v(draft, cancelled, during, expected);
BEGIN;
UPDATE csm.entitlements SET suspended = true;
SELECT is((SELECT csm.state(e) FROM csm.entitlements e WHERE name = 'of son'), 'suspended', 'B24 an entitlement is suspended');
UPDATE csm.entitlements SET valid_during = tstzrange(NULL, now());
SELECT is((SELECT csm.state(e) FROM csm.entitlements e WHERE name = 'of son'), 'expired', 'B24 or expired');
UPDATE csm.entitlements SET cancelled = true;
SELECT is((SELECT csm.state(e) FROM csm.entitlements e WHERE name = 'of son'), 'cancelled', 'B24 or cancelled');
ROLLBACK;
SELECT pg_temp.answers('B24 staff with product_manage grant one', 'b2b', 'desk manager', 'csm_agent',
    format('INSERT INTO csm.entitlements (name, account_id, total) VALUES (''new'', %s, 3) RETURNING branch', small.a('north')));
SELECT pg_temp.fails('B24 staff without do not', '42501', 'b2b agent', 'csm_agent', format('INSERT INTO csm.entitlements (name, account_id, total) VALUES (''new'', %s, 3)', small.a('north')));
SELECT pg_temp.fails('B24 nor does the customer', '42501', 'north admin', 'csm_portal', format('INSERT INTO csm.entitlements (name, account_id, total) VALUES (''new'', %s, 3)', small.a('north')));
SELECT pg_temp.fails('B24 nobody writes what is used', '42501', 'desk manager', 'csm_agent', 'UPDATE csm.entitlements SET used = 0');
SELECT throws_ok(format('INSERT INTO csm.entitlements (tenant_id, name, account_id, total, used) VALUES (%s, ''x'', %s, 1, 2)', small.tenant(), small.a('north')), '23514', NULL, 'B24 used never passes total');
SELECT throws_ok(format('INSERT INTO csm.entitlements (tenant_id, name) VALUES (%s, ''x'')', small.tenant()), '23514', NULL, 'B24 an entitlement names something');
SELECT throws_ok(format('INSERT INTO csm.contract_lines (tenant_id, contract_id, asset_id) VALUES (%s, %s, %s)', small.tenant(), small.ct('care'), small.i('son valve')), '23514', NULL, 'B23 a contract covers what its owner owns');
UPDATE csm.entitlements SET cancelled = true;

-- B25: the order.
CREATE FUNCTION pg_temp.open(person text, account text, product text DEFAULT NULL, asset text DEFAULT NULL, of_channel text DEFAULT 'web') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    made := small.run(small.u(person), 'csm_portal', format('SELECT (csm.open_case(''x'', account_id => %L, product_id => %L, asset_id => %L, channel => %L)).id',
        CASE WHEN account IS NOT NULL THEN small.a(account) END, CASE WHEN product IS NOT NULL THEN small.p(product) END,
        CASE WHEN asset IS NOT NULL THEN small.i(asset) END, of_channel), keep => true)::bigint;
    RETURN made;
END $$;
-- Names of what fits with their weights, as staff see it.
CREATE FUNCTION pg_temp.fits(of_case bigint) RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u('b2b agent'), 'csm_agent', format('SELECT string_agg(name || '' '' || weight, '', '') FROM csm.case_entitlements(%s)', of_case)) $$;
SELECT pg_temp.open('north contact', 'north', NULL, 'north pump') AS on_pump \gset
SELECT pg_temp.open('north contact', 'north', 'valve') AS on_valve \gset
SELECT pg_temp.open('north contact', 'north', 'pump', NULL, 'phone') AS by_phone \gset
SELECT pg_temp.open('south contact', 'south', 'pump') AS of_south \gset
SELECT is((SELECT count(*) FROM csm.cases WHERE entitlement_id IS NOT NULL), 0::bigint, 'B25 without any entitlement a case gets none');
SELECT is(csm.best_entitlement(:on_pump), NULL, 'B25 and none is best');
INSERT INTO csm.entitlements (tenant_id, name, account_id, product_id, asset_id, sold_product_id, contract_id, channels, valid_during) VALUES
    (small.tenant(), 'account', small.a('north'), NULL, NULL, NULL, NULL, NULL, NULL),
    (small.tenant(), 'product', NULL, small.p('pump'), NULL, NULL, NULL, NULL, NULL),
    (small.tenant(), 'item', NULL, NULL, small.i('north pump'), NULL, NULL, NULL, NULL),
    (small.tenant(), 'sold', NULL, NULL, NULL, small.s('north pump'), NULL, NULL, tstzrange(NULL, now() + interval '9 days')),
    (small.tenant(), 'contract', NULL, NULL, NULL, NULL, small.ct('care'), NULL, NULL),
    (small.tenant(), 'account and product', small.a('north'), small.p('pump'), NULL, NULL, NULL, NULL, tstzrange(NULL, now() + interval '5 days')),
    (small.tenant(), 'all', small.a('north'), small.p('pump'), small.i('north pump'), small.s('north pump'), small.ct('pump care'), NULL, NULL),
    (small.tenant(), 'by phone', small.a('north'), NULL, NULL, NULL, NULL, '{phone,email}', NULL),
    (small.tenant(), 'south', small.a('south'), NULL, NULL, NULL, NULL, NULL, NULL);
SELECT is(pg_temp.fits(:on_pump), 'all 10, contract 4, account and product 3, sold 3, item 3, product 2, account 1', 'B25 weights 1, 2, 3 (item or sold product, once), 4; ties by the earlier end, none last');
SELECT is(pg_temp.fits(:on_valve), 'contract 4, account 1', 'B25 what names another product or an item does not fit');
SELECT is(pg_temp.fits(:by_phone), 'contract 4, account and product 3, product 2, account 1, by phone 1', 'B25 the channel of the case counts; on the same weight and end the lower id');
SELECT is(pg_temp.fits(:of_south), 'product 2, south 1', 'B25 another account''s do not fit');
SELECT is(csm.best_entitlement(:on_pump), small.e('all'), 'B25 the best is the first');
SELECT pg_temp.answers('B25 a customer is offered what he reads', 'all, contract, account and product, sold, item, account', 'north contact', 'csm_portal',
    format('SELECT string_agg(name, '', '') FROM csm.case_entitlements(%s)', :on_pump));
SELECT pg_temp.fails('SM001 B25 nothing is offered for a case that one does not see', 'SM001', 'south contact', 'csm_portal', format('SELECT csm.best_entitlement(%s)', :on_pump));
SELECT is(left(small.run(NULL, 'csm_portal', format('SELECT csm.best_entitlement(%s)', :on_pump)), 11), 'ERROR SM001', 'V14 nobody is offered nothing');
SELECT is(replace(small.run(small.u('south contact'), 'csm_portal', format('SELECT csm.best_entitlement(%s)', :on_pump)), :'on_pump', '987654321'),
    small.run(small.u('south contact'), 'csm_portal', 'SELECT csm.best_entitlement(987654321)'), 'V15 hidden and missing give the same error');
BEGIN;
UPDATE csm.entitlements SET suspended = true WHERE name = 'all';
UPDATE csm.contracts SET draft = true WHERE name = 'care';
UPDATE csm.entitlements SET cancelled = true WHERE name = 'account and product';
UPDATE csm.entitlements SET valid_during = tstzrange(NULL, now()) WHERE name = 'sold';
UPDATE csm.entitlements SET total = 1, used = 1 WHERE name = 'item';
UPDATE csm.entitlements SET valid_during = tstzrange(now() + interval '1 day', NULL) WHERE name = 'product';
SELECT is(pg_temp.fits(:on_pump), 'account 1', 'B25 not what is suspended, cancelled, used up, expired or not begun, nor under a draft contract');
ROLLBACK;
BEGIN;
UPDATE csm.contracts SET cancelled = true WHERE name = 'care';
SELECT is(pg_temp.fits(:on_valve), 'account 1', 'B23 nor under a cancelled contract');
ROLLBACK;

-- Choosing.
SELECT pg_temp.answers('B25 staff choose another that fits', '1', 'b2b agent', 'csm_agent',
    format('WITH u AS (UPDATE csm.cases SET entitlement_id = %s WHERE id = %s RETURNING 1) SELECT count(*) FROM u', small.e('account'), :on_pump));
SELECT pg_temp.fails('B25 and not one that does not fit', '23514', 'b2b agent', 'csm_agent', format('UPDATE csm.cases SET entitlement_id = %s WHERE id = %s', small.e('south'), :on_pump));
SELECT pg_temp.fails('B25 V15 nor one that is none', '42501', 'b2b agent', 'csm_agent', format('UPDATE csm.cases SET entitlement_id = 987654321 WHERE id = %s', :on_pump));
SELECT pg_temp.fails('B25 a customer chooses nothing', '42501', 'north contact', 'csm_portal', format('UPDATE csm.cases SET entitlement_id = %s WHERE id = %s', small.e('account'), :on_pump));
SELECT throws_ok(format('UPDATE csm.cases SET entitlement_id = 987654321 WHERE id = %s', :on_pump), '23503', NULL, 'B25 the foreign key binds who writes past row security');
INSERT INTO csm.entitlements (tenant_id, name, user_id) VALUES (small.tenant(), 'son''s', small.u('son'));
SELECT pg_temp.fails('B25 V15 nor one of a customer outside his reach', '42501', 'b2b agent', 'csm_agent', format('UPDATE csm.cases SET entitlement_id = %s WHERE id = %s', small.e('son''s'), :on_pump));

-- Filling in.
SELECT pg_temp.open('south contact', 'south') AS one, pg_temp.open('south contact', 'south', 'pump') AS two, pg_temp.open('son', NULL) AS consumers,
       pg_temp.open('stranger', NULL) AS strangers \gset
SELECT is((SELECT entitlement_id FROM csm.cases WHERE id = :one), small.e('south'), 'B25 the only one that fits is filled in at opening');
SELECT is((SELECT entitlement_id FROM csm.cases WHERE id = :two), NULL, 'B25 of two none is');
SELECT is((SELECT entitlement_id FROM csm.cases WHERE id = :consumers), small.e('son''s'), 'B25 a consumer''s as well');
SELECT is((SELECT entitlement_id FROM csm.cases WHERE id = :strangers), NULL, 'B25 and no other consumer''s');
INSERT INTO csm.entitlements (tenant_id, name, product_id) VALUES (small.tenant(), 'every valve', small.p('valve'));
SELECT pg_temp.open('plant contact', 'plant', 'valve') AS valves \gset
SELECT is((SELECT entitlement_id FROM csm.cases WHERE id = :valves), small.e('every valve'), 'B25 one for a product as well, which the customer cannot read');
SELECT is((SELECT entitlement_id FROM csm.cases WHERE id = small.c('south: delivery')), NULL, 'B25 none is filled in while history is loaded');

-- T13: closing uses a unit, once.
UPDATE csm.entitlements SET cancelled = true;
INSERT INTO csm.entitlements (tenant_id, name, account_id, total) VALUES (small.tenant(), 'two cases', small.a('south'), 2);
CREATE FUNCTION pg_temp.act(of_case bigint, person text, role_name text, action text, fields jsonb DEFAULT '{}', note text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name, format('SELECT (csm.act(%s, %L, %L, %L)).state', of_case, action, note, fields), keep => true) $$;
CREATE FUNCTION pg_temp.solve(of_case bigint) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.act(of_case, 'b2b agent', 'csm_agent', 'take'), pg_temp.act(of_case, 'b2b agent', 'csm_agent', 'propose', '{"resolution_code": "solved", "resolution_notes": "done"}');
    SELECT state FROM csm.cases WHERE id = of_case $$;
CREATE FUNCTION pg_temp.count_of(of_name text) RETURNS text LANGUAGE sql AS $$
    SELECT used || ' of ' || total || ', ledger ' || (SELECT count(*) || ' over ' || sum(over_units) FROM csm.entitlement_uses u WHERE u.entitlement_id = e.id)
    FROM csm.entitlements e WHERE name = of_name $$;
SELECT pg_temp.open('south contact', 'south') AS first, pg_temp.open('south contact', 'south') AS second,
       pg_temp.open('south contact', 'south') AS third, pg_temp.open('south contact', 'south') AS dropped \gset
SELECT is((SELECT count(*) FROM csm.cases WHERE entitlement_id = small.e('two cases')), 4::bigint, 'T13 four cases are worked under an entitlement of two');
SELECT is(pg_temp.act(:dropped, 'south contact', 'csm_portal', 'cancel', '{}', 'not needed'), 'cancelled', 'T13 one is cancelled');
SELECT is((SELECT used FROM csm.entitlements WHERE name = 'two cases'), 0::numeric, 'T13 which uses nothing');
SELECT is(pg_temp.solve(:first), 'resolved', 'T13 one is solved');
SELECT is((SELECT used FROM csm.entitlements WHERE name = 'two cases'), 0::numeric, 'T13 which uses nothing yet');
SELECT is(pg_temp.act(:first, 'south contact', 'csm_portal', 'reject', '{}', 'still broken'), 'open', 'T13 and reopened');
SELECT is(pg_temp.solve(:first), 'resolved', 'T13 and solved again');
SELECT is(pg_temp.act(:first, 'south contact', 'csm_portal', 'accept'), 'closed', 'T13 accepted');
SELECT is(pg_temp.count_of('two cases'), '1.00 of 2.00, ledger 1 over 0.00', 'T13 closing uses one unit, however often it was reopened');
SELECT is(pg_temp.solve(:second) || pg_temp.act(:second, 'south contact', 'csm_portal', 'accept'), 'resolvedclosed', 'T13 the second is closed');
SELECT is(pg_temp.solve(:third) || pg_temp.act(:third, 'south contact', 'csm_portal', 'accept'), 'resolvedclosed', 'T13 B25 the third closes although no unit is left');
SELECT is(pg_temp.count_of('two cases'), '2.00 of 2.00, ledger 3 over 1.00', 'T13 B25 which the ledger notes as over-use; used stays at total');
SELECT results_eq('SELECT case_id, audience, payload FROM csm.events WHERE kind = ''entitlement_overused''',
    format('SELECT %s::bigint, ''internal'', %L::jsonb', :third, jsonb_build_object('entitlement_id', small.e('two cases'), 'over_units', 1)), 'D5 B25 over-use is an event for staff');
SELECT is((SELECT count(DISTINCT used_by) FROM csm.entitlement_uses WHERE used_by = small.u('south contact')), 1::bigint, 'B25 the ledger tells who closed');
SELECT throws_ok('UPDATE csm.entitlement_uses SET over_units = 0', '42501', NULL, 'B25 the ledger is not changed');
SELECT throws_ok('DELETE FROM csm.entitlement_uses', '42501', NULL, 'B25 nor cut');
SELECT pg_temp.answers('B25 staff read the ledger of cases that they see', '3', 'b2b agent', 'csm_agent', 'SELECT count(*) FROM csm.entitlement_uses');
SELECT pg_temp.answers('B25 and of no others', '0', 'consumer agent', 'csm_agent', 'SELECT count(*) FROM csm.entitlement_uses');
SELECT pg_temp.fails('B25 customers do not', '42501', 'south admin', 'csm_portal', 'SELECT count(*) FROM csm.entitlement_uses');
SELECT pg_temp.open('south contact', 'south') AS last \gset
SELECT is((SELECT entitlement_id FROM csm.cases WHERE id = :last), NULL, 'B25 used up it is not filled in any more');

-- Hours.
UPDATE csm.entitlements SET cancelled = true;
INSERT INTO csm.entitlements (tenant_id, name, account_id, unit, total) VALUES (small.tenant(), 'ten hours', small.a('south'), 'hours', 10);
SELECT pg_temp.open('south contact', 'south') AS timed \gset
CREATE FUNCTION pg_temp.book(of_case bigint, hours numeric, person text DEFAULT 'b2b agent', role_name text DEFAULT 'csm_agent') RETURNS text LANGUAGE sql AS $$
    SELECT left(small.run(small.u(person), role_name, format('SELECT u.units || '' over '' || u.over_units FROM csm.use_entitlement_hours(%s, %s, ''on site'') u', of_case, coalesce(hours::text, 'NULL')), keep => true), 15) $$;
SELECT is(pg_temp.book(:timed, 7.5), '7.50 over 0.00', 'B24 hours are booked on the entitlement of a case');
SELECT is(pg_temp.book(:timed, 4), '4.00 over 1.50', 'B24 what is more than is left is over-use');
SELECT is((SELECT used FROM csm.entitlements WHERE name = 'ten hours'), 10::numeric, 'B24 and used stays at total');
SELECT is(pg_temp.book(:timed, 1), '1.00 over 1.00', 'B24 with nothing left all of it is');
SELECT is((SELECT sum((payload->>'over_units')::numeric) FROM csm.events WHERE kind = 'entitlement_overused' AND case_id = :timed), 2.5, 'D5 B24 and so is over-use of hours');
SELECT is(left(pg_temp.book(:timed, 0), 11), 'ERROR 22023', 'B24 hours are more than none');
SELECT is(left(pg_temp.book(:timed, NULL), 11), 'ERROR 22023', 'B24 and given');
SELECT is(left(pg_temp.book(:of_south, 1), 11), 'ERROR 22023', 'B24 a case without an entitlement of hours takes none');
SELECT is(left(pg_temp.book(:timed, 1, 'viewer'), 11), 'ERROR 42501', 'B24 who only reads the case books none');
SELECT is(left(pg_temp.book(:timed, 1, 'consumer agent'), 11), 'ERROR SM001', 'SM001 B24 nor who does not see it');
SELECT is(left(pg_temp.book(:timed, 1, 'south contact', 'csm_portal'), 11), 'ERROR 42501', 'B24 nor the customer');
SELECT is(pg_temp.solve(:timed) || pg_temp.act(:timed, 'south contact', 'csm_portal', 'accept'), 'resolvedclosed', 'B24 the case closes');
SELECT is((SELECT count(*) FROM csm.entitlement_uses WHERE case_id = :timed AND unit = 'cases'), 0::bigint, 'B24 and uses no case of an entitlement of hours');
SELECT is(left(pg_temp.book(:timed, 1), 11), 'ERROR SM004', 'SM004 B24 a closed case takes no hours');

-- The ledger and the counters agree.
SELECT is_empty('SELECT e.id FROM csm.entitlements e LEFT JOIN csm.entitlement_uses u ON u.entitlement_id = e.id GROUP BY e.id, e.used HAVING e.used <> coalesce(sum(u.units - u.over_units), 0)',
                'B24 used is the sum of the ledger, less over-use');

-- What fits, against a definition that looks at every entitlement and asks each condition by itself.
UPDATE csm.entitlements SET cancelled = true;
SELECT setseed(0.25) \g /dev/null
CREATE TEMP TABLE place AS SELECT array_agg(id) AS accounts FROM csm.accounts WHERE tenant_id = small.tenant() AND name IN ('north', 'south', 'plant');
INSERT INTO csm.assets (tenant_id, account_id, user_id, product_id, sold_product_id, installed_at)
SELECT small.tenant(), CASE WHEN n % 3 > 0 THEN (SELECT accounts[1 + n % 3] FROM place) END, CASE WHEN n % 3 = 0 THEN small.u('son') END,
       CASE WHEN n % 2 = 0 THEN small.p('pump') ELSE small.p('valve') END, CASE WHEN n % 4 < 2 THEN small.s('north pump') END, now() FROM generate_series(1, 8) n;
INSERT INTO csm.contracts (tenant_id, account_id, name, draft, cancelled, valid_during)
SELECT small.tenant(), (SELECT accounts[1 + n % 3] FROM place), 'r' || n, n % 7 = 0, n % 11 = 0, CASE WHEN n % 5 = 0 THEN tstzrange(NULL, now() - interval '1 day') END FROM generate_series(1, 24) n;
INSERT INTO csm.contract_lines (tenant_id, contract_id, product_id) SELECT tenant_id, id, small.p('pump') FROM csm.contracts WHERE name ~ '^r' AND id % 3 = 0;
INSERT INTO csm.contract_lines (tenant_id, contract_id, asset_id)
SELECT c.tenant_id, c.id, a.id FROM csm.contracts c JOIN csm.assets a ON a.account_id = c.account_id AND a.id % 2 = c.id % 2 WHERE c.name ~ '^r' AND c.id % 3 = 1;
INSERT INTO csm.entitlements (tenant_id, name, account_id, user_id, product_id, asset_id, sold_product_id, contract_id, channels, valid_during, suspended, cancelled, total, used)
SELECT small.tenant(), 'r' || n, CASE WHEN l.a < 0.4 THEN (SELECT accounts[1 + n % 3] FROM place) END, CASE WHEN l.a BETWEEN 0.4 AND 0.5 THEN small.u('son') END,
       CASE WHEN l.b < 0.4 OR n % 2 = 0 AND l.b < 0.7 THEN CASE WHEN random() < 0.5 THEN small.p('pump') ELSE small.p('valve') END END,
       CASE WHEN l.c < 0.3 OR n % 2 = 1 THEN (SELECT id FROM csm.assets WHERE n > 0 ORDER BY random() LIMIT 1) END,
       CASE WHEN l.d < 0.3 THEN small.s('north pump') END, CASE WHEN l.e < 0.4 OR l.b >= 0.7 THEN (SELECT id FROM csm.contracts WHERE n > 0 ORDER BY random() LIMIT 1) END,
       CASE WHEN random() < 0.3 THEN '{phone}'::text[] END,
       CASE WHEN random() < 0.2 THEN tstzrange(now() + interval '1 day', NULL) WHEN random() < 0.3 THEN tstzrange(NULL, now() + interval '1 day') END,
       random() < 0.1, random() < 0.1, CASE WHEN random() < 0.5 THEN 2 END, CASE WHEN random() < 0.2 THEN 2 ELSE 0 END
FROM (SELECT n, random() AS a, random() AS b, random() AS c, random() AS d, random() AS e FROM generate_series(1, 400) n) l
WHERE l.n % 2 = 1 OR l.a < 0.5 OR l.b < 0.7 OR l.d < 0.3;
CREATE TEMP TABLE subject AS
SELECT row_number() OVER () AS n, k.* FROM (
    SELECT small.tenant() AS tenant, a.id AS account, NULL::bigint AS person, p.id AS product, i.id AS item, ch AS channel
    FROM place, unnest(accounts) a(id), (SELECT id FROM csm.products WHERE tenant_id = small.tenant() UNION ALL SELECT NULL) p, (SELECT id FROM csm.assets UNION ALL SELECT NULL) i, unnest('{web,phone}'::text[]) ch
  UNION ALL
    SELECT small.tenant(), NULL, small.u('son'), p.id, i.id, 'web'
    FROM (SELECT id FROM csm.products WHERE tenant_id = small.tenant() UNION ALL SELECT NULL) p, (SELECT id FROM csm.assets UNION ALL SELECT NULL) i) k;
CREATE TEMP TABLE found AS
SELECT s.n, array_agg((k.entitlement_id, k.weight)::text ORDER BY k.entitlement_id) AS fast
FROM subject s CROSS JOIN LATERAL csm_private.entitlement_candidates(s.tenant, s.account, s.person, s.product, s.item, s.channel, statement_timestamp()) k GROUP BY s.n;
CREATE TEMP TABLE defined AS
SELECT s.n, array_agg((e.id, (num_nonnulls(e.account_id, e.user_id) > 0)::int + (e.product_id IS NOT NULL)::int * 2
                       + (num_nonnulls(e.asset_id, e.sold_product_id) > 0)::int * 3 + (e.contract_id IS NOT NULL)::int * 4)::text ORDER BY e.id) AS slow
FROM subject s
LEFT JOIN csm.assets i ON i.id = s.item
JOIN csm.entitlements e ON csm.state(e) = 'active'
    AND (e.total IS NULL OR e.total - e.used > 0)
    AND coalesce(s.channel = ANY (e.channels), true)
    AND coalesce(e.account_id, -1) IN (-1, s.account) AND coalesce(e.user_id, -1) IN (-1, s.person)
    AND coalesce(e.product_id, -1) IN (-1, coalesce(s.product, i.product_id))
    AND coalesce(e.asset_id, -1) IN (-1, s.item) AND coalesce(e.sold_product_id, -1) IN (-1, i.sold_product_id)
    AND (e.contract_id IS NULL OR e.contract_id IN (
        SELECT c.id FROM csm.contracts c WHERE csm.state(c) = 'active' AND (c.account_id = s.account OR c.user_id = s.person)
          AND (NOT EXISTS (SELECT FROM csm.contract_lines l WHERE l.contract_id = c.id)
               OR EXISTS (SELECT FROM csm.contract_lines l WHERE l.contract_id = c.id
                          AND (l.asset_id = s.item OR l.sold_product_id = i.sold_product_id OR l.product_id = coalesce(s.product, i.product_id))))))
GROUP BY s.n;
SELECT is((SELECT count(*) FROM found FULL JOIN defined USING (n) WHERE fast IS DISTINCT FROM slow), 0::bigint, 'B25 what fits is what the definition says, for every case');
SELECT diag(format('case %s: %s, by definition %s', row_to_json(s), f.fast, d.slow)) FROM found f FULL JOIN defined d USING (n) JOIN subject s USING (n) WHERE fast IS DISTINCT FROM slow LIMIT 3;
SELECT cmp_ok((SELECT sum(cardinality(slow)) FROM defined), '>=', 300::bigint, 'B25 at least 300 pairs fit');
SELECT cmp_ok((SELECT count(*) FROM csm.entitlements e WHERE EXISTS (SELECT FROM defined d WHERE d.slow::text ~ ('\(' || e.id || ','))), '>=', 30::bigint, 'B25 of at least 30 entitlements');
SELECT * FROM finish();
