-- Role escalation through every function: whoever has few rights calls each function that his role may call with what would
-- give him more, or take somebody's. What he has, and what others have, is the same afterwards.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();

-- What rights stand on, as one text; sessions without those that the caller may start himself.
CREATE FUNCTION small.rights(of_tenant bigint, me bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    t record;
    found text;
    all_found text := '';
BEGIN
    FOR t IN
        SELECT x.tab, x.condition, x.without::text[]
        FROM (VALUES
            ('users', NULL, '{display_name,phone,title,language,time_zone,location}'), ('contacts', NULL, '{}'), ('consumers', NULL, '{}'), ('employees', NULL, '{}'),
            ('user_roles', NULL, '{}'), ('roles', NULL, '{}'), ('role_permissions', NULL, '{}'), ('accounts', NULL, '{}'), ('account_relationships', NULL, '{}'),
            ('account_team', NULL, '{}'), ('account_domains', NULL, '{}'), ('households', NULL, '{}'), ('household_members', NULL, '{}'), ('representations', NULL, '{}'),
            ('groups', NULL, '{}'), ('group_members', NULL, '{}'), ('service_organization_members', NULL, '{}'), ('identity_providers', NULL, '{}'),
            ('identity_provider_keys', NULL, '{}'), ('external_identities', NULL, '{}'), ('password_policies', NULL, '{}'), ('passwords', NULL, '{}'),
            ('denied_passwords', NULL, '{}'), ('mail_senders', NULL, '{}'), ('event_subscribers', NULL, '{}'), ('erasure_requests', NULL, '{}'), ('legal_holds', NULL, '{}'),
            ('licence_policies', NULL, '{}'), ('case_types', NULL, '{}'), ('case_transitions', NULL, '{}'), ('sessions', 'user_id <> $2', '{last_used_at}'),
            ('user_criteria', NULL, '{}'), ('user_criteria_parts', NULL, '{}'), ('audiences', NULL, '{}'), ('audience_grants', NULL, '{}'),
            ('registrations', 'created_at < now()', '{}')) x(tab, condition, without)
        WHERE to_regclass('csm.' || x.tab) IS NOT NULL
    LOOP
        EXECUTE format('SELECT md5(string_agg((to_jsonb(t) - $3)::text, '' '' ORDER BY t::text)) FROM csm.%I t WHERE t.tenant_id = $1 AND coalesce(%s, true)', t.tab, coalesce(t.condition, 'true'))
        INTO found USING of_tenant, me, t.without;
        all_found := all_found || t.tab || ' ' || coalesce(found, '-') || E'\n';
    END LOOP;
    RETURN all_found || (SELECT format('tenant %s %s', s.settings, s.enabled) FROM csm.tenants s WHERE s.id = of_tenant);
END $$;

-- Runs a statement as somebody: its SQLSTATE, "kept" where no right changed, else which. Nothing stays.
CREATE FUNCTION small.attack(me bigint, role_name text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before text;
    answer text;
BEGIN
    BEGIN
        answer := small.run(me, role_name, statement, NULL, true);
        IF answer LIKE 'ERROR%' THEN
            RAISE EXCEPTION USING ERRCODE = 'ZZZZY', MESSAGE = substr(answer, 7, 5);
        END IF;
        before := r.rights FROM small.known_rights r WHERE r.me IS NOT DISTINCT FROM attack.me;
        RAISE EXCEPTION USING ERRCODE = 'ZZZZY', MESSAGE = coalesce((
            SELECT string_agg(a.line, ', ') FROM (
                SELECT unnest(string_to_array(small.rights(small.tenant(), me), E'\n')) EXCEPT SELECT unnest(string_to_array(before, E'\n'))) a(line)), 'kept');
    EXCEPTION WHEN SQLSTATE 'ZZZZY' THEN
        RETURN SQLERRM;
    END;
END $$;

-- Whose login, account, case, session, request is tried, and what is put in.
CREATE FUNCTION small.argument(name text, type text, function text, way text, me bigint, my_contact bigint, my_account bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN type = 'bigint' THEN (CASE
            WHEN function ~ 'registration' AND name ~ '^(registration_id|id)$' THEN (SELECT min(id) FROM csm.registrations)
            WHEN name ~ 'session' THEN (SELECT min(id) FROM csm.sessions)
            WHEN name ~ 'account' THEN CASE way WHEN 'at home' THEN coalesce(my_account, small.a('umbrella')) ELSE small.a('umbrella') END
            WHEN name ~ 'contact' THEN CASE way WHEN 'others' THEN small.k('umbrella admin at umbrella') ELSE coalesce(my_contact, small.k('umbrella admin at umbrella')) END
            WHEN name ~ 'case|root' THEN CASE way WHEN 'at home' THEN small.c('north: pump') ELSE small.c('umbrella: new') END
            WHEN name ~ 'tenant' THEN small.tenant()
            WHEN name ~ 'provider' THEN (SELECT min(id) FROM csm.identity_providers)
            WHEN name = 'remove' THEN me
            WHEN name ~ 'user|person|keep|member' THEN CASE way WHEN 'others' THEN small.u('desk admin') ELSE coalesce(me, small.u('desk admin')) END
            ELSE 1 END)::text
        WHEN type = 'text' THEN quote_literal(CASE
            WHEN name ~ 'role' THEN CASE way WHEN 'others' THEN 'customer' WHEN 'himself' THEN 'admin' ELSE 'customer_admin' END
            WHEN name ~ 'persona' THEN 'staff:admin'
            WHEN name ~ 'login' THEN 'desk.admin@small.example'
            WHEN name ~ 'email' THEN CASE way WHEN 'others' THEN 'desk.admin@small.example' ELSE 'attacker@evil.example' END
            WHEN name ~ 'action' THEN 'configure'
            WHEN name ~ 'language' THEN 'en'
            WHEN name ~ 'time_zone' THEN 'UTC'
            WHEN name ~ 'case_type' THEN 'case'
            WHEN name ~ 'table_name' THEN 'csm.cases'
            WHEN name ~ 'column_name' THEN 'subject'
            WHEN name ~ 'token' THEN 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
            WHEN name ~ 'password' THEN 'a password that is long'
            ELSE 'attack' END)
        WHEN type = 'text[]' THEN '''{configure,person_manage,contact_manage}'''
        WHEN type = 'bigint[]' THEN '''{1,2,3}'''
        WHEN type = 'jsonb' THEN quote_literal(CASE function WHEN 'upsert_users'
            THEN format('[{"external_id": "x", "display_name": "X", "email": "x@evil.example", "employee": true, "enabled": true}, {"external_id": "y", "display_name": "Y", "id": %s, "role": "admin"}]', me)
            WHEN 'set_provider_keys' THEN '{"keys": []}' ELSE format('{"assigned_to": %s, "requester_id": %1$s, "account_id": %s}', coalesce(me, 1), small.a('umbrella')) END)
        WHEN type = 'boolean' THEN CASE way WHEN 'others' THEN 'false' ELSE 'true' END
        WHEN type IN ('integer', 'smallint', 'numeric') THEN '1'
        WHEN type = 'timestamp with time zone' THEN 'clock_timestamp()'
        WHEN type = 'interval' THEN '''1 day'''
        WHEN type = 'bytea' THEN '''\x00'''
        WHEN type = 'tstzrange' THEN '''[2000-01-01,)'''
        ELSE 'NULL' END || '::' || type
$$;

-- Something for each to grasp at.
INSERT INTO csm.identity_providers (tenant_id, name, issuer, audience) VALUES (small.tenant(), 'P', 'https://idp.example', 'portal');
SELECT csm_private.set_password(small.tenant(), small.u('desk admin'), 'right horse of the desk');
INSERT INTO csm.sessions (tenant_id, user_id, expires_at, idle_minutes) VALUES (small.tenant(), small.u('desk admin'), 'infinity', 60);
INSERT INTO csm.registrations (tenant_id, kind, email, display_name, account_id, route, created_at)
VALUES (small.tenant(), 'contact', 'attacker@evil.example', 'Attacker', small.a('umbrella'), 'code', now() - interval '1 hour');
UPDATE csm.registrations SET confirmed_at = now(), state = 'requested';
ALTER DATABASE :DBNAME SET csm.tenant = 'small';
SET csm.tenant = 'small';

CREATE TABLE small.attacker AS
SELECT v.name, v.role_name, CASE v.name WHEN 'visitor' THEN NULL WHEN 'admin of the other tenant' THEN (SELECT min(r.user_id) FROM csm.user_roles r WHERE r.tenant_id = small.tenant('foreign')) ELSE small.u(v.name) END AS me,
       k.id AS contact, k.account_id AS account, v.ways::text[]
FROM (VALUES ('visitor', 'csm_guest', '{others,himself}'), ('north contact', 'csm_portal', '{others,himself,at home}'), ('north reader', 'csm_portal', '{others,himself,at home}'),
             ('north manager', 'csm_portal', '{others,himself,at home}'), ('north admin', 'csm_portal', '{others,himself}'), ('paragon admin', 'csm_portal', '{others,himself}'),
             ('mother', 'csm_portal', '{others,himself}'), ('student', 'csm_portal', '{others,himself}'), ('b2b agent', 'csm_agent', '{others,himself}'),
             ('viewer', 'csm_agent', '{others,himself}'), ('contributor', 'csm_agent', '{others,himself}'), ('proxy', 'csm_agent', '{others,himself}'),
             ('admin of the other tenant', 'csm_admin', '{others,himself}')) v(name, role_name, ways)
LEFT JOIN csm.contacts k ON k.id = (SELECT n.id FROM small.named n WHERE n.kind = 'contact' AND split_part(n.name, ' at ', 1) = v.name);
CREATE TABLE small.known_rights AS SELECT a.me, small.rights(small.tenant(), a.me) AS rights FROM small.attacker a;

CREATE TABLE small.attacked AS
SELECT a.name, s.function, w.way, s.statement, small.attack(a.me, a.role_name, s.statement) AS outcome
FROM small.attacker a CROSS JOIN unnest(a.ways) w(way)
CROSS JOIN LATERAL (
    SELECT p.proname::text AS function,
           format('SELECT count(*) FROM csm.%I(%s) x', p.proname,
                  (SELECT string_agg(format('%I => %s', p.proargnames[i], small.argument(p.proargnames[i], format_type(p.proargtypes[i - 1], NULL), p.proname, w.way, a.me, a.contact, a.account)), ', ' ORDER BY i)
                   FROM generate_series(1, p.pronargs) i)) AS statement
    FROM pg_proc p
    WHERE p.pronamespace = 'csm'::regnamespace AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype AND p.provolatile = 'v'
      AND (p.pronargs = 0 OR p.proargnames IS NOT NULL) AND has_function_privilege(a.role_name, p.oid, 'EXECUTE')) s
ORDER BY a.name, s.function, w.way;

SELECT is_empty(format($$SELECT way, statement, outcome FROM small.attacked WHERE name = %L AND outcome LIKE '%% %%'$$, name), format('A14 no function gives %s a right, or takes one of anybody', name))
FROM small.attacker;
-- That the attacks were such, and would be noticed.
SELECT cmp_ok(count(DISTINCT function)::integer, '>', 60, 'A14 so many functions that write were called') FROM small.attacked;
SELECT cmp_ok(count(*)::integer, '>', 100, 'A14 so many calls went through') FROM small.attacked WHERE outcome = 'kept';
SELECT is_empty($$SELECT function, statement, outcome FROM small.attacked WHERE outcome IN ('42883', '42725', '42601', '42703', '42804', 'XX000')$$, 'A14 none failed for how it was written');
INSERT INTO small.known_rights SELECT small.u('umbrella admin'), small.rights(small.tenant(), small.u('umbrella admin'));
INSERT INTO small.known_rights SELECT small.u('desk manager'), small.rights(small.tenant(), small.u('desk manager'));
SELECT matches(small.attack(small.u('umbrella admin'), 'csm_portal', format('SELECT csm.approve_registration(%s)', (SELECT id FROM csm.registrations))), 'contacts .*, registrations|registrations .*contacts|contacts', 'A14 allow: an administrator approves, and that is noticed');
SELECT matches(small.attack(small.u('desk manager'), 'csm_agent', format('SELECT csm.set_contact_role(%s, ''case_manager'')', small.k('north contact at north'))), 'contacts', 'A14 allow: staff give a role');
SELECT matches(small.attack(small.u('desk manager'), 'csm_agent', format('SELECT csm.set_contact_login(%s, false)', small.k('north contact at north'))), 'contacts', 'A14 allow: and disable a login');
SELECT * FROM finish();
