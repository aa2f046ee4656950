-- Two rows of csm.users that are one human become one.
--
-- What refers to a person is read from the catalogue: every foreign key of csm's
-- own tables to csm.users, so that none can be forgotten.  Where both have a row
-- that can be there only once, the kept person's stands:
--
-- * Rows with a validity: of the other's row what lies outside the kept one's
--   time remains.  csm_private.merge_ranges() lists these tables; a test compares
--   it with the exclusion constraints there are.
-- * Other rows: the other's goes.  csm.user_merges keeps what was given up, but
--   for secrets.
-- * Rights are not lost: of two contacts of the same account the wider role
--   remains, of two shares of a case what either permits. A person who was
--   disabled adds no credentials.

-- The columns by which two rows of a person are the same, beside the person.
CREATE FUNCTION csm_private.merge_ranges()
RETURNS TABLE (tab text, person_column text, key_columns text[])
LANGUAGE sql IMMUTABLE ROWS 10
BEGIN ATOMIC
    VALUES
        ('csm.household_members', 'user_id', '{household_id}'::text[]),
        ('csm.representations', 'representative_id', '{represented_id,household_id}'),
        ('csm.representations', 'represented_id', '{representative_id,household_id}'),
        ('csm.service_organization_members', 'user_id', '{service_organization_id}'),
        ('csm.user_roles', 'user_id', '{role,service_organization_id}'),
        ('csm.account_team', 'member_id', '{account_id,user_id,household_id,responsibility}'),
        ('csm.account_team', 'user_id', '{member_id,responsibility}'),
        ('csm.case_parties', 'user_id', '{case_id}'),
        ('csm.asset_parties', 'user_id', '{asset_id,sold_product_id}'),
        ('csm.contacts', 'user_id', '{account_id}');
END;
COMMENT ON FUNCTION csm_private.merge_ranges() IS
'Tables in which a person has one row at a time, and what else the rows are told apart by';

CREATE FUNCTION csm_private.given_up(tab text, old jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('table', tab, 'row', old - ARRAY(
        SELECT k FROM jsonb_object_keys(old) k WHERE k ~ '(hash|token|secret|password)'))
$$;
COMMENT ON FUNCTION csm_private.given_up(text, jsonb) IS 'A row as csm.user_merges keeps it: without what is secret';

-- Rows of "gone" that cannot stand beside rows of "kept".
CREATE FUNCTION csm_private.give_up_duplicates(tab regclass, col text, gone bigint, kept bigint) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    i record;
    found jsonb;
    lost jsonb := jsonb '[]';
BEGIN
    FOR i IN
        SELECT x.indexrelid,
               coalesce((SELECT string_agg(format(CASE WHEN x.indnullsnotdistinct THEN 'k.%1$I IS NOT DISTINCT FROM g.%1$I'
                                                       ELSE 'k.%1$I = g.%1$I' END, a.attname), ' AND ')
                         FROM pg_attribute a
                         WHERE a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey) AND a.attname <> col), 'true') AS same,
               format('SELECT * FROM %s WHERE %s', tab, coalesce(pg_get_expr(x.indpred, x.indrelid), 'true')) AS counted,
               format('SELECT c.ctid FROM %s c WHERE %s', tab, coalesce(pg_get_expr(x.indpred, x.indrelid), 'true')) AS places,
               EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey)
                                                    AND a.attname = 'idempotency_key') AS by_key
        FROM pg_index x JOIN pg_attribute p ON p.attrelid = x.indrelid AND p.attname = col
        WHERE x.indrelid = tab AND x.indisunique AND p.attnum = ANY (x.indkey) AND NOT 0 = ANY (x.indkey)
    LOOP
        IF i.by_key THEN
            -- A key tells a repeated request from a new one; both rows stay.
            EXECUTE format('UPDATE %1$s g SET idempotency_key = NULL '
                           'WHERE g.%2$I = $1 AND EXISTS (SELECT FROM (%4$s) k WHERE k.%2$I = $2 AND %3$s)', tab, col, i.same, i.counted)
            USING gone, kept;
        ELSE
            EXECUTE format('WITH d AS (DELETE FROM %1$s g WHERE g.%2$I = $1 AND g.ctid IN (%5$s) '
                           'AND EXISTS (SELECT FROM (%4$s) k WHERE k.%2$I = $2 AND %3$s) RETURNING g) '
                           'SELECT jsonb_agg(to_jsonb(d.g)) FROM d', tab, col, i.same, i.counted, i.places)
            INTO found USING gone, kept;
            SELECT lost || coalesce(jsonb_agg(csm_private.given_up(tab::text, f.r)), '[]') INTO lost
            FROM jsonb_array_elements(found) f(r);
        END IF;
    END LOOP;
    RETURN lost;
END $$;
COMMENT ON FUNCTION csm_private.give_up_duplicates(regclass, text, bigint, bigint) IS
'Deletes rows that refer to the one where a unique index allows no second beside that of the other, and returns them; of rows that differ by idempotency_key only the key is taken';

-- Every reference of csm's own tables, but for those that are listed.
CREATE FUNCTION csm_private.repoint(target regclass, gone bigint, kept bigint) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r record;
    col text;
    lost jsonb := jsonb '[]';
BEGIN
    FOR r IN
        SELECT f.tab, array_agg(f.col ORDER BY f.col) AS cols,
               string_agg(format('%1$I = CASE x.%1$I WHEN $2 THEN $1 ELSE x.%1$I END', f.col), ', ') AS changes,
               string_agg(format('x.%I = $2', f.col), ' OR ') AS named
        FROM (SELECT DISTINCT c.conrelid::regclass AS tab, a.attname::text AS col
              FROM pg_constraint c
              JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.conrelid AND d.deptype = 'e'
              JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'csm'
              JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) AND a.attname <> 'tenant_id'
              WHERE c.contype = 'f' AND c.confrelid = target AND c.conparentid = 0) f
        GROUP BY f.tab ORDER BY f.tab
    LOOP
        FOREACH col IN ARRAY r.cols LOOP
            lost := lost || csm_private.give_up_duplicates(r.tab, col, gone, kept);
        END LOOP;
        -- a row at once: a case gets one link
        EXECUTE format('UPDATE %s x SET %s WHERE %s', r.tab, r.changes, r.named) USING kept, gone;
    END LOOP;
    RETURN lost;
END $$;
COMMENT ON FUNCTION csm_private.repoint(regclass, bigint, bigint) IS
'Makes every row of csm''s own tables that refers to the one row of the target refer to the other; returns what was given up';

-- Of rows with a validity, what lies outside the kept person's.
CREATE FUNCTION csm_private.trim_ranges(gone bigint, kept bigint) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m record;
    columns text;
    row_id bigint;
    old jsonb;
    twins bigint[];
    rest tstzmultirange;
    first tstzrange;
    lost jsonb := jsonb '[]';
BEGIN
    FOR m IN SELECT * FROM csm_private.merge_ranges() LOOP
        SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO columns
        FROM pg_attribute a
        WHERE a.attrelid = m.tab::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = '' AND a.attgenerated = '';
        FOR row_id, old, twins, rest IN EXECUTE format(
            'SELECT g.id, to_jsonb(g), o.ids, tstzmultirange(coalesce(g.valid_during, tstzrange(NULL, NULL))) - o.during '
            'FROM %1$s g CROSS JOIN LATERAL ('
            '    SELECT range_agg(coalesce(k.valid_during, tstzrange(NULL, NULL))) AS during, array_agg(k.id ORDER BY k.id) AS ids '
            '    FROM %1$s k WHERE k.%2$I = $2 AND (%3$s) '
            '      AND coalesce(k.valid_during, tstzrange(NULL, NULL)) && coalesce(g.valid_during, tstzrange(NULL, NULL))) o '
            'WHERE g.%2$I = $1 AND o.ids IS NOT NULL',
            m.tab, m.person_column,
            (SELECT string_agg(format('k.%1$I IS NOT DISTINCT FROM g.%1$I', c), ' AND ') FROM unnest(m.key_columns) c)) USING gone, kept
        LOOP
            lost := lost || csm_private.given_up(m.tab, old);
            IF isempty(rest) THEN
                IF m.tab = 'csm.contacts' THEN
                    lost := lost || csm_private.repoint('csm.contacts', row_id, twins[1]);
                END IF;
                EXECUTE format('DELETE FROM %s g WHERE g.id = $1', m.tab) USING row_id;
            ELSE
                first := (SELECT u FROM unnest(rest) u ORDER BY u LIMIT 1);
                EXECUTE format('UPDATE %s g SET valid_during = $2 WHERE g.id = $1', m.tab) USING row_id, first;
                EXECUTE format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM ('
                               'SELECT (jsonb_populate_record(NULL::%1$s, $1 || jsonb_build_object(''valid_during'', u))).* '
                               'FROM unnest($2) u WHERE u <> $3) n', m.tab, columns)
                USING old, rest, first;
            END IF;
        END LOOP;
    END LOOP;
    RETURN lost;
END $$;
COMMENT ON FUNCTION csm_private.trim_ranges(bigint, bigint) IS
'Where both persons have a row at a time at which one can be, leaves of the one''s what lies outside the other''s; returns the rows as they were';

-- Rights that the kept person's row would not have by itself.  Only for all of
-- its time, and only from a contact whose login is not disabled.
CREATE FUNCTION csm_private.widen_rights(gone bigint, kept bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE csm.contacts k SET role = g.role
    FROM csm.contacts g
    WHERE k.user_id = kept AND g.user_id = gone AND g.account_id = k.account_id AND g.tenant_id = k.tenant_id
      AND g.role <> k.role AND g.login_enabled AND k.login_enabled
      AND coalesce(g.valid_during, tstzrange(NULL, NULL)) @> coalesce(k.valid_during, tstzrange(NULL, NULL))
      AND NOT EXISTS (
          SELECT FROM csm.role_permissions p
          WHERE p.role = k.role AND p.tenant_id = k.tenant_id
            AND NOT EXISTS (SELECT FROM csm.role_permissions w
                            WHERE w.role = g.role AND w.tenant_id = g.tenant_id AND w.action = p.action
                              AND (w.reach = p.reach OR w.reach = 'subtree' AND p.reach = 'account')));
    UPDATE csm.case_parties k SET capabilities = ARRAY(SELECT DISTINCT c FROM unnest(k.capabilities || g.capabilities) c ORDER BY 1)
    FROM csm.case_parties g
    WHERE k.user_id = kept AND g.user_id = gone AND g.case_id = k.case_id AND NOT k.capabilities @> g.capabilities
      AND coalesce(g.valid_during, tstzrange(NULL, NULL)) @> coalesce(k.valid_during, tstzrange(NULL, NULL));
    UPDATE csm.asset_parties k SET authorized = true
    FROM csm.asset_parties g
    WHERE k.user_id = kept AND g.user_id = gone AND g.authorized AND NOT k.authorized
      AND (g.asset_id, g.sold_product_id) IS NOT DISTINCT FROM (k.asset_id, k.sold_product_id)
      AND coalesce(g.valid_during, tstzrange(NULL, NULL)) @> coalesce(k.valid_during, tstzrange(NULL, NULL));
END $$;
COMMENT ON FUNCTION csm_private.widen_rights(bigint, bigint) IS
'Gives rows of the kept person what the other''s rows for the same account, case or item permit beyond them, where those count for all of the time';

CREATE FUNCTION csm_private.merge_users(keep bigint, remove bigint, reason text, merged_by bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    k csm.users;
    g csm.users;
    lost jsonb := jsonb '[]';
BEGIN
    PERFORM FROM csm.users u WHERE u.id IN (keep, remove) ORDER BY u.id FOR UPDATE;
    SELECT * INTO k FROM csm.users u WHERE u.id = keep;
    SELECT * INTO g FROM csm.users u WHERE u.id = remove;
    lost := lost || csm_private.merge_votes(remove, keep);
    PERFORM csm_private.begin_merge(remove, keep);

    -- One does not speak for oneself, nor stand above oneself.
    WITH d AS (
        DELETE FROM csm.representations r
        WHERE r.representative_id IN (keep, remove) AND r.represented_id IN (keep, remove) RETURNING r
    )
    SELECT lost || coalesce(jsonb_agg(csm_private.given_up('csm.representations', to_jsonb(d.r))), '[]') INTO lost FROM d;
    UPDATE csm.employees e SET manager_id = NULL
    WHERE e.user_id IN (keep, remove) AND e.manager_id IN (keep, remove);
    -- What the one left open, the other fills.
    UPDATE csm.employees e SET department = coalesce(e.department, o.department), manager_id = coalesce(e.manager_id, o.manager_id)
    FROM csm.employees o WHERE e.user_id = keep AND o.user_id = remove;
    UPDATE csm.consumers c SET registered_at = least(c.registered_at, o.registered_at)
    FROM csm.consumers o WHERE c.user_id = keep AND o.user_id = remove;

    -- What is on its way to one of them is void, the other's sessions and keys end; a login that was disabled opens nothing anew.
    DELETE FROM csm.password_resets r WHERE r.user_id IN (keep, remove);
    DELETE FROM csm_private.email_changes c WHERE c.user_id IN (keep, remove);
    DELETE FROM csm.sessions s WHERE s.user_id = remove;
    IF NOT g.enabled THEN
        DELETE FROM csm.passwords p WHERE p.user_id = remove;
        DELETE FROM csm.external_identities x WHERE x.user_id = remove;
    END IF;

    PERFORM csm_private.widen_rights(remove, keep);
    lost := lost || csm_private.trim_ranges(remove, keep);
    UPDATE csm.contacts c SET is_home = false
    WHERE c.user_id = remove AND c.is_home
      AND EXISTS (SELECT FROM csm.contacts h
                  WHERE h.user_id = keep AND h.is_home
                    AND coalesce(h.valid_during, tstzrange(NULL, NULL)) && coalesce(c.valid_during, tstzrange(NULL, NULL)));
    lost := lost || csm_private.repoint('csm.users', remove, keep);

    DELETE FROM csm.users u WHERE u.id = remove;
    UPDATE csm.users u SET email = coalesce(u.email, g.email), phone = coalesce(u.phone, g.phone), title = coalesce(u.title, g.title),
        external_id = coalesce(u.external_id, g.external_id)
    WHERE u.id = keep;
    INSERT INTO csm.user_merges (removed_id, tenant_id, kept_id, reason, merged_by, removed, given_up)
    VALUES (remove, g.tenant_id, keep, btrim(merge_users.reason), nullif(merge_users.merged_by, remove), to_jsonb(g), lost);
    PERFORM csm_private.end_merge();
    PERFORM csm_private.audit('users_merged', merge_users.merged_by, keep, NULL,
        jsonb_build_object('removed_id', remove, 'given_up', jsonb_array_length(lost)), k.tenant_id);
END $$;
COMMENT ON FUNCTION csm_private.merge_users(bigint, bigint, text, bigint) IS
'Makes the two one; asks nothing. Both are of one tenant';

CREATE FUNCTION csm.merge_users(keep bigint, remove bigint, reason text) RETURNS csm.user_merges
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    is_system CONSTANT boolean := csm_private.acts_as_system();
    is_admin boolean := is_system;
    k csm.users;
    g csm.users;
    made csm.user_merges;
BEGIN
    IF NOT is_system AND csm.all_in(csm.current_tenant_id(), 'internal', 'person_manage') IS NOT TRUE THEN
        RAISE EXCEPTION 'persons are merged by staff with person_manage' USING ERRCODE = '42501',
            HINT = 'Ask a service manager.';
    END IF;
    is_admin := is_system OR csm.all_in(csm.current_tenant_id(), 'internal', 'configure');
    SELECT * INTO k FROM csm.users u WHERE u.id = keep AND (is_system OR u.tenant_id = csm.current_tenant_id());
    SELECT * INTO g FROM csm.users u WHERE u.id = remove AND (is_system OR u.tenant_id = csm.current_tenant_id());
    IF k.id IS NULL OR g.id IS NULL OR k.tenant_id <> g.tenant_id THEN
        RAISE EXCEPTION 'there are no users % and % of one tenant', coalesce(keep::text, 'NULL'), coalesce(remove::text, 'NULL')
            USING ERRCODE = '42501', HINT = 'Name two rows of csm.users that you see.';
    ELSIF k.id = g.id THEN
        RAISE EXCEPTION 'user % cannot be merged with himself', keep USING ERRCODE = '22023', HINT = 'Name two different users.';
    ELSIF length(btrim(reason)) BETWEEN 1 AND 1000 IS NOT TRUE THEN
        RAISE EXCEPTION 'a merge needs a reason of 1 to 1000 characters' USING ERRCODE = '22023',
            HINT = 'It stands in csm.user_merges.';
    ELSIF me IN (k.id, g.id) THEN
        RAISE EXCEPTION 'nobody merges himself with another' USING ERRCODE = '42501',
            DETAIL = 'It would give him the other''s rights.', HINT = 'Ask a colleague.';
    ELSIF NOT is_admin AND EXISTS (SELECT FROM csm.user_roles r WHERE r.user_id IN (k.id, g.id)) THEN
        RAISE EXCEPTION 'persons with staff roles are merged by an administrator' USING ERRCODE = '42501',
            DETAIL = 'The merged person has the roles of both.',
            HINT = 'It takes person_manage and configure.';
    ELSIF NOT is_system AND EXISTS (SELECT FROM csm.mail_senders m WHERE m.user_id IN (k.id, g.id)) THEN
        RAISE EXCEPTION 'who sends mail is not merged' USING ERRCODE = '42501',
            DETAIL = 'The merged person could read every token that is mailed.',
            HINT = 'The DBA takes it back first: csm.allow_mail_sender(id, false).';
    ELSIF g.login_role IS NOT NULL AND NOT is_system THEN
        RAISE EXCEPTION 'user % has a login role', g.id USING ERRCODE = '55000',
            HINT = 'The DBA takes it back first: csm.map_login(id, NULL).';
    END IF;
    PERFORM csm_private.merge_users(k.id, g.id, reason, me);
    SELECT * INTO made FROM csm.user_merges m WHERE m.removed_id = g.id AND m.tenant_id = g.tenant_id;
    RETURN made;
END $$;
COMMENT ON FUNCTION csm.merge_users(bigint, bigint, text) IS
'Makes two persons one: everything that refers to the one refers to the other from then on, what is missing of the kept person''s row is filled in, sessions and API keys of the other end, and the other row is gone. Recorded in csm.user_merges, csm.audit_log and the history of each case (action merge). For staff with person_manage; with configure too where either has a staff role. Errors: 42501, 22023 the same person or no reason, 55000 the one to remove has a login role';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.merge_ranges()',
        'csm_private.given_up(text, jsonb)',
        'csm_private.give_up_duplicates(regclass, text, bigint, bigint)',
        'csm_private.repoint(regclass, bigint, bigint)',
        'csm_private.trim_ranges(bigint, bigint)',
        'csm_private.widen_rights(bigint, bigint)',
        'csm_private.merge_users(bigint, bigint, text, bigint)',
        'csm.merge_users(bigint, bigint, text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.merge_users(bigint, bigint, text) TO csm_agent, csm_admin;
