-- People who come from a directory: known by external_id.

-- Why a row of an import cannot be taken; NULL: it can.  What the table checks
-- is checked here first, so that one bad row does not undo the good ones.
CREATE FUNCTION csm_private.directory_fault(r jsonb) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    texts CONSTANT text[] := '{external_id,display_name,email,language,time_zone,phone,title,department,location}'::text[];
    fault text;
BEGIN
    IF jsonb_typeof(r) IS DISTINCT FROM 'object' THEN
        RETURN 'not an object';
    END IF;
    SELECT format('unknown key "%s"', left(k, 63)) INTO fault FROM jsonb_object_keys(r) k
    WHERE k <> ALL (texts || '{enabled,employee}'::text[]) ORDER BY k LIMIT 1;
    IF fault IS NULL THEN
        SELECT format('%s is no text', e.key) INTO fault FROM jsonb_each(r) e
        WHERE e.key = ANY (texts) AND jsonb_typeof(e.value) NOT IN ('string', 'null') ORDER BY e.key LIMIT 1;
    END IF;
    IF fault IS NULL THEN
        SELECT format('%s is neither true nor false', e.key) INTO fault FROM jsonb_each(r) e
        WHERE e.key IN ('enabled', 'employee') AND jsonb_typeof(e.value) <> 'boolean' ORDER BY e.key LIMIT 1;
    END IF;
    RETURN CASE
        WHEN fault IS NOT NULL THEN fault
        WHEN coalesce(length(r ->> 'external_id') NOT BETWEEN 1 AND 400, true) THEN 'external_id is missing, or longer than 400 characters'
        WHEN r ? 'display_name' AND coalesce(length(r ->> 'display_name') NOT BETWEEN 1 AND 200, true)
            THEN 'display_name has 1 to 200 characters'
        WHEN length(r ->> 'email') > 320 OR r ->> 'email' !~ '^[^@[:space:]]+@[^@[:space:]]+$' THEN 'email is not an address'
        WHEN r ? 'language' AND coalesce(r ->> 'language' !~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$', true)
            THEN 'language is not a language tag'
        WHEN r ? 'time_zone' AND r ->> 'time_zone' IS NULL THEN 'time_zone is null'
        WHEN length(r ->> 'phone') > 64 THEN 'phone has at most 64 characters'
        WHEN length(r ->> 'location') > 64 OR r ->> 'location' !~ '^[A-Z0-9]+(-[A-Z0-9]+)*$' THEN 'location is no place such as DE or DE-BY'
        WHEN length(r ->> 'title') > 200 THEN 'title has at most 200 characters'
        WHEN r -> 'employee' = 'false' AND r ->> 'department' IS NOT NULL THEN 'department of somebody who is no employee'
    END;
END $$;
ALTER FUNCTION csm_private.directory_fault(jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.directory_fault(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.directory_fault(jsonb) IS
'What is wrong with an element given to csm.upsert_users(), taken by itself; NULL: nothing';

-- One row of the directory, found in order; writes only what differs.
CREATE FUNCTION csm_private.upsert_user(tenant_id bigint, r jsonb, OUT outcome text, OUT user_id bigint, OUT reason text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    u csm.users;
    wanted csm.users;
    is_new boolean;
    changed integer := 0;
    n integer;
BEGIN
    SELECT * INTO u FROM csm.users x
    WHERE x.tenant_id = tenant_id AND x.external_id = r ->> 'external_id' FOR NO KEY UPDATE;
    is_new := NOT FOUND;
    IF is_new AND NOT r ? 'display_name' THEN
        outcome := 'rejected';
        reason := 'display_name of a new person is missing';
        RETURN;
    END IF;
    user_id := u.id;
    IF EXISTS (SELECT FROM csm.users x
               WHERE x.tenant_id = tenant_id AND x.email_key = lower(btrim(r ->> 'email')) AND x.id IS DISTINCT FROM u.id) THEN
        outcome := 'rejected';
        reason := 'email belongs to another person';
        RETURN;
    END IF;

    IF is_new THEN
        INSERT INTO csm.users AS x (tenant_id, external_id, display_name, email, language, time_zone, phone, title, enabled, location)
        VALUES (tenant_id, r ->> 'external_id', r ->> 'display_name', r ->> 'email', coalesce(r ->> 'language', 'en'),
                coalesce(r ->> 'time_zone', 'UTC'), r ->> 'phone', r ->> 'title', coalesce((r ->> 'enabled')::boolean, true),
                r ->> 'location')
        RETURNING x.id INTO user_id;
    ELSE
        wanted := jsonb_populate_record(u, r - '{employee,department,external_id}'::text[]);
        UPDATE csm.users x
        SET display_name = wanted.display_name, email = wanted.email, language = wanted.language, time_zone = wanted.time_zone,
            phone = wanted.phone, title = wanted.title, enabled = wanted.enabled, location = wanted.location
        WHERE x.id = u.id AND x.tenant_id = tenant_id
          AND (x.display_name, x.email, x.language, x.time_zone, x.phone, x.title, x.enabled, x.location) IS DISTINCT FROM
              (wanted.display_name, wanted.email, wanted.language, wanted.time_zone, wanted.phone, wanted.title, wanted.enabled, wanted.location);
        GET DIAGNOSTICS changed = ROW_COUNT;
    END IF;

    IF r -> 'employee' = 'false' THEN
        DELETE FROM csm.employees e WHERE e.user_id = user_id AND e.tenant_id = tenant_id;
        GET DIAGNOSTICS n = ROW_COUNT;
        changed := changed + n;
    ELSIF r -> 'employee' = 'true' OR r ? 'department' THEN
        INSERT INTO csm.employees AS e (user_id, tenant_id, department)
        VALUES (user_id, tenant_id, r ->> 'department')
        ON CONFLICT ON CONSTRAINT employees_pkey DO UPDATE SET department = excluded.department
        WHERE r ? 'department' AND e.department IS DISTINCT FROM excluded.department;
        GET DIAGNOSTICS n = ROW_COUNT;
        changed := changed + n;
    END IF;
    outcome := CASE WHEN is_new THEN 'created' WHEN changed > 0 THEN 'updated' ELSE 'unchanged' END;
END $$;
ALTER FUNCTION csm_private.upsert_user(bigint, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.upsert_user(bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.upsert_user(bigint, jsonb) IS
'One element of csm.upsert_users() in which csm_private.directory_fault() finds nothing: outcome created, updated, unchanged or rejected, the person, and why rejected';

CREATE FUNCTION csm.upsert_users(people jsonb, deactivate_missing boolean DEFAULT false)
RETURNS TABLE (item integer, external_id text, outcome text, user_id bigint, reason text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := csm.current_tenant_id();
    me CONSTANT bigint := csm.current_user_id();
    counts jsonb := '{"created": 0, "updated": 0, "unchanged": 0, "rejected": 0, "deactivated": 0}'::jsonb;
    named text[];
    doubles text[];
    unknown_zones text[];
    waiting integer[] := '{}'::integer[];
    left_over integer[];
    r jsonb;
    i integer;
BEGIN
    IF tenant IS NULL OR NOT csm.all_in(tenant, 'internal', 'configure') OR csm_private.person_id() <> me THEN
        RAISE EXCEPTION 'permission denied to import people' USING ERRCODE = '42501', HINT = 'Administrators import into their own tenant.';
    ELSIF jsonb_typeof(people) IS DISTINCT FROM 'array' OR deactivate_missing IS NULL THEN
        RAISE EXCEPTION 'people is not a JSON array' USING ERRCODE = '22023', HINT = 'Pass an array of objects with external_id.';
    ELSIF deactivate_missing AND jsonb_array_length(people) = 0 THEN
        RAISE EXCEPTION 'an empty directory would deactivate everybody' USING ERRCODE = '22023',
            HINT = 'Look whether the export failed; disable single people in csm.users.';
    END IF;
    -- One import of the tenant after the other; a row, not an advisory lock that anybody could hold.
    PERFORM FROM csm.tenants t WHERE t.id = tenant FOR NO KEY UPDATE;

    SELECT array_agg(x.id), array_agg(x.id) FILTER (WHERE x.many) INTO named, doubles
    FROM (SELECT e ->> 'external_id' AS id, count(*) > 1 AS many FROM jsonb_array_elements(people) e
          WHERE jsonb_typeof(e) = 'object' AND jsonb_typeof(e -> 'external_id') = 'string' GROUP BY 1) x;
    unknown_zones := ARRAY(SELECT z FROM (SELECT DISTINCT e ->> 'time_zone' FROM jsonb_array_elements(people) e
                                          WHERE jsonb_typeof(e) = 'object') AS x(z)
                           WHERE z IS NOT NULL
                             AND NOT EXISTS (SELECT FROM pg_timezone_names t WHERE t.name = z));

    -- "waiting" gets what may find its e-mail freed by a later row.
    FOR i IN 1 .. jsonb_array_length(people) LOOP
        r := people -> (i - 1);
        item := i;
        user_id := NULL;
        reason := csm_private.directory_fault(r);
        external_id := CASE WHEN jsonb_typeof(r) = 'object' AND jsonb_typeof(r -> 'external_id') = 'string' THEN r ->> 'external_id' END;
        IF reason IS NULL AND external_id = ANY (doubles) THEN
            reason := 'external_id stands twice in this import';
        ELSIF reason IS NULL AND r ->> 'time_zone' = ANY (unknown_zones) THEN
            reason := 'time_zone is unknown';
        END IF;
        IF reason IS NULL THEN
            waiting := waiting || i;
        ELSE
            outcome := 'rejected';
            counts := jsonb_set(counts, '{rejected}', to_jsonb((counts ->> 'rejected')::integer + 1));
            RETURN NEXT;
        END IF;
    END LOOP;

    LOOP
        left_over := '{}'::integer[];
        FOREACH i IN ARRAY waiting LOOP
            r := people -> (i - 1);
            SELECT x.outcome, x.user_id, x.reason INTO outcome, user_id, reason FROM csm_private.upsert_user(tenant, r) x;
            IF outcome = 'rejected' THEN
                left_over := left_over || i;
                CONTINUE;
            END IF;
            item := i;
            external_id := r ->> 'external_id';
            counts := jsonb_set(counts, ARRAY[outcome], to_jsonb((counts ->> outcome)::integer + 1));
            RETURN NEXT;
        END LOOP;
        EXIT WHEN left_over = '{}'::integer[] OR cardinality(left_over) = cardinality(waiting);
        waiting := left_over;
    END LOOP;
    FOREACH i IN ARRAY left_over LOOP
        r := people -> (i - 1);
        SELECT x.outcome, x.user_id, x.reason INTO outcome, user_id, reason FROM csm_private.upsert_user(tenant, r) x;
        item := i;
        external_id := r ->> 'external_id';
        counts := jsonb_set(counts, '{rejected}', to_jsonb((counts ->> 'rejected')::integer + 1));
        RETURN NEXT;
    END LOOP;

    IF deactivate_missing THEN
        FOR item, external_id, outcome, user_id, reason IN
            UPDATE csm.users u SET enabled = false
            WHERE u.tenant_id = tenant AND u.enabled AND u.external_id IS NOT NULL AND u.external_id <> ALL (coalesce(named, '{}')) AND u.id <> me
            RETURNING NULL::integer, u.external_id, 'deactivated', u.id, NULL::text
        LOOP
            counts := jsonb_set(counts, '{deactivated}', to_jsonb((counts ->> 'deactivated')::integer + 1));
            RETURN NEXT;
        END LOOP;
    END IF;
    PERFORM csm_private.audit('people_imported', me, NULL, NULL, counts);
END $$;
ALTER FUNCTION csm.upsert_users(jsonb, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.upsert_users(jsonb, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.upsert_users(jsonb, boolean) TO csm_admin;
COMMENT ON FUNCTION csm.upsert_users(jsonb, boolean) IS
'Makes and updates people by external_id: objects with external_id, display_name, email, language, time_zone, phone, title, enabled, location, employee, department; a key left out changes nothing. A row for each with outcome created, updated, unchanged or rejected and the reason; deactivate_missing disables enabled people who have an external_id that is not named (never the caller), outcome deactivated. Administrators. Errors: 42501; 22023 no array, or an empty one with deactivate_missing; 23505 where somebody else takes an e-mail at the same moment: nothing is done then, repeat it';
