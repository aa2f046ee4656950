-- What is given out of a person: to himself, to those who keep his data, and
-- to reports.

CREATE FUNCTION csm.export_person_in_full(user_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    person CONSTANT csm.users := csm_private.person_to_keep(export_person_in_full.user_id);
    r record;
    rows jsonb;
    parts jsonb[] := '{}'::jsonb[];
BEGIN
    FOR r IN SELECT f.table_name, f.column_name,
                    (SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                     WHERE a.attrelid = f.table_name::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                       AND a.atttypid NOT IN ('bytea'::regtype, 'tsvector'::regtype)
                       AND NOT EXISTS (SELECT FROM csm_private.personal_columns() p
                                       WHERE p.table_name = f.table_name AND p.column_name = a.attname AND p.content = 'secret')) AS columns
             FROM csm.person_references() f ORDER BY 1, 2
    LOOP
        EXECUTE format('SELECT jsonb_agg(to_jsonb(x)) FROM (SELECT %s FROM %s t WHERE t.%I = $1 AND t.tenant_id = $2) x',
                       r.columns, r.table_name, r.column_name) INTO rows USING person.id, person.tenant_id;
        IF rows IS NOT NULL THEN
            parts := parts || jsonb_build_object('table', r.table_name, 'through', r.column_name, 'rows', rows);
        END IF;
    END LOOP;
    SELECT jsonb_agg(to_jsonb(e) ORDER BY e.id) INTO rows
    FROM csm.case_entries e JOIN csm.cases c ON c.id = e.case_id AND c.tenant_id = e.tenant_id
    WHERE c.requester_id = person.id AND e.visibility = 'shared' AND e.author_id IS DISTINCT FROM person.id;
    IF rows IS NOT NULL THEN
        parts := parts || jsonb_build_object('table', 'csm.case_entries', 'through', 'csm.cases.requester_id', 'rows', rows);
    END IF;
    RETURN jsonb_build_object('user_id', person.id, 'made_at', clock_timestamp(), 'made_by', csm.current_user_id(), 'parts', to_jsonb(parts));
END $$;
COMMENT ON FUNCTION csm.export_person_in_full(bigint) IS
'csm.export_person() for those who keep personal data: everything but secrets and contents of files, whatever the caller''s own reach. Staff with person_manage, administrators; error 42501';

-- With the rights of its caller: a person reads of himself what he may read
-- elsewhere, no more.
CREATE FUNCTION csm.export_person(user_id bigint DEFAULT csm.current_user_id()) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    r record;
    rows jsonb;
    parts jsonb[] := '{}'::jsonb[];
BEGIN
    IF export_person.user_id IS DISTINCT FROM me OR me IS NULL OR NOT row_security_active('csm.users') THEN
        RETURN csm.export_person_in_full(export_person.user_id);
    END IF;
    FOR r IN SELECT f.table_name, f.column_name,
                    (SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                     WHERE a.attrelid = f.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                       AND a.atttypid NOT IN ('bytea'::regtype, 'tsvector'::regtype)
                       AND has_column_privilege(f.oid, a.attnum, 'SELECT')) AS columns
             FROM (SELECT p.table_name, p.column_name, c.oid
                   FROM csm.person_references() p
                   JOIN pg_class c ON c.relname = split_part(p.table_name, '.', 2)
                   JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = split_part(p.table_name, '.', 1)
                   -- the relation first: elsewhere one of the same name has other columns
                   WHERE CASE WHEN n.nspname = 'csm' THEN has_column_privilege(c.oid, p.column_name, 'SELECT') ELSE false END) f
             ORDER BY 1, 2
    LOOP
        EXECUTE format('SELECT jsonb_agg(to_jsonb(x)) FROM (SELECT %s FROM %s t WHERE t.%I = $1) x',
                       r.columns, r.table_name, r.column_name) INTO rows USING me;
        IF rows IS NOT NULL THEN
            parts := parts || jsonb_build_object('table', r.table_name, 'through', r.column_name, 'rows', rows);
        END IF;
    END LOOP;
    SELECT jsonb_agg(to_jsonb(e) ORDER BY e.id) INTO rows
    FROM csm.case_entries e JOIN csm.cases c ON c.id = e.case_id AND c.tenant_id = e.tenant_id
    WHERE c.requester_id = me AND e.visibility = 'shared' AND e.author_id IS DISTINCT FROM me;
    IF rows IS NOT NULL THEN
        parts := parts || jsonb_build_object('table', 'csm.case_entries', 'through', 'csm.cases.requester_id', 'rows', rows);
    END IF;
    RETURN jsonb_build_object('user_id', me, 'made_at', clock_timestamp(), 'made_by', me, 'parts', to_jsonb(parts));
END $$;
COMMENT ON FUNCTION csm.export_person(bigint) IS
'All that concerns a person as one JSON document: user_id, made_at, made_by, and parts, each with the table, the column through which the rows concern him, and the rows. Without secrets and the contents of files. A person gets of himself what row-level security lets him read; staff with person_manage and administrators get all of anybody of the tenant. Error 42501 for anybody else';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm.export_person_in_full(bigint)',
        'csm.export_person(bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.export_person(bigint), csm.export_person_in_full(bigint) TO csm_portal, csm_agent, csm_admin;

-- ---- reporting ----

CREATE VIEW csm_report.people WITH (security_invoker = true) AS
SELECT u.id,
       'Person ' || u.id AS label,
       u.enabled,
       u.language,
       u.time_zone,
       u.created_at,
       EXISTS (SELECT FROM csm.employees e WHERE e.user_id = u.id AND e.tenant_id = u.tenant_id) AS is_employee,
       EXISTS (SELECT FROM csm.consumers k WHERE k.user_id = u.id AND k.tenant_id = u.tenant_id) AS is_consumer,
       EXISTS (SELECT FROM csm.contacts k WHERE k.user_id = u.id AND k.tenant_id = u.tenant_id) AS is_contact
FROM csm.users u;
ALTER VIEW csm_report.people OWNER TO csm_owner;
REVOKE ALL ON csm_report.people FROM PUBLIC;
GRANT SELECT ON csm_report.people TO csm_agent, csm_reporter, csm_admin;
-- A department names few people, a free text may name any.
REVOKE SELECT ON csm.employees, csm.contract_lines FROM csm_reporter;
GRANT SELECT (user_id, tenant_id, manager_id) ON csm.employees TO csm_reporter;
GRANT SELECT (id, tenant_id, contract_id, product_id, sold_product_id, asset_id, quantity) ON csm.contract_lines TO csm_reporter;
COMMENT ON VIEW csm_report.people IS 'One row for each person whom the reader may see, under a number in place of a name';
COMMENT ON COLUMN csm_report.people.id IS 'Key, csm.users.id';
COMMENT ON COLUMN csm_report.people.label IS 'Stands for the name: Person and the key';
COMMENT ON COLUMN csm_report.people.enabled IS 'False: disabled, or erased';
COMMENT ON COLUMN csm_report.people.language IS 'Language tag';
COMMENT ON COLUMN csm_report.people.time_zone IS 'Time zone name';
COMMENT ON COLUMN csm_report.people.created_at IS 'When the row was made';
COMMENT ON COLUMN csm_report.people.is_employee IS 'Whether the reader sees an employee persona of his';
COMMENT ON COLUMN csm_report.people.is_consumer IS 'Whether the reader sees a consumer persona of his';
COMMENT ON COLUMN csm_report.people.is_contact IS 'Whether the reader sees a contact persona of his';
