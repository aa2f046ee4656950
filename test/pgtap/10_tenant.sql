-- Tenants: made, mapped to login roles, brought up to date; and the extension that is not dropped with rows in it.
BEGIN;
SELECT no_plan();

CREATE FUNCTION pg_temp.drops(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
EXCEPTION
    WHEN SQLSTATE 'ZZZZZ' THEN RETURN 'dropped';
    WHEN OTHERS THEN RETURN SQLSTATE;
END $$;

SELECT is(pg_temp.drops('DROP EXTENSION csm'), 'dropped', 'DROP EXTENSION: without rows it is dropped');

-- create_tenant
SELECT is_empty('SELECT FROM csm.tenants UNION ALL SELECT FROM csm.users', 'install: no tenant and no person');
CREATE TEMP TABLE made AS SELECT csm.create_tenant('acme', 'ACME', 'ada.lovelace@acme.example') AS tenant;
CREATE TEMP TABLE other AS SELECT csm.create_tenant('globex', 'Globex', 'gus@globex.example') AS tenant;
SELECT results_eq('SELECT t.id, t.key, t.name, t.enabled FROM csm.tenants t, made m WHERE t.id = m.tenant',
                  'SELECT tenant, ''acme'', ''ACME'', true FROM made', 'create_tenant: the row, and its id returned');
SELECT results_eq('SELECT u.display_name, u.email, u.enabled, u.login_role FROM csm.users u, made m WHERE u.tenant_id = m.tenant',
                  $$VALUES ('ada.lovelace', 'ada.lovelace@acme.example', true, NULL::text)$$, 'create_tenant: one person');
SELECT set_eq('SELECT r.role FROM csm.user_roles r, made m WHERE r.tenant_id = m.tenant',
              ARRAY['admin', 'manager'], 'create_tenant: who is admin and manager');
SELECT set_eq('SELECT role, kind, user_class, label, branches FROM csm.roles r, made m WHERE r.tenant_id = m.tenant',
              'SELECT * FROM csm_private.shipped_roles()', 'create_tenant: the shipped roles');
SELECT set_eq('SELECT role, action, reach FROM csm.role_permissions r, made m WHERE r.tenant_id = m.tenant',
              'SELECT * FROM csm_private.shipped_permissions()', 'create_tenant: the shipped permissions');
SELECT set_eq('SELECT case_type, parent_type, label, settings, own_machine FROM csm.case_types r, made m WHERE r.tenant_id = m.tenant',
              'SELECT * FROM csm_private.shipped_case_types()', 'create_tenant: the shipped case types');
SELECT set_eq('SELECT case_type, state, value, state_class, label, active FROM csm.case_states r, made m WHERE r.tenant_id = m.tenant',
              'SELECT * FROM csm_private.shipped_case_states()', 'create_tenant: the shipped states');
SELECT set_eq('SELECT case_type, from_state, action, to_state, actors, required_fields, note_required, effects::text, label, active
               FROM csm.case_transitions r, made m WHERE r.tenant_id = m.tenant',
              'SELECT case_type, from_state, action, to_state, actors, required_fields, note_required, effects::text, label, active
               FROM csm_private.shipped_case_transitions()', 'create_tenant: the shipped transitions');
SELECT set_eq('SELECT case_type, name, label, type, audience, required, required_for, choices, reference, "position", active
               FROM csm.case_type_fields r, made m WHERE r.tenant_id = m.tenant',
              'SELECT * FROM csm_private.shipped_case_fields()', 'create_tenant: the shipped fields');

SELECT throws_ok($$SELECT csm.create_tenant('acme', 'Again', 'a@b')$$, '23505', 'tenant "acme" exists already', 'create_tenant: key taken');
SELECT throws_ok($$SELECT csm.create_tenant('Acme', 'A', 'a@b')$$, '22023', NULL, 'create_tenant: bad key');
SELECT throws_ok($$SELECT csm.create_tenant('', 'A', 'a@b')$$, '22023', NULL, 'create_tenant: empty key');
SELECT throws_ok($$SELECT csm.create_tenant(NULL, 'A', 'a@b')$$, '22023', NULL, 'create_tenant: no key');
SELECT throws_ok($$SELECT csm.create_tenant('x', NULL, 'a@b')$$, '22023', NULL, 'create_tenant: no name');
SELECT throws_ok($$SELECT csm.create_tenant('x', repeat('x', 201), 'a@b')$$, '22023', NULL, 'create_tenant: name too long');
SELECT throws_ok($$SELECT csm.create_tenant('x', 'A', 'nobody')$$, '22023', NULL, 'create_tenant: bad e-mail');
SELECT throws_ok($$SELECT csm.create_tenant('x', 'A', NULL)$$, '22023', NULL, 'create_tenant: no e-mail');
SELECT throws_ok($$SELECT csm.create_tenant('x', 'A', 'a@b', 'no such role')$$, '42704', NULL, 'create_tenant: unknown login role');
SELECT is_empty($$SELECT FROM csm.tenants WHERE key = 'x'$$, 'create_tenant: what fails leaves nothing');

-- map_login
CREATE ROLE tap_ada LOGIN;
CREATE ROLE tap_super SUPERUSER;
CREATE ROLE tap_bypass BYPASSRLS;
CREATE ROLE tap_member;
GRANT csm_owner TO tap_member;
CREATE ROLE tap_app LOGIN;
GRANT csm_portal TO tap_ada, tap_app;
CREATE FUNCTION pg_temp.person(tenant bigint) RETURNS bigint LANGUAGE sql
    AS 'SELECT id FROM csm.users WHERE tenant_id = tenant';
CREATE FUNCTION pg_temp.who(login text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    me bigint;
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', login);
    me := csm.current_user_id();
    RESET ROLE;
    RETURN me;
END $$;
SELECT lives_ok('SELECT csm.map_login(pg_temp.person(tenant), ''tap_ada'') FROM made', 'map_login: maps');
SELECT is(pg_temp.who('tap_ada'), (SELECT pg_temp.person(tenant) FROM made), 'map_login: the role is the person');
SELECT is(pg_temp.who('tap_app'), NULL, 'map_login: another role is not');
SELECT lives_ok('SELECT csm.map_login(pg_temp.person(tenant), ''tap_ada'') FROM made', 'map_login: again is no error');
SELECT throws_ok('SELECT csm.map_login(pg_temp.person(tenant), ''tap_ada'') FROM other', '23505', 'role "tap_ada" is mapped to another user',
                 'map_login: a role stands for one person in the database');
SELECT throws_ok('SELECT csm.map_login(pg_temp.person(tenant), ''tap_super'') FROM other', '42501', NULL, 'map_login: no superuser');
SELECT throws_ok('SELECT csm.map_login(pg_temp.person(tenant), ''tap_bypass'') FROM other', '42501', NULL, 'map_login: nobody with BYPASSRLS');
SELECT throws_ok('SELECT csm.map_login(pg_temp.person(tenant), ''tap_member'') FROM other', '42501', NULL, 'map_login: no member of csm_owner');
SELECT throws_ok(format('SELECT csm.map_login(pg_temp.person(tenant), %L) FROM other', r), '22023', NULL, 'map_login: not ' || r)
FROM unnest('{csm_owner,csm_guest,csm_portal,csm_agent,csm_reporter,csm_admin,pg_monitor}'::text[]) r;
SELECT throws_ok('SELECT csm.map_login(pg_temp.person(tenant), ''tap_none'') FROM other', '42704', NULL, 'map_login: no such role');
SELECT throws_ok('SELECT csm.map_login(0, ''tap_app'')', '22023', 'there is no user 0', 'map_login: no such person');
SELECT throws_ok('SELECT csm.map_login(NULL, ''tap_app'')', '22023', NULL, 'map_login: person NULL');
SELECT lives_ok('SELECT csm.map_login(pg_temp.person(tenant), NULL) FROM made', 'map_login: NULL unmaps');
SELECT is(pg_temp.who('tap_ada'), NULL, 'map_login: and the role is nobody');

-- who may
SET LOCAL ROLE tap_member;
SELECT lives_ok($$SELECT csm.create_tenant('by_member', 'M', 'm@m', 'tap_app')$$, 'create_tenant, map_login: by a member of csm_owner');
RESET ROLE;
SELECT isnt(pg_temp.who('tap_app'), NULL, 'create_tenant: maps the login role of the admin');
SELECT function_privs_are('csm', 'create_tenant', '{text,text,text,text}', r, '{}', 'create_tenant: not for ' || r)
FROM unnest('{csm_guest,csm_portal,csm_agent,csm_reporter,csm_admin}'::text[]) r;
SELECT function_privs_are('csm', 'map_login', '{bigint,text}', r, '{}', 'map_login: not for ' || r)
FROM unnest('{csm_guest,csm_portal,csm_agent,csm_reporter,csm_admin}'::text[]) r;
GRANT EXECUTE ON FUNCTION csm.create_tenant(text, text, text, text), csm.map_login(bigint, text) TO csm_admin;
DO $$ BEGIN PERFORM set_config('csm.user_id', pg_temp.person(tenant)::text, true) FROM made; END $$;
SET LOCAL ROLE csm_admin;
SELECT throws_ok($$SELECT csm.create_tenant('mine', 'M', 'm@m')$$, '42501', NULL, 'create_tenant: EXECUTE alone is not enough');
SELECT throws_ok($$SELECT csm.map_login(csm.current_user_id(), 'tap_ada')$$, '42501', NULL, 'map_login: EXECUTE alone is not enough');
SELECT throws_ok($$UPDATE csm.users SET login_role = 'tap_ada' WHERE id = csm.current_user_id()$$, '42501', NULL, 'map_login: an administrator cannot write the column');
RESET ROLE;

-- refresh_shipped: what it finds when nothing is new
SELECT is_empty('SELECT FROM csm.refresh_shipped() WHERE (added, changed, removed, kept) <> (0, 0, 0, 0)', 'refresh_shipped: nothing to do');
SELECT is((SELECT count(*) FROM csm.refresh_shipped()), 7 * (SELECT count(*) FROM csm.tenants), 'refresh_shipped: seven kinds for each tenant');

-- what a tenant changes
DELETE FROM csm.role_permissions p USING made m WHERE p.tenant_id = m.tenant AND p.role = 'agent' AND p.action = 'contact_read';
UPDATE csm.roles r SET label = 'Betrachter' FROM made m WHERE r.tenant_id = m.tenant AND r.role = 'viewer';
INSERT INTO csm.roles (tenant_id, role, kind, user_class, label) SELECT tenant, 'trainee', 'staff', 'fulfiller', 'Trainee' FROM made;
DELETE FROM csm.case_transitions t USING made m WHERE t.tenant_id = m.tenant AND t.action = 'assign' AND t.from_state = 'new';
UPDATE csm.case_transitions t SET actors = '{manager}' FROM made m WHERE t.tenant_id = m.tenant AND t.action = 'take';
UPDATE csm.case_states s SET label = 'Offen' FROM made m WHERE s.tenant_id = m.tenant AND s.state = 'open';
INSERT INTO csm.case_states (tenant_id, case_type, state, value, state_class, label)
SELECT tenant, 'case', 'on_hold', 21, 'waiting', 'On hold' FROM made;
-- what an update brings: permissions, a role, a label, two states, transitions; one transition is gone
ALTER FUNCTION csm_private.shipped_permissions() RENAME TO shipped_permissions_1;
CREATE OR REPLACE FUNCTION csm_private.shipped_roles()
RETURNS TABLE (role text, kind text, user_class text, label text, branches text[]) LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 20 AS $$
    VALUES ('agent', 'staff', 'fulfiller', 'Agent, new label', '{b2b}'::text[]), ('viewer', 'staff', 'stakeholder', 'Reader', '{b2b,b2c,internal}'),
           ('consumer_agent', 'staff', 'fulfiller', 'Agent for consumers', '{b2c,internal}'), ('trainee', 'staff', 'stakeholder', 'Shipped trainee', '{b2b}'),
           ('auditor', 'staff', 'stakeholder', 'Auditor', '{b2b,b2c,internal}')
$$;
CREATE OR REPLACE FUNCTION csm_private.shipped_permissions_1()
RETURNS TABLE (role text, action text, reach text) LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 80 AS $$
    VALUES ('agent', 'case_read', 'all'), ('agent', 'product_manage', 'all'), ('viewer', 'case_read', 'all'),
           ('consumer_agent', 'case_read', 'all'), ('consumer_agent', 'product_manage', 'all'), ('auditor', 'case_read', 'all')
$$;
-- The default type alone, so that what is counted below is all that there is.
DELETE FROM csm.case_types WHERE case_type <> 'case';
DELETE FROM csm_private.shipped_copies WHERE kind IN ('case_type', 'case_state', 'case_transition', 'case_field') AND key[1] <> 'case';
CREATE OR REPLACE FUNCTION csm_private.shipped_case_types()
RETURNS TABLE (case_type text, parent_type text, label text, settings jsonb, own_machine boolean) LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 10 AS $$
    VALUES ('case', NULL::text, 'Case', '{"reminder_days": 5, "close_days": 10}'::jsonb, false)
$$;
CREATE OR REPLACE FUNCTION csm_private.shipped_case_fields()
RETURNS TABLE (case_type text, name text, label text, type text, audience text, required boolean, required_for text[], choices text[],
               reference text, "position" integer, active boolean) LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 10 AS $$
    VALUES ('case', 'serial', 'Serial number', 'text', 'all', false, '{}'::text[], NULL::text[], NULL::text, 1, true)
$$;
CREATE OR REPLACE FUNCTION csm_private.shipped_case_states()
RETURNS TABLE (case_type text, state text, value integer, state_class text, label text, active boolean) LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 20 AS $$
    VALUES ('case', 'draft', 0, 'draft', 'Draft', true), ('case', 'new', 1, 'new', 'Brand new', true), ('case', 'open', 10, 'open', 'Opened', true),
           ('case', 'awaiting_info', 18, 'waiting', 'Awaiting info', true), ('case', 'resolved', 6, 'resolved', 'Resolved', true),
           ('case', 'closed', 3, 'closed', 'Closed', true), ('case', 'cancelled', 7, 'cancelled', 'Cancelled', true),
           ('case', 'paused', 21, 'waiting', 'Paused', true), ('case', 'review', 30, 'open', 'Review', true)
$$;
CREATE OR REPLACE FUNCTION csm_private.shipped_case_transitions()
RETURNS TABLE (case_type text, from_state text, action text, to_state text, actors text[], required_fields text[], note_required boolean,
               effects jsonb, label text, active boolean) LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 60 AS $$
    VALUES ('case', 'draft', 'submit', 'new', '{requester,agent}'::text[], '{}'::text[], false, '{}'::jsonb, 'Submit', true),
           ('case', 'new', 'take', 'open', '{agent,partner}', '{}', false, '{}', 'Take it', true),
           ('case', 'new', 'assign', 'new', '{agent,manager}', '{}', false, '{}', 'Assign', true),
           ('case', 'open', 'pause', 'paused', '{agent}', '{}', false, '{}', 'Pause', true),
           ('case', 'open', 'review', 'review', '{agent}', '{}', false, '{}', 'Review', true),
           ('case', 'open', 'propose', 'resolved', '{agent}', '{resolution_code}', false, '{}', 'Propose solution', true)
$$;
CREATE TEMP TABLE counts AS SELECT * FROM csm.refresh_shipped();
CREATE FUNCTION pg_temp.changed(tenant bigint, kind text) RETURNS text LANGUAGE sql
    RETURN (SELECT concat_ws(' ', c.added, c.changed, c.removed, c.kept) FROM counts c WHERE c.tenant_id = tenant AND c.kind = changed.kind);

SELECT is((SELECT label FROM csm.roles r, other o WHERE r.tenant_id = o.tenant AND role = 'agent'), 'Agent, new label', 'refresh_shipped: an unchanged role is renewed');
SELECT set_eq('SELECT action FROM csm.role_permissions p, other o WHERE p.tenant_id = o.tenant AND p.role = ''agent''',
              ARRAY['case_read', 'product_manage'], 'refresh_shipped: with its permissions, those that are shipped no longer too');
SELECT set_hasnt('SELECT action FROM csm.role_permissions p, made m WHERE p.tenant_id = m.tenant AND p.role = ''agent''',
                 $$VALUES ('contact_read'), ('product_manage')$$, 'refresh_shipped: a role that the tenant narrowed is not widened');
SELECT is((SELECT label FROM csm.roles r, made m WHERE r.tenant_id = m.tenant AND role = 'viewer'), 'Betrachter', 'refresh_shipped: the tenant''s label stays');
SELECT is((SELECT label FROM csm.roles r, made m WHERE r.tenant_id = m.tenant AND role = 'trainee'), 'Trainee', 'refresh_shipped: the tenant''s own role of the same name stays');
SELECT is((SELECT branches FROM csm.roles r, made m WHERE r.tenant_id = m.tenant AND role = 'consumer_agent'), '{b2c,internal}', 'refresh_shipped: roles beside a changed one are renewed');
SELECT set_has('SELECT p.role, p.action FROM csm.role_permissions p, made m WHERE p.tenant_id = m.tenant',
               $$VALUES ('auditor', 'case_read')$$, 'refresh_shipped: a new role comes with its permissions');
SELECT set_has('SELECT r.role FROM csm.roles r, other o WHERE r.tenant_id = o.tenant', $$VALUES ('admin')$$, 'refresh_shipped: a role that is shipped no longer stays, people may hold it');
SELECT is_empty($$SELECT FROM csm.case_transitions t, made m WHERE t.tenant_id = m.tenant AND action = 'assign' AND from_state = 'new'$$,
                'refresh_shipped: what the tenant deleted does not come back');
SELECT is((SELECT actors FROM csm.case_transitions t, made m WHERE t.tenant_id = m.tenant AND action = 'take'), '{manager}', 'refresh_shipped: a transition that the tenant changed stays');
SELECT is((SELECT actors FROM csm.case_transitions t, other o WHERE t.tenant_id = o.tenant AND action = 'take'), '{agent,partner}', 'refresh_shipped: where he did not it is renewed');
SELECT is((SELECT label FROM csm.case_states s, made m WHERE s.tenant_id = m.tenant AND state = 'open'), 'Offen', 'refresh_shipped: a state that the tenant changed stays');
SELECT is((SELECT label FROM csm.case_states s, made m WHERE s.tenant_id = m.tenant AND state = 'new'), 'Brand new', 'refresh_shipped: the state beside it is renewed');
SELECT is_empty($$SELECT FROM csm.case_states s, made m WHERE s.tenant_id = m.tenant AND state = 'paused'$$,
                'refresh_shipped: a new state whose number the tenant uses is left out');
SELECT is_empty($$SELECT FROM csm.case_transitions t, made m WHERE t.tenant_id = m.tenant AND action = 'pause'$$,
                'refresh_shipped: and the transition that leads there');
SELECT set_has('SELECT action FROM csm.case_transitions t, made m WHERE t.tenant_id = m.tenant', $$VALUES ('review')$$, 'refresh_shipped: other new ones come');
SELECT set_has('SELECT action FROM csm.case_transitions t, other o WHERE t.tenant_id = o.tenant', $$VALUES ('pause'), ('review')$$, 'refresh_shipped: to the other tenant all of them');
SELECT is_empty($$SELECT FROM csm.case_transitions WHERE action = 'cancel'$$, 'refresh_shipped: a transition that is shipped no longer goes');
SELECT is(pg_temp.changed(tenant, 'case_state'), '1 1 0 2', 'refresh_shipped: counts of states: added, changed, removed, kept') FROM made;
SELECT is(pg_temp.changed(tenant, 'case_state'), '2 2 0 0', 'refresh_shipped: counts of states of the other tenant') FROM other;
SELECT is(pg_temp.changed(tenant, 'case_transition'), '1 1 19 3', 'refresh_shipped: counts of transitions') FROM made;
SELECT is(pg_temp.changed(tenant, 'case_transition'), '2 2 19 0', 'refresh_shipped: counts of transitions of the other tenant') FROM other;
SELECT is(pg_temp.changed(tenant, 'case_field'), '1 0 0 0', 'refresh_shipped: a new field comes') FROM made;
SELECT is_empty('SELECT FROM csm.refresh_shipped() r, counts c WHERE (r.added, r.changed, r.removed) <> (0, 0, 0)', 'refresh_shipped: a second time changes nothing');

-- refresh_shipped: who may
UPDATE csm.case_states s SET label = 'Shipped before' FROM made m WHERE s.tenant_id = m.tenant AND s.state = 'new';
UPDATE csm_private.shipped_copies c SET content = content || '{"label": "Shipped before"}'
WHERE c.kind = 'case_state' AND c.key = '{case,new}' AND c.tenant_id = (SELECT tenant FROM made);
SET LOCAL ROLE csm_admin;
SELECT is((SELECT count(DISTINCT tenant_id) FROM csm.refresh_shipped()), 1::bigint, 'refresh_shipped: an administrator refreshes his own tenant only');
SELECT is((SELECT label FROM csm.case_states WHERE state = 'new'), 'Brand new', 'refresh_shipped: with effect');
RESET ROLE;
SELECT set_config('tap.other', tenant::text, true) FROM other;
SET LOCAL ROLE csm_admin;
SELECT throws_ok('SELECT csm.refresh_shipped(current_setting(''tap.other'')::bigint)', '42501', NULL, 'V13 refresh_shipped: not another tenant');
SELECT throws_ok('SELECT csm.refresh_shipped(0)', '42501', NULL, 'V15 refresh_shipped: an unknown tenant gives the same error');
SELECT throws_ok('SELECT csm.refresh_shipped(NULL)', '42501', NULL, 'refresh_shipped: tenant NULL');
RESET ROLE;
DELETE FROM csm.user_roles r USING made m WHERE r.tenant_id = m.tenant AND r.role = 'admin';
SET LOCAL ROLE csm_admin;
SELECT throws_ok('SELECT csm.refresh_shipped()', '42501', NULL, 'refresh_shipped: not without the action configure');
RESET ROLE;
SELECT set_config('csm.user_id', '', true);
SET LOCAL ROLE csm_admin;
SELECT throws_ok('SELECT csm.refresh_shipped()', '42501', NULL, 'V14 refresh_shipped: nobody may not');
RESET ROLE;

-- The extension with rows in it
SELECT is(pg_temp.drops('DROP EXTENSION csm'), '55000', 'DROP EXTENSION: refused with rows');
SELECT is(pg_temp.drops('DROP EXTENSION csm CASCADE'), '55000', 'DROP EXTENSION: CASCADE is no consent');
SELECT is(pg_temp.drops('DROP EXTENSION ltree CASCADE'), '55000', 'DROP EXTENSION: refused by way of another extension');
CREATE SCHEMA holds_ltree;
SELECT is(pg_temp.drops('DROP SCHEMA csm CASCADE'), '2BP01', 'DROP SCHEMA: the server refuses to take a part of it');
SELECT is(pg_temp.drops('DROP SCHEMA holds_ltree CASCADE'), 'dropped', 'DROP SCHEMA: one that has nothing to do with it goes');
CREATE TABLE public.mine AS SELECT 1 AS one;
SELECT is(pg_temp.drops('DROP TABLE public.mine'), 'dropped', 'DROP TABLE: of somebody else, with rows');
CREATE ROLE tap_owner SUPERUSER;
UPDATE pg_extension SET extowner = 'tap_owner'::regrole WHERE extname = 'csm';
UPDATE pg_shdepend SET refobjid = 'tap_owner'::regrole
WHERE classid = 'pg_extension'::regclass AND objid = (SELECT oid FROM pg_extension WHERE extname = 'csm')
  AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database());
INSERT INTO pg_shdepend (dbid, classid, objid, objsubid, refclassid, refobjid, deptype)
SELECT (SELECT oid FROM pg_database WHERE datname = current_database()), 'pg_extension'::regclass, e.oid, 0, 'pg_authid'::regclass, 'tap_owner'::regrole, 'o'
FROM pg_extension e
WHERE e.extname = 'csm' AND NOT EXISTS (SELECT FROM pg_shdepend s WHERE s.classid = 'pg_extension'::regclass AND s.objid = e.oid);
SELECT is(pg_temp.drops('DROP OWNED BY tap_owner CASCADE'), '55000', 'DROP OWNED: refused with rows');
SET LOCAL csm.allow_drop = on;
SELECT is(pg_temp.drops('DROP EXTENSION csm'), 'dropped', 'DROP EXTENSION: csm.allow_drop lets it go');
SET LOCAL csm.allow_drop = off;
SELECT is(pg_temp.drops('DROP EXTENSION csm'), '55000', 'DROP EXTENSION: and only while it is on');

SELECT * FROM finish();
ROLLBACK;
