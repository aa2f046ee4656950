-- What csm does as a person who is not signed in: whose rights count between begin and end, and what is left behind.
\set ON_ERROR_STOP on
BEGIN;
\ir ../lib/small.sql
SELECT * FROM no_plan();

-- An act of csm_private: what the person sees, and whether row security binds him.
CREATE FUNCTION csm_private.test_look(argument jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF argument ->> 'fail' IS NOT NULL THEN
        RAISE EXCEPTION 'broken' USING ERRCODE = argument ->> 'fail';
    ELSIF argument ->> 'null' IS NOT NULL THEN
        RETURN NULL;
    END IF;
    RETURN jsonb_build_object('me', csm.current_user_id(), 'role', current_user, 'bound', row_security_active('csm.cases'),
        'persona', current_setting('csm.persona'), 'behalf', current_setting('csm.on_behalf_of'),
        'ids', (SELECT coalesce(string_agg(c.id::text, ',' ORDER BY c.id), 'none') FROM csm.cases c));
END $$;
CREATE FUNCTION csm_private.test_private(argument jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN RETURN to_jsonb(csm_private.restoring()); END $$;
CREATE FUNCTION csm_private.test_other(argument jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ BEGIN RETURN argument; END $$;
ALTER FUNCTION csm_private.test_look(jsonb) OWNER TO csm_owner;
ALTER FUNCTION csm_private.test_private(jsonb) OWNER TO csm_owner;
ALTER FUNCTION csm_private.test_other(jsonb) OWNER TO csm_owner;
CREATE FUNCTION small.planted(argument jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT argument $$;
ALTER FUNCTION small.planted(jsonb) OWNER TO csm_owner;

CREATE FUNCTION small.ids(person text, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql
RETURN small.run(small.u(person), role_name, 'SELECT coalesce(string_agg(id::text, '','' ORDER BY id), ''none'') FROM csm.cases');
CREATE FUNCTION small.look(person bigint, role_name text, argument jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql
RETURN csm_private.as_person(person, role_name::name, 'csm_private.test_look(jsonb)', argument);
CREATE FUNCTION small.state() RETURNS text LANGUAGE sql
RETURN format('%s|%s|%s|%s|%s|%s|%s', current_user, coalesce(csm.current_user_id()::text, 'nobody'), current_setting('csm.user_id'), current_setting('csm.persona'),
              current_setting('csm.on_behalf_of'), current_setting('row_security'), current_setting('csm.as_role'));

-- Whose rights count.
SELECT is(small.look(small.u(n), 'csm_portal') - 'ids', jsonb_build_object('me', small.u(n), 'role', 'csm_portal', 'bound', true, 'persona', '', 'behalf', ''), 'V14 it is ' || n)
FROM (VALUES ('north contact'), ('mother')) v(n);
SELECT is(small.look(small.u(n), 'csm_portal') ->> 'ids', small.ids(n), 'T17 sees what he sees himself: ' || n)
FROM unnest('{north contact,north manager,acme admin,paragon partner,mother,son,student,employee,stranger,b2b agent,desk manager}'::text[]) n;
SELECT isnt(small.ids('north contact'), 'none', 'T17 which is something');
SELECT is(small.look(small.u(n), 'csm_agent') ->> 'ids', small.ids(n, 'csm_agent'), 'V9 and on the side of staff: ' || n)
FROM unnest('{b2b agent,desk manager,consumer agent,north contact}'::text[]) n;
SELECT isnt(small.ids('b2b agent', 'csm_agent'), small.ids('b2b agent'), 'V9 which is not the same');
UPDATE csm.users SET enabled = false WHERE id = small.u('son');
SELECT is(small.look(small.u('son'), 'csm_portal') - 'role' - 'bound' - 'persona' - 'behalf', '{"me": null, "ids": "none"}', 'V10 who is disabled is nobody');
SELECT is(small.look(900000000000, 'csm_agent') ->> 'ids', 'none', 'V14 so is who does not exist');
SELECT is(small.look(NULL, 'csm_agent'), NULL, 'V14 NULL runs nothing');
SELECT is(small.look(small.u('mother'), 'csm_portal', '{"null": 1}'), NULL, 'V14 an answer may be NULL');

-- Workers believe what their leader does.
SELECT set_config(n, '0', true) FROM unnest('{parallel_setup_cost,parallel_tuple_cost,min_parallel_table_scan_size,min_parallel_index_scan_size}'::text[]) n \g /dev/null
SELECT is(small.look(small.u(n), r) ->> 'ids', small.ids(n, r), format('V14 in a parallel plan: %s as %s', n, r)) FROM (VALUES ('north manager', 'csm_portal'), ('desk manager', 'csm_agent')) v(n, r);

-- Called by somebody, who is himself again afterwards.
SELECT set_config('csm.user_id', small.u('desk manager')::text, true), set_config('csm.persona', 'staff:manager', true), set_config('row_security', 'off', true) \g /dev/null
CREATE TEMP TABLE before AS SELECT small.state() AS state;
SELECT is(small.look(small.u('mother'), 'csm_portal') - 'ids', jsonb_build_object('me', small.u('mother'), 'role', 'csm_portal', 'bound', true, 'persona', '', 'behalf', ''),
          'V14 another''s identity, persona and row_security do not count');
SELECT is(small.state(), (SELECT state FROM before), 'V14 and all is as before');
SELECT throws_ok(format($$SELECT small.look(%s, 'csm_portal', '{"fail": "SM002"}')$$, small.u('mother')), 'SM002', 'broken', 'SM002 an error passes through');
SELECT is(small.state(), (SELECT state FROM before), 'V14 and leaves nothing behind');
DO $$
BEGIN
    PERFORM small.look(small.u('mother'), 'csm_agent', '{"fail": "SM004"}');
EXCEPTION WHEN SQLSTATE 'SM004' THEN
    IF small.state() <> (SELECT state FROM before) THEN
        RAISE EXCEPTION 'left behind: %', small.state();
    END IF;
END $$;
SELECT pass('SM004 nor within a handler');
SELECT is(csm.current_user_id(), small.u('desk manager'), 'V14 the caller is who he was');
RESET row_security;

-- Nobody's but csm's.
SELECT throws_ok(format($$SELECT csm_private.as_person(%s, 'csm_portal', 'csm_private.test_private(jsonb)', '{}')$$, small.u('mother')), '42501', NULL, 'V15 an act can name nothing of csm_private');
SELECT throws_ok(format($$SELECT csm_private.as_person(%s, %L, 'csm_private.test_look(jsonb)', '{}')$$, small.u('mother'), r), 'XX000', NULL, 'V15 never as ' || r)
FROM unnest('{csm_owner,csm_admin,postgres,csm_guest}'::text[]) r;
SELECT throws_ok(format($$SELECT csm_private.as_person(0, 'csm_portal', 'csm_private.test_look(jsonb)', '{}')$$), 'XX000', NULL, 'V15 nor as person 0');
SELECT throws_ok(format($$SELECT csm_private.as_person(%s, 'csm_portal', %L, '{}')$$, small.u('mother'), f), 'XX000', NULL, 'V15 nor anything but an act: ' || f)
FROM unnest('{small.planted(jsonb),csm_private.test_other(jsonb),csm_private.restoring(),pg_catalog.to_jsonb(anyelement)}'::text[]) f;
SELECT is(small.run(small.u('mother'), r, format($$SELECT csm_private.as_person(%s, 'csm_portal', '%s'::oid, '{}')$$, small.u('desk manager'), 'csm_private.test_look(jsonb)'::regprocedure::oid)),
          'ERROR 42501: permission denied for schema csm_private', 'V15 no client: ' || r)
FROM unnest('{csm_portal,csm_agent,csm_admin}'::text[]) r;
SELECT throws_ok($$SET LOCAL csm.as_role = '10'$$, '22023', NULL, 'V15 not even a superuser sets the role');
SELECT is(small.run(small.u('mother'), 'csm_portal', $$SELECT set_config('csm.as_role', '10', true)$$), 'ERROR 42501: permission denied to set parameter "csm.as_role"', 'V15 and a client does not');
SELECT * FROM finish();
ROLLBACK;
