-- User criteria and audiences: the truth table, each kind of part, what changes and counts at once, personas, who manages,
-- tenants, keys and acting for others. The same against a random world: 60_criteria_differential.sql.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
\ir ../lib/tokens.sql
SELECT * FROM no_plan();
SELECT small.tenant() AS tenant \gset
SET jit = off;

-- One row an audience, behind a policy as articles have it.
CREATE TABLE public.sheets (audience_id bigint PRIMARY KEY);
ALTER TABLE public.sheets ENABLE ROW LEVEL SECURITY;
CREATE POLICY sheets_read ON public.sheets FOR SELECT USING (csm.audience_allows(audience_id, 'read'));
GRANT SELECT ON public.sheets TO csm_portal, csm_agent, csm_guest, csm_admin, csm_reporter;

CREATE FUNCTION small.may(person text, audience bigint, action text DEFAULT 'read', role_name text DEFAULT 'csm_portal', persona text DEFAULT NULL)
RETURNS boolean LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name, format('SELECT csm.audience_allows(%s, %L)', audience, action), persona)::boolean
$$;
-- Criteria of one part, given as column = value.
CREATE FUNCTION small.criteria(of_key text, of_kind text, of_column text, value text, of_match text DEFAULT 'all') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    INSERT INTO csm.user_criteria (tenant_id, key, label, match) VALUES (small.tenant(), of_key, of_key, of_match) RETURNING id INTO made;
    IF of_kind IS NOT NULL THEN
        EXECUTE format('INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, %I) VALUES ($1, $2, $3, %L)', of_column, value)
        USING small.tenant(), made, of_kind;
    END IF;
    RETURN made;
END $$;
CREATE FUNCTION small.audience(reads bigint DEFAULT NULL, outer_id bigint DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    INSERT INTO csm.audiences (tenant_id, within_id) VALUES (small.tenant(), outer_id) RETURNING id INTO made;
    INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id) SELECT small.tenant(), made, 'read', reads WHERE reads IS NOT NULL;
    INSERT INTO public.sheets VALUES (made);
    RETURN made;
END $$;

-- ---- the truth table ----

-- Criteria: all and any, of no part, and of two that are true or not.
CREATE TEMP TABLE judged AS
SELECT m.match, p.parts, small.criteria(format('m_%s_%s', m.match, coalesce(array_to_string(p.parts, ''), 'none')), NULL, NULL, NULL, m.match) AS id,
       CASE m.match WHEN 'all' THEN cardinality(p.parts) > 0 AND true = ALL (p.parts) ELSE true = ANY (p.parts) END AS expected
FROM (VALUES ('all'), ('any')) m(match),
     (VALUES ('{}'::boolean[]), ('{t}'), ('{f}'), ('{t,t}'), ('{t,f}'), ('{f,t}'), ('{f,f}')) p(parts);
INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, user_id)
SELECT :tenant, j.id, 'user', CASE WHEN p THEN small.u('student') ELSE small.u('stranger') END FROM judged j, unnest(j.parts) p;
SELECT is(small.may('student', small.audience(j.id)), j.expected, format('B40 match %s of %s', j.match, j.parts)) FROM judged j ORDER BY j.match, j.parts;
UPDATE csm.user_criteria SET active = false WHERE id IN (SELECT id FROM judged);
SELECT is((SELECT count(*) FROM csm.audience_grants g JOIN judged j ON j.id = g.criteria_id WHERE small.may('student', g.audience_id)), 0::bigint,
          'B40 inactive criteria are true of nobody');

-- Base and article, for each action its own: granted to criteria that are true or not, or not at all; denied likewise. All
-- 6,561 combinations for one person.
SELECT small.criteria('yes', 'user', 'user_id', small.u('student')::text, 'any') AS yes,
       small.criteria('no', 'user', 'user_id', small.u('stranger')::text) AS no \gset
CREATE TEMP TABLE said AS
SELECT row_number() OVER () AS n, r.reads, r.no_reads, c.contributes, c.no_contributes
FROM (SELECT a AS reads, d AS no_reads FROM unnest('{none,yes,no}'::text[]) a, unnest('{none,yes,no}'::text[]) d) r,
     (SELECT a AS contributes, d AS no_contributes FROM unnest('{none,yes,no}'::text[]) a, unnest('{none,yes,no}'::text[]) d) c;
ALTER TABLE said ADD base_id bigint;
UPDATE said SET base_id = small.audience();
CREATE TEMP TABLE article AS
SELECT b.n AS base, a.n AS own, b.base_id AS within_id, NULL::bigint AS audience_id FROM said b, said a;
WITH made AS (INSERT INTO csm.audiences (tenant_id, within_id) SELECT :tenant, within_id FROM article ORDER BY base, own RETURNING id),
     numbered AS (SELECT id, row_number() OVER (ORDER BY id) AS n FROM made)
UPDATE article SET audience_id = m.id FROM numbered m WHERE m.n = (article.base - 1) * 81 + article.own;
SELECT is((SELECT count(*) FROM article a JOIN csm.audiences x ON x.id = a.audience_id AND x.within_id = a.within_id), 6561::bigint, 'B40 base and article: 81 × 81');
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id, denies)
SELECT :tenant, x.id, g.action, CASE g.whom WHEN 'yes' THEN :yes ELSE :no END, bool_or(g.denies)
FROM (SELECT base_id AS id, n FROM said UNION ALL SELECT audience_id, own FROM article) x JOIN said s ON s.n = x.n
CROSS JOIN LATERAL (VALUES ('read', s.reads, false), ('read', s.no_reads, true), ('contribute', s.contributes, false), ('contribute', s.no_contributes, true)) g(action, whom, denies)
WHERE g.whom <> 'none' GROUP BY x.id, g.action, g.whom;
-- Where both rows would name the same criteria, the table holds one: it denies, and there is no grant beside it.
CREATE FUNCTION pg_temp.base_says(grants text, denies text) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN grants = 'yes' AND denies <> 'yes';
CREATE FUNCTION pg_temp.article_says(grants text, denies text) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN denies <> 'yes' AND (grants IN ('none', 'yes') OR grants = denies);
CREATE TEMP TABLE expected AS
SELECT a.audience_id, pg_temp.base_says(b.reads, b.no_reads) AND pg_temp.article_says(o.reads, o.no_reads) AS reads,
       pg_temp.base_says(b.contributes, b.no_contributes) AND pg_temp.article_says(o.contributes, o.no_contributes) AS contributes
FROM article a JOIN said b ON b.n = a.base JOIN said o ON o.n = a.own;
CREATE FUNCTION pg_temp.ids(person text, action text, role_name text DEFAULT 'csm_portal') RETURNS bigint[] LANGUAGE sql AS $$
    SELECT ARRAY(SELECT k FROM unnest(small.run(small.u(person), role_name, format('SELECT csm.audiences_allowing(%L)', action))::bigint[]) k
                 WHERE k IN (SELECT audience_id FROM expected) ORDER BY k)
$$;
SELECT is(pg_temp.ids('student', 'read'), ARRAY(SELECT audience_id FROM expected WHERE reads ORDER BY 1), 'A28 B40 read: the truth table');
SELECT is(pg_temp.ids('student', 'contribute'), ARRAY(SELECT audience_id FROM expected WHERE contributes ORDER BY 1), 'A28 B40 contribute: the truth table');
SELECT cmp_ok((SELECT count(*) FROM expected WHERE contributes AND NOT reads), '>=', 100::bigint, 'B40 contribute does not imply read: at least 100 rows of the table');
SELECT cmp_ok((SELECT count(*) FROM expected WHERE reads AND NOT contributes), '>=', 100::bigint, 'B40 nor read contribute');
SELECT is(pg_temp.ids('student', v), '{}', 'B40 nothing else is granted with them: ' || v) FROM unnest('{ask,answer,moderate,manage,write,READ}'::text[]) v;
SELECT is(pg_temp.ids('desk admin', 'read', 'csm_admin'), '{}', 'B40 fail closed: who only administers reads nothing by it');
DELETE FROM csm.audiences WHERE id IN (SELECT audience_id FROM article);
DELETE FROM csm.audiences WHERE id IN (SELECT base_id FROM said);

-- Manage is all of them; a denial wins over it; staff of the audience pass even that.
SELECT small.audience() AS base \gset
SELECT small.audience(:no, :base) AS inner_one \gset
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id) VALUES (:tenant, :base, 'manage', :yes);
SELECT is(small.may('student', :base, v), true, 'B40 manage is all: ' || v) FROM unnest('{read,contribute,ask,answer,moderate,manage}'::text[]) v;
SELECT is(small.may('student', :inner_one), true, 'B40 who manages the outer audience passes what the inner one grants');
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id, denies) VALUES (:tenant, :inner_one, 'ask', :yes, true);
SELECT is(small.may('student', :inner_one, 'ask'), false, 'B40 but not what it denies');
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id, denies) VALUES (:tenant, :base, 'read', :yes, true);
SELECT is(small.may('student', :base) OR small.may('student', :inner_one), false, 'B40 deny wins over manage, in what lies within too');
SELECT is(small.may('student', :base, 'ask'), true, 'B40 and takes that action alone');
UPDATE csm.audiences SET owner_id = small.u('student') WHERE id = :base;
SELECT is(small.may('student', :base, 'read', r) AND small.may('student', :inner_one, 'ask', r), r <> 'csm_portal', 'B40 V9 the owner may everything, on a staff connection: ' || r)
FROM unnest('{csm_portal,csm_agent,csm_reporter,csm_admin}'::text[]) r;
UPDATE csm.audiences SET owner_id = NULL WHERE id = :base;
SELECT is(small.may('b2b agent', :inner_one, 'read', 'csm_agent'), false, 'B40 no staff of an audience by accident');
UPDATE csm.audiences SET owner_id = small.u('b2b agent') WHERE id = :inner_one;
SELECT is(small.may('b2b agent', :inner_one, 'read', 'csm_agent'), false, 'B40 the owner of an inner audience needs to read the outer one');
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id)
VALUES (:tenant, :base, 'read', small.criteria('agents', 'role', 'role', 'agent'));
SELECT is(small.may('b2b agent', :inner_one, 'manage', 'csm_agent'), true, 'B40 with that he may everything there');
SELECT is(small.may('b2b agent', :inner_one, 'manage', 'csm_portal'), false, 'V9 not on the portal');

-- ---- each kind of part: true with the edge, not without, at once and in the same session ----

CREATE FUNCTION small.flips(what text, person text, audience bigint, add_it text, remove_it text, role_name text DEFAULT 'csm_portal') RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN NEXT is(small.may(person, audience, 'read', role_name), false, format('V10 %s: not before', what));
    EXECUTE add_it;
    RETURN NEXT is(small.may(person, audience, 'read', role_name), true, format('V10 %s: with it, from the next statement on', what));
    RETURN NEXT is(small.run(small.u(person), role_name, format('SELECT count(*) FROM public.sheets WHERE audience_id = %s', audience)), '1', format('V10 %s: the row shows', what));
    EXECUTE remove_it;
    RETURN NEXT is(small.may(person, audience, 'read', role_name), false, format('V10 %s: gone with it', what));
    RETURN NEXT is(small.run(small.u(person), role_name, 'SELECT count(*) FROM public.sheets WHERE audience_id = ' || audience), '0', format('V10 %s: and the row', what));
END $$;
INSERT INTO csm.groups (tenant_id, name) VALUES (:tenant, 'top'), (:tenant, 'middle'), (:tenant, 'bottom');
UPDATE csm.groups SET parent_id = (SELECT id FROM csm.groups WHERE name = 'middle') WHERE name = 'bottom';
INSERT INTO csm.products (tenant_id, name) VALUES (:tenant, 'pump'), (:tenant, 'motor'), (:tenant, 'coil');
UPDATE csm.products SET parent_id = (SELECT id FROM csm.products WHERE name = 'motor') WHERE name = 'coil';
SELECT id AS top FROM csm.groups WHERE name = 'top' \gset
SELECT id AS middle FROM csm.groups WHERE name = 'middle' \gset
SELECT id AS bottom FROM csm.groups WHERE name = 'bottom' \gset
SELECT id AS pump FROM csm.products WHERE name = 'pump' \gset
SELECT id AS motor FROM csm.products WHERE name = 'motor' \gset
SELECT id AS coil FROM csm.products WHERE name = 'coil' \gset
SELECT small.audience(small.criteria('k_group', 'group', 'group_id', :'top')) AS by_group,
       small.audience(small.criteria('k_reader', 'role', 'role', 'case_reader')) AS by_contact_role,
       small.audience(small.criteria('k_viewer', 'role', 'role', 'viewer')) AS by_staff_role,
       small.audience(small.criteria('k_account', 'account', 'account_id', small.a('acme')::text)) AS by_account,
       small.audience(small.criteria('k_subtree', 'account', 'account_id', small.a('acme')::text)) AS by_subtree,
       small.audience(small.criteria('k_employee', 'persona', 'persona', 'employee')) AS by_employee,
       small.audience(small.criteria('k_consumer', 'persona', 'persona', 'consumer')) AS by_consumer,
       small.audience(small.criteria('k_contact', 'persona', 'persona', 'contact')) AS by_contact,
       small.audience(small.criteria('k_staff', 'persona', 'persona', 'staff')) AS by_staff,
       small.audience(small.criteria('k_product', 'product', 'product_id', :'pump')) AS by_product,
       small.audience(small.criteria('k_location', 'location', 'location', 'DE-BY')) AS by_location,
       small.audience(small.criteria('k_language', 'language', 'language', 'pt')) AS by_language,
       small.audience(small.criteria('k_empty', NULL, NULL, NULL)) AS by_nothing,
       small.audience() AS ungranted \gset
UPDATE csm.user_criteria_parts SET include_descendants = true WHERE criteria_id = (SELECT id FROM csm.user_criteria WHERE key = 'k_subtree');

SELECT small.flips(v.what, v.person, v.audience, v.add_it, v.remove_it, v.role_name) FROM (VALUES
    ('user', 'student', :by_nothing, format('INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, user_id) SELECT %s, id, ''user'', %s FROM csm.user_criteria WHERE key = ''k_empty''', :tenant, small.u('student')),
        'DELETE FROM csm.user_criteria_parts WHERE criteria_id = (SELECT id FROM csm.user_criteria WHERE key = ''k_empty'')', 'csm_portal'),
    ('grant', 'student', :ungranted, format('INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id) VALUES (%s, %s, ''read'', %s)', :tenant, :ungranted, :yes),
        format('DELETE FROM csm.audience_grants WHERE audience_id = %s', :ungranted), 'csm_portal'),
    ('denial', 'student', :ungranted, format('INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id) VALUES (%s, %s, ''read'', %s)', :tenant, :ungranted, :yes),
        format('UPDATE csm.audience_grants SET denies = true WHERE audience_id = %s', :ungranted), 'csm_portal'),
    ('owner', 'b2b agent', :by_nothing, format('UPDATE csm.audiences SET owner_id = %s WHERE id = %s', small.u('b2b agent'), :by_nothing),
        format('UPDATE csm.audiences SET owner_id = NULL WHERE id = %s', :by_nothing), 'csm_agent'),
    ('group of the audience', 'b2b agent', :by_nothing, format('INSERT INTO csm.group_members (tenant_id, group_id, user_id) VALUES (%s, %s, %s); UPDATE csm.audiences SET group_id = %s WHERE id = %s', :tenant, :middle, small.u('b2b agent'), :middle, :by_nothing),
        format('DELETE FROM csm.group_members WHERE user_id = %s', small.u('b2b agent')), 'csm_agent'),
    ('member of the group', 'viewer', :by_group, format('INSERT INTO csm.group_members (tenant_id, group_id, user_id) VALUES (%s, %s, %s)', :tenant, :top, small.u('viewer')),
        format('DELETE FROM csm.group_members WHERE user_id = %s', small.u('viewer')), 'csm_agent'),
    ('member of a group below', 'viewer', :by_group, format('INSERT INTO csm.group_members (tenant_id, group_id, user_id) VALUES (%s, %s, %s); UPDATE csm.groups SET parent_id = %s WHERE id = %s', :tenant, :bottom, small.u('viewer'), :top, :middle),
        format('UPDATE csm.groups SET parent_id = NULL WHERE id = %s', :middle), 'csm_agent'),
    ('role of a contact', 'north contact', :by_contact_role, format('UPDATE csm.contacts SET role = ''case_reader'' WHERE user_id = %s', small.u('north contact')),
        format('UPDATE csm.contacts SET role = ''customer'' WHERE user_id = %s', small.u('north contact')), 'csm_portal'),
    ('role of staff', 'proxy', :by_staff_role, format('INSERT INTO csm.user_roles (tenant_id, user_id, role) VALUES (%s, %s, ''viewer'')', :tenant, small.u('proxy')),
        format('DELETE FROM csm.user_roles WHERE user_id = %s AND role = ''viewer''', small.u('proxy')), 'csm_agent'),
    ('contact of the account', 'student', :by_account, format('INSERT INTO csm.contacts (tenant_id, user_id, account_id, role) VALUES (%s, %s, %s, ''customer'')', :tenant, small.u('student'), small.a('acme')),
        format('UPDATE csm.contacts SET valid_during = tstzrange(NULL, statement_timestamp()) WHERE user_id = %s', small.u('student')), 'csm_portal'),
    ('account below', 'umbrella admin', :by_subtree, format('UPDATE csm.accounts SET parent_id = %s WHERE id = %s', small.a('plant'), small.a('umbrella')),
        format('UPDATE csm.accounts SET parent_id = NULL WHERE id = %s', small.a('umbrella')), 'csm_portal'),
    ('account above is moved', 'globex contact', :by_subtree, format('UPDATE csm.accounts SET parent_id = %s WHERE id = %s; UPDATE csm.accounts SET parent_id = %s WHERE id = %s', small.a('umbrella'), small.a('globex'), small.a('south'), small.a('umbrella')),
        format('UPDATE csm.accounts SET parent_id = NULL WHERE id = %s', small.a('umbrella')), 'csm_portal'),
    ('employee', 'student', :by_employee, format('INSERT INTO csm.employees (tenant_id, user_id) VALUES (%s, %s)', :tenant, small.u('student')),
        format('DELETE FROM csm.employees WHERE user_id = %s', small.u('student')), 'csm_portal'),
    ('consumer', 'student', :by_consumer, format('INSERT INTO csm.consumers (tenant_id, user_id) VALUES (%s, %s)', :tenant, small.u('student')),
        format('DELETE FROM csm.consumers WHERE user_id = %s', small.u('student')), 'csm_portal'),
    ('contact of any account', 'guardian', :by_contact, format('INSERT INTO csm.contacts (tenant_id, user_id, account_id, role) VALUES (%s, %s, %s, ''customer'')', :tenant, small.u('guardian'), small.a('broker')),
        format('DELETE FROM csm.contacts WHERE user_id = %s', small.u('guardian')), 'csm_portal'),
    ('staff', 'guardian', :by_staff, format('INSERT INTO csm.user_roles (tenant_id, user_id, role) VALUES (%s, %s, ''viewer'')', :tenant, small.u('guardian')),
        format('DELETE FROM csm.user_roles WHERE user_id = %s', small.u('guardian')), 'csm_agent'),
    ('sold product of the account', 'north contact', :by_product, format('INSERT INTO csm.sold_products (tenant_id, account_id, product_id) VALUES (%s, %s, %s)', :tenant, small.a('north'), :pump),
        format('UPDATE csm.sold_products SET valid_during = tstzrange(NULL, statement_timestamp()) WHERE account_id = %s', small.a('north')), 'csm_portal'),
    ('item of the account', 'north contact', :by_product, format('INSERT INTO csm.assets (tenant_id, account_id, product_id, installed_at) VALUES (%s, %s, %s, ''2020-01-01'')', :tenant, small.a('north'), :pump),
        format('UPDATE csm.assets SET removed_at = statement_timestamp() WHERE account_id = %s', small.a('north')), 'csm_portal'),
    ('item of a consumer', 'son', :by_product, format('INSERT INTO csm.assets (tenant_id, user_id, product_id) VALUES (%s, %s, %s)', :tenant, small.u('son'), :pump),
        format('DELETE FROM csm.assets WHERE user_id = %s', small.u('son')), 'csm_portal'),
    ('product below', 'son', :by_product, format('INSERT INTO csm.sold_products (tenant_id, user_id, product_id) VALUES (%s, %s, %s); UPDATE csm.products SET parent_id = %s WHERE id = %s', :tenant, small.u('son'), :coil, :pump, :motor),
        format('UPDATE csm.products SET parent_id = NULL WHERE id = %s', :motor), 'csm_portal'),
    ('location', 'student', :by_location, format('UPDATE csm.users SET location = ''DE-BY-M'' WHERE id = %s', small.u('student')),
        format('UPDATE csm.users SET location = ''DE'' WHERE id = %s', small.u('student')), 'csm_portal'),
    ('language', 'student', :by_language, format('UPDATE csm.users SET language = ''PT-br'' WHERE id = %s', small.u('student')),
        format('UPDATE csm.users SET language = ''ptx'' WHERE id = %s', small.u('student')), 'csm_portal')
) v(what, person, audience, add_it, remove_it, role_name);
-- Where the edge is there from the start.
SELECT is(small.may('north reader', :by_subtree), true, 'V10 login of a contact: with it');
UPDATE csm.contacts SET login_enabled = false WHERE user_id = small.u('north reader');
SELECT is(small.may('north reader', :by_subtree), false, 'V10 login of a contact: gone with it');
SELECT is(small.may('ward', :by_consumer), true, 'V10 the person is enabled: with it');
UPDATE csm.users SET enabled = false WHERE id = small.u('ward');
SELECT is(small.may('ward', :by_consumer), false, 'V10 the person is disabled: gone');
SELECT is(small.may('mother', :by_consumer), true, 'V10 the tenant is enabled: with it');
UPDATE csm.tenants SET enabled = false WHERE id = :tenant;
SELECT is(small.may('mother', :by_consumer), false, 'V10 the tenant is disabled: gone');
UPDATE csm.tenants SET enabled = true WHERE id = :tenant;
INSERT INTO csm.group_members (tenant_id, group_id, user_id) VALUES (:tenant, :top, small.u('viewer'));
SELECT is(small.may('viewer', :by_group, 'read', 'csm_agent'), true, 'V10 TRUNCATE: before it');
TRUNCATE csm.group_members;
SELECT is(small.may('viewer', :by_group, 'read', 'csm_agent'), false, 'V10 TRUNCATE counts as well');
UPDATE csm.roles SET kind = 'consumer' WHERE role = 'case_reader' AND tenant_id = :tenant;
SELECT is(small.may('globex reader', :by_contact_role), false, 'B40 a role that is no longer one of contacts names nobody');
UPDATE csm.roles SET kind = 'contact' WHERE role = 'case_reader' AND tenant_id = :tenant;
SELECT is(small.may('globex reader', :by_contact_role), true, 'B40 and does when it is again');
SELECT is(small.may('north contact', :by_account), false, 'B40 an account without its subtree: not who is below it');
SELECT is(small.may('holding manager', :by_subtree), false, 'B40 nor with it who is above');
SELECT is(small.may('paragon admin', :by_subtree), false, 'B40 a partner is no contact there');

-- ---- what ends without a write ----

INSERT INTO csm.group_members (tenant_id, group_id, user_id) VALUES (:tenant, :top, small.u('viewer'));
DELETE FROM csm.sold_products; DELETE FROM csm.assets;
UPDATE csm.contacts SET valid_during = tstzrange(NULL, clock_timestamp() + interval '1 second') WHERE user_id IN (small.u('south admin'), small.u('plant contact'));
INSERT INTO csm.sold_products (tenant_id, account_id, product_id, valid_during) VALUES
    (:tenant, small.a('globex'), :pump, tstzrange(NULL, clock_timestamp() + interval '1 second')),
    (:tenant, small.a('initech'), :pump, tstzrange(clock_timestamp() + interval '1 second', NULL));
INSERT INTO csm.assets (tenant_id, user_id, product_id, removed_at) VALUES (:tenant, small.u('daughter'), :pump, clock_timestamp() + interval '1 second');
INSERT INTO csm.user_roles (tenant_id, user_id, role, valid_during) VALUES (:tenant, small.u('contributor'), 'viewer', tstzrange(NULL, clock_timestamp() + interval '1 second'));
CREATE TEMP TABLE ends (person text, audience bigint, role_name text, begins boolean);
INSERT INTO ends VALUES ('south admin', :by_subtree, 'csm_portal', false), ('plant contact', :by_contact, 'csm_portal', false), ('globex contact', :by_product, 'csm_portal', false),
    ('initech contact', :by_product, 'csm_portal', true), ('daughter', :by_product, 'csm_portal', false), ('contributor', :by_staff_role, 'csm_agent', false);
SELECT is(small.may(person, audience, 'read', role_name), NOT begins, format('V10 %s: until it ends, or before it begins', person)) FROM ends;
SELECT pg_sleep(1.1) \g /dev/null
SELECT is(small.may(person, audience, 'read', role_name), begins, format('V10 %s: ends, or begins, with the clock and without a write', person)) FROM ends;

-- ---- prepared statements of an open transaction ----

BEGIN;
SET LOCAL plan_cache_mode = force_generic_plan;
PREPARE q AS SELECT count(*) FROM public.sheets;
SELECT set_config('csm.user_id', small.u('student')::text, true) \g /dev/null
SET LOCAL ROLE csm_portal;
CREATE TEMP TABLE seen (n int, sheets bigint);
INSERT INTO seen SELECT 1, count(*) FROM public.sheets;
EXECUTE q \gset before_
RESET ROLE;
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id, denies) VALUES (:tenant, :ungranted, 'read', :yes, false)
ON CONFLICT (audience_id, criteria_id, action, tenant_id) DO UPDATE SET denies = false;
SET LOCAL ROLE csm_portal;
EXECUTE q \gset with_
RESET ROLE;
UPDATE csm.user_criteria SET active = false WHERE id = :yes;
SET LOCAL ROLE csm_portal;
EXECUTE q \gset without_
RESET ROLE;
SELECT is(:with_count, :before_count + 1, 'V10 a prepared statement in an open transaction shows what was granted');
SELECT cmp_ok(:without_count, '<', :with_count, 'V10 and no more what was taken');
-- a plan made for one person is right for the next
SELECT set_config('csm.user_id', small.u('mother')::text, true) \g /dev/null
SET LOCAL ROLE csm_portal;
EXECUTE q \gset next_
RESET ROLE;
SELECT is(:next_count::text, small.run(small.u('mother'), 'csm_portal', 'SELECT count(*) FROM public.sheets'), 'B40 a kept plan is right for the next person');
ROLLBACK;
DEALLOCATE q;

-- ---- personas, both sides ----

SELECT small.audience(small.criteria('south', 'account', 'account_id', small.a('south')::text)) AS of_south \gset
SELECT is(small.may('all three', v.audience, 'read', 'csm_portal', v.persona), v.expected, format('T12 %s reads what is for %s: %s', v.persona, v.what, v.expected))
FROM (SELECT x.*, CASE x.short WHEN 'contact' THEN 'contact:' || small.k('all three at south') ELSE x.short END AS persona
      FROM (VALUES (:of_south, 'contacts of south', 'contact', true), (:of_south, 'contacts of south', 'consumer', false), (:of_south, 'contacts of south', 'employee', false),
                   (:by_consumer, 'consumers', 'contact', false), (:by_consumer, 'consumers', 'consumer', true), (:by_consumer, 'consumers', 'employee', false),
                   (:by_employee, 'employees', 'contact', false), (:by_employee, 'employees', 'consumer', false), (:by_employee, 'employees', 'employee', true)) x(audience, what, short, expected)) v;
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id, denies) SELECT :tenant, :by_employee, 'read', id, true FROM csm.user_criteria WHERE key = 'south';
SELECT is(small.may('all three', :by_employee, 'read', 'csm_portal', 'employee'), false, 'T12 a denial looks at the personas left behind: narrowing opens nothing');
SELECT is(small.may('colleague', :by_employee), true, 'T12 allow: who is not denied');
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id, denies) SELECT :tenant, :by_contact, 'read', id, true FROM csm.user_criteria WHERE key = 'k_viewer';
INSERT INTO csm.contacts (tenant_id, user_id, account_id, role) VALUES (:tenant, small.u('viewer'), small.a('south'), 'customer');
SELECT is(small.may('viewer', :by_contact, 'read', r), false, 'V9 a denial of a staff role holds on the portal too: ' || r) FROM unnest('{csm_portal,csm_agent}'::text[]) r;
SELECT is(small.may('viewer', :by_staff_role, 'read', r), r <> 'csm_portal', 'V9 a grant to a staff role does not: ' || r) FROM unnest('{csm_portal,csm_agent}'::text[]) r;
SELECT is(small.may('viewer', :by_group, 'read', r), r <> 'csm_portal', 'V9 groups are of staff: ' || r) FROM unnest('{csm_portal,csm_agent}'::text[]) r;
SELECT is(small.may('student', :by_location, 'read', 'csm_portal', p), false, 'T12 a persona that he does not have gives nothing: ' || p) FROM unnest('{consumer,staff:agent,contact:1}'::text[]) p;

-- ---- nobody, other tenants ----

SELECT is(small.run(NULL, r, 'SELECT count(*) || '' '' || cardinality(csm.audiences_allowing(''read'')) FROM public.sheets'), '0 0', 'V14 nobody reads nothing: ' || r)
FROM unnest('{csm_guest,csm_portal,csm_agent,csm_reporter,csm_admin}'::text[]) r;
SELECT throws_ok(format('INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id) VALUES (%s, %s, ''read'', %s)', small.tenant('foreign'), :base, :yes),
                 '23503', NULL, 'V13 a grant of another tenant cannot name the audience');
INSERT INTO csm.user_criteria (tenant_id, key, label) VALUES (small.tenant('foreign'), 'all', 'All');
SELECT throws_ok(format('INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id) SELECT %s, %s, ''read'', id FROM csm.user_criteria WHERE tenant_id = %s', :tenant, :base, small.tenant('foreign')),
                 '23503', NULL, 'V13 nor its criteria');
SELECT throws_ok(format('INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, user_id) SELECT tenant_id, id, ''user'', %s FROM csm.user_criteria WHERE tenant_id = %s', small.u('student'), small.tenant('foreign')),
                 '23503', NULL, 'V13 criteria cannot name a person of another tenant');
SELECT is(small.run((SELECT id FROM csm.users WHERE tenant_id = small.tenant('foreign') LIMIT 1), 'csm_admin',
                    'SELECT (SELECT count(*) FROM csm.audiences) + (SELECT count(*) FROM csm.audience_grants) + (SELECT count(*) FROM csm.user_criteria_parts) + (SELECT count(*) FROM public.sheets)'),
          '0', 'V13 an administrator of another tenant sees none of it');

-- ---- made for grants ----

SELECT csm_private.audience_within(:base, '[{"criteria": "yes", "action": "read"}, {"criteria": "no", "action": "read", "denies": true}]') AS made \gset
SELECT is(csm_private.audience_within(:base, '[{"criteria": "no", "action": "read", "denies": true}, {"criteria": "yes", "action": "read", "denies": false}, {"criteria": "yes", "action": "read"}]'), :made::bigint,
          'A28 the same grants in another order: the same audience');
SELECT isnt(csm_private.audience_within(:base, '[{"criteria": "yes", "action": "read"}]'), :made::bigint, 'A28 other grants: another one');
SELECT is(csm_private.audience_within(:base, '[]'), :base::bigint, 'A28 no grants: the outer one itself');
SELECT set_eq(format('SELECT action, criteria_id, denies FROM csm.audience_grants WHERE audience_id = %s', :made), format('VALUES (''read'', %s::bigint, false), (''read'', %s, true)', :yes, :no), 'A28 it has these grants');
SELECT is(csm_private.audience_within(:base, '[{"criteria": "yes", "action": "ask"}, {"criteria": "yes", "action": "ask", "denies": true}]'),
          csm_private.audience_within(:base, '[{"criteria": "yes", "action": "ask", "denies": true}]'), 'B40 granted and denied to the same: denied');
SELECT throws_ok(format('UPDATE csm.audience_grants SET denies = true WHERE audience_id = %s', :made), '42501', format('the grants of audience %s cannot change', :made), 'A28 what others share does not change');
SELECT throws_ok(format('DELETE FROM csm.audience_grants WHERE audience_id = %s', :made), '42501', NULL, 'A28 nor goes');
SELECT lives_ok(format('DELETE FROM csm.audiences WHERE id = %s', :made), 'A28 allow: with the audience');
SELECT throws_ok(format('SELECT csm_private.audience_within(%s, %L)', x.id, x.grants), '22023', NULL, 'A28 refused: ' || x.grants)
FROM (VALUES (:base, '{}'), (:base, '[1]'), (:base, '[{"criteria": "yes"}]'), (:base, '[{"criteria": "yes", "action": "write"}]'), (:base, '[{"criteria": "nosuch", "action": "read"}]'),
             (:base, '[{"criteria": "all", "action": "read"}]'), (:base, '[{"criteria": "yes", "action": "read", "denies": "x"}]'), (0, '[]')) x(id, grants);

-- ---- who keeps them ----

SELECT is(small.run(small.u('student'), 'csm_portal', 'SELECT count(*) FROM csm.' || t), 'ERROR 42501: permission denied for table ' || t, 'privileges: the portal reads no ' || t)
FROM unnest('{user_criteria,user_criteria_parts,audiences,audience_grants}'::text[]) t;
SELECT isnt(small.run(small.u('b2b agent'), 'csm_agent', 'SELECT count(*) FROM csm.audience_grants'), '0', 'privileges: staff read them');
UPDATE csm.audiences SET owner_id = small.u('b2b agent') WHERE id = :ungranted;
SELECT is(small.run(small.u(v.person), v.role_name, format('INSERT INTO csm.audience_grants (audience_id, action, criteria_id) VALUES (%s, ''ask'', %s) RETURNING action', :ungranted, :yes)), v.expected,
          format('B40 grants: %s as %s', v.person, v.role_name))
FROM (VALUES ('b2b agent', 'csm_agent', 'ask'), ('consumer agent', 'csm_agent', 'ERROR 42501: new row violates row-level security policy for table "audience_grants"'),
             ('desk admin', 'csm_admin', 'ask'), ('desk manager', 'csm_admin', 'ERROR 42501: new row violates row-level security policy for table "audience_grants"'),
             ('student', 'csm_portal', 'ERROR 42501: permission denied for table audience_grants')) v(person, role_name, expected);
SELECT is(small.run(small.u(v.person), 'csm_agent', format('DELETE FROM csm.audience_grants WHERE audience_id = %s RETURNING action', :by_location)), NULL, 'B40 grants of others: no row of them goes, by ' || v.person)
FROM (VALUES ('b2b agent'), ('consumer agent')) v(person);
SELECT is(small.run(small.u(v.person), v.role_name, 'INSERT INTO csm.user_criteria (key, label) VALUES (''new'', ''New'') RETURNING match'), v.expected, format('B40 criteria: %s as %s', v.person, v.role_name))
FROM (VALUES ('desk admin', 'csm_admin', 'all'), ('b2b agent', 'csm_agent', 'ERROR 42501: permission denied for table user_criteria'),
             ('b2b agent', 'csm_admin', 'ERROR 42501: new row violates row-level security policy for table "user_criteria"')) v(person, role_name, expected);
SELECT is(small.run(small.u('desk admin'), 'csm_admin', 'UPDATE csm.users SET location = ''DE'' WHERE id = csm.current_user_id() RETURNING location'), NULL, 'B40 a location is kept by staff with person_manage');
SELECT is(small.run(small.u('desk manager'), 'csm_agent', format('UPDATE csm.users SET location = ''DE'' WHERE id = %s RETURNING location', small.u('employee'))), 'DE', 'B40 allow: a manager of persons');
SELECT is(small.run(small.u('student'), 'csm_portal', 'UPDATE csm.users SET location = ''DE-BY'''), 'ERROR 42501: permission denied for table users', 'B40 nobody gives himself a location');

SELECT throws_ok(format('INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, role) VALUES (%s, %s, ''role'', ''consumer'')', :tenant, :yes), '23514',
                 'role "consumer" is neither a role of contacts nor one of staff', 'B40 a role that nobody has as a contact or as staff');
SELECT throws_ok(format('INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, %s) VALUES (%s, %s, %L, %s)', v.columns, :tenant, :yes, v.kind, v.given), '23514', NULL, 'B40 refused: ' || v.kind || ' with ' || v.given)
FROM (VALUES ('user', 'persona', '''staff'''), ('persona', 'persona', '''admin'''), ('location', 'location', '''de'''), ('location', 'location', '''DE-'''), ('language', 'language', '''german_'''),
             ('department', 'persona', '''staff'''), ('persona', 'persona, language', '''staff'', ''de'''), ('persona', 'persona, include_descendants', '''staff'', true')) v(kind, columns, given);
SELECT throws_ok(format('UPDATE csm.audiences SET within_id = %s WHERE id = %s', :ungranted, :base), '23514', NULL, 'B40 no circle: an outer audience is older');

-- ---- why ----

CREATE FUNCTION small.why(asker text, role_name text, about bigint, audience bigint) RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u(asker), role_name, format('SELECT string_agg(concat_ws('' '', action, granted, criteria, via), ''; '') FROM csm.explain_audience(%s, %s) WHERE action = ''read''', coalesce(about::text, 'NULL'), audience))
$$;
SELECT is(small.why('mother', 'csm_portal', small.u('mother'), :by_consumer), 'read t {k_consumer} granted', 'B40 why: granted, by which criteria');
SELECT is(small.why('all three', 'csm_portal', small.u('all three'), :by_employee), 'read f {south} denied', 'B40 why: denied, by which');
SELECT is(small.why('mother', 'csm_portal', small.u('mother'), :by_employee), 'read f {} no grant', 'B40 why: no grant');
SELECT is(small.why('b2b agent', 'csm_agent', small.u('b2b agent'), :ungranted), format('read t {} owner of audience %s, counts under staff roles only', :ungranted), 'B40 why: the owner');
SELECT is(small.why('b2b agent', 'csm_agent', small.u('mother'), :ungranted), 'read f {} no grant', 'B40 why: who manages the audience asks about anybody');
SELECT is(small.why('desk admin', 'csm_admin', small.u('mother'), :by_consumer), 'read t {k_consumer} granted', 'B40 why: so does an administrator');
SELECT is(small.why(v.asker, v.role_name, small.u('mother'), :by_consumer), 'ERROR 42501: permission denied to explain the access of another person', format('B40 why: not %s as %s', v.asker, v.role_name))
FROM (VALUES ('student', 'csm_portal'), ('consumer agent', 'csm_agent'), ('b2b agent', 'csm_agent')) v(asker, role_name);
SELECT is(small.run(NULL, 'csm_portal', 'SELECT granted FROM csm.explain_audience(1, 1)'), 'ERROR 42501: permission denied to explain the access of another person', 'V14 why: not nobody');
SELECT is(small.why('student', 'csm_portal', small.u('student'), 99999999), 'read f {} no such audience, or no such person', 'V15 why: a missing audience');
SELECT is(small.why('desk admin', 'csm_admin', (SELECT id FROM csm.users WHERE tenant_id = small.tenant('foreign') LIMIT 1), :by_consumer), 'read f {} no such audience, or no such person', 'V13 why: of another tenant');

-- ---- keys, and acting for another ----

INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id) SELECT :tenant, :of_south, 'ask', id FROM csm.user_criteria WHERE key = 'south';
INSERT INTO csm.role_permissions (tenant_id, role, action, reach) VALUES (:tenant, 'manager', 'act_for', 'all');
CREATE FUNCTION small.for_another(actor text, other text, audience bigint, action text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    other_id CONSTANT bigint := small.u(other);
BEGIN
    PERFORM set_config('csm.user_id', small.u(actor)::text, true), set_config('role', 'csm_agent', true);
    PERFORM csm.on_behalf_of(other_id);
    answer := csm.audience_allows(audience, action)::text;
    PERFORM csm.on_behalf_of(NULL);
    PERFORM set_config('role', 'none', true), set_config('csm.user_id', '', true);
    RETURN answer;
END $$;
SELECT is(small.may('south contact', :of_south, v), true, 'B40 the person himself: ' || v) FROM unnest('{read,ask}'::text[]) v;
SELECT is(small.for_another('desk manager', 'south contact', :of_south, v.action), v.expected, format('D2 who acts for him reads and does no more: %s', v.action)) FROM (VALUES ('read', 'true'), ('ask', 'false')) v(action, expected);
SELECT is(small.for_another('desk manager', 'south contact', :by_staff, 'read'), 'false', 'D2 not what he reads as staff himself');
CREATE FUNCTION small.key(person text, arguments text) RETURNS text LANGUAGE sql
RETURN small.run(small.u(person), 'csm_portal', format('SELECT csm.create_api_key(%s)', arguments), NULL, true);
CREATE TEMP TABLE keys AS SELECT small.key('south contact', '''whole''') AS whole, small.key('south contact', '''reads'', actions => ''{case_read}''') AS reads,
    small.key('south contact', '''opens'', actions => ''{case_create}''') AS opens;
SELECT is(small.by(v.token, 'csm_portal', format('SELECT csm.audience_allows(%s, %L)', :of_south, v.action)), v.expected, format('D2 a key %s: %s', v.what, v.action))
FROM keys k CROSS JOIN LATERAL (VALUES ('of its person', k.whole, 'read', 'true'), ('of its person', k.whole, 'ask', 'true'), ('that reads cases', k.reads, 'read', 'true'), ('that reads cases', k.reads, 'ask', 'false'),
                                       ('that opens cases', k.opens, 'read', 'false')) v(what, token, action, expected);

-- An action in a variable is looked up each time, though the server keeps the call of the loop.
CREATE FUNCTION pg_temp.by_variable(audience bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    a text;
    found text := '';
BEGIN
    FOREACH a IN ARRAY '{ask,read,contribute,read}'::text[] LOOP
        found := found || a || '=' || csm.audience_allows(audience, a) || ',' || cardinality(csm.audiences_allowing(a)) || ' ';
    END LOOP;
    RETURN found;
END $$;
DELETE FROM csm.audience_grants WHERE audience_id = :by_location;
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id)
VALUES (:tenant, :by_location, 'ask', small.criteria('k_lodger', 'user', 'user_id', small.u('lodger')::text));
SELECT is(small.run(small.u('lodger'), 'csm_portal', format('SELECT %s.by_variable(%s)', pg_my_temp_schema()::regnamespace, :by_location)),
          format('ask=true,1 read=false,%1$s contribute=false,0 read=false,%1$s ', small.run(small.u('lodger'), 'csm_portal', 'SELECT cardinality(csm.audiences_allowing(''read''))')),
          'B40 an action in a variable');

-- ---- plans ----

CREATE TABLE public.papers (id bigint PRIMARY KEY, audience_id bigint NOT NULL);
INSERT INTO public.papers SELECT n, CASE WHEN n % 400 = 0 THEN :by_consumer WHEN n % 401 = 0 THEN :by_contact ELSE :inner_one END FROM generate_series(1, 60000) n;
CREATE INDEX papers_audience_idx ON public.papers (audience_id);
ALTER TABLE public.papers ENABLE ROW LEVEL SECURITY;
CREATE POLICY papers_read ON public.papers FOR SELECT USING (csm.audience_allows(audience_id, 'read'));
GRANT SELECT ON public.papers TO csm_portal, csm_agent;
ANALYZE public.papers;
CREATE FUNCTION pg_temp.plan(person bigint, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    lines text := '';
BEGIN
    PERFORM set_config('csm.user_id', coalesce(person::text, ''), true), set_config('role', 'csm_agent', true);
    FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
        lines := lines || line || E'\n';
    END LOOP;
    PERFORM set_config('role', 'none', true), set_config('csm.user_id', '', true);
    RETURN lines;
END $$;
SELECT matches(pg_temp.plan(small.u('mother'), 'SELECT count(*) FROM public.papers'), 'audience_id = ANY \(csm\.audiences_allowing\(''read''::text\)\)', 'B40 who reads few audiences: through the index');
SELECT doesnt_match(pg_temp.plan(small.u('b2b agent'), 'SELECT count(*) FROM public.papers'), 'Index Cond', 'B40 who reads nearly all of it: not');
SELECT ok((regexp_match(pg_temp.plan(small.u('mother'), 'SELECT * FROM public.papers'), 'rows=(\d+)'))[1]::int BETWEEN 100 AND 200, 'B40 the estimate is of what the person reads: few');
SELECT ok((regexp_match(pg_temp.plan(small.u('b2b agent'), 'SELECT * FROM public.papers'), 'rows=(\d+)'))[1]::int > 55000, 'B40 and of who reads nearly all');
SELECT matches(pg_temp.plan(small.u('mother'), 'SELECT * FROM public.papers WHERE id = 400'), 'papers_pkey', 'B40 a row named by its key is fetched by it');
SELECT is(small.run(small.u('mother'), 'csm_portal', 'SELECT count(*) FROM public.papers'), '150', 'B40 and it is right');
CREATE FUNCTION pg_temp.scanned_by_nobody() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    before bigint := (SELECT coalesce(seq_tup_read, 0) FROM pg_stat_xact_all_tables WHERE relid = 'public.papers'::regclass);
BEGIN
    PERFORM set_config('csm.user_id', '', true), set_config('role', 'csm_portal', true);
    PERFORM count(*) FROM public.papers;
    PERFORM set_config('role', 'none', true);
    RETURN (SELECT coalesce(seq_tup_read, 0) FROM pg_stat_xact_all_tables WHERE relid = 'public.papers'::regclass) - before;
END $$;
SELECT is(pg_temp.scanned_by_nobody(), 0::bigint, 'V14 nobody scans nothing');
SELECT * FROM finish();
