-- The fast path asked for many people, to be compared with the slow definitions. To be run after world.sql and rules.sql.

CREATE TYPE world.reads AS (case_id bigint, letters text);

-- c(omment) d(ecide) w(ork) as the rule gives them, bound here by oid: the asking role has no USAGE on csm_private.
CREATE FUNCTION world.letters(c csm.cases) RETURNS text LANGUAGE sql STABLE
RETURN CASE WHEN csm_private.case_allows(c, 'case_comment') THEN 'c' ELSE '' END
    || CASE WHEN csm_private.case_allows(c, 'case_decide') THEN 'd' ELSE '' END
    || CASE WHEN csm_private.case_allows(c, 'case_work') THEN 'w' ELSE '' END;
GRANT USAGE ON SCHEMA world TO csm_portal, csm_agent, csm_reporter, csm_admin;

-- Become a person for the rest of the function; world.leave() undoes it.
CREATE FUNCTION world.enter(person bigint, role_name text, persona text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('csm.user_id', person::text, true), set_config('csm.persona', coalesce(persona, ''), true),
            set_config('role', role_name, true);
    IF NOT row_security_active('csm.cases') THEN
        RAISE EXCEPTION 'row security is not active for %', role_name;
    END IF;
END $$;
CREATE FUNCTION world.leave() RETURNS void LANGUAGE sql AS $$
    SELECT set_config('role', 'none', true), set_config('csm.persona', '', true), set_config('csm.user_id', '', true);
$$;

-- What a person reads, by a plain SELECT as that role.
CREATE FUNCTION world.fast(person bigint, role_name text, persona text DEFAULT NULL) RETURNS SETOF world.reads
LANGUAGE plpgsql AS $$
DECLARE
    found world.reads[];
BEGIN
    PERFORM world.enter(person, role_name, persona);
    SELECT array_agg((c.id, world.letters(c))::world.reads) INTO found FROM csm.cases c;
    PERFORM world.leave();
    RETURN QUERY SELECT * FROM unnest(found);
END $$;

CREATE FUNCTION world.as_letters(actions text[]) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN 'case_comment' = ANY (actions) THEN 'c' ELSE '' END
    || CASE WHEN 'case_decide' = ANY (actions) THEN 'd' ELSE '' END
    || CASE WHEN 'case_work' = ANY (actions) THEN 'w' ELSE '' END;

-- The same by definition, from what world.compute() found.
CREATE FUNCTION world.slow(person bigint, staff_side boolean, persona text) RETURNS SETOF world.reads
LANGUAGE sql STABLE AS $$
    SELECT r.case_id, world.as_letters(array_agg(a.action))
    FROM world.reason r
    CROSS JOIN unnest(r.actions) a(action)
    WHERE r.user_id = person AND (staff_side OR NOT r.staff)
      AND (slow.persona IS NULL OR r.persona = slow.persona OR (r.persona IS NULL AND NOT slow.persona ^@ 'staff:'))
    GROUP BY r.case_id HAVING 'case_read' = ANY (array_agg(a.action))
$$;

-- Pairs on which the two differ, for one person.
CREATE FUNCTION world.differences(person bigint, role_name text, persona text DEFAULT NULL)
RETURNS TABLE (case_id bigint, fast text, slow text) LANGUAGE sql AS $$
    SELECT case_id, f.letters, s.letters
    FROM world.fast(person, role_name, persona) f
    FULL JOIN world.slow(person, role_name <> 'csm_portal', persona) s USING (case_id)
    WHERE f.letters IS DISTINCT FROM s.letters
$$;
