-- After loading and indexing: statistics, sequences, the roles and policies
-- that stand for common practice.
\set ON_ERROR_STOP on

SELECT setval(pg_get_serial_sequence('csm.cases', 'id'), (SELECT max(id) FROM csm.cases)),
       setval(pg_get_serial_sequence('csm.case_entries', 'id'), (SELECT max(id) FROM csm.case_entries)),
       setval(pg_get_serial_sequence('csm.contacts', 'id'), (SELECT max(id) FROM csm.contacts)) \g /dev/null
CREATE SEQUENCE IF NOT EXISTS bench.numbers;
CREATE EXTENSION IF NOT EXISTS pg_prewarm;

-- The three forms that applications use: ids from a membership table keyed by
-- a setting.  Own cases stand beside them as further arms; for reach "all" nobody would
-- write such a policy, so that the agent is not measured with them.
DO $$
DECLARE
    form text;
    rule text;
    me CONSTANT text := 'current_setting(''bench.person'')::bigint';
    ids text;
BEGIN
    FOREACH form IN ARRAY '{any,in,exists}'::text[] LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bench_' || form) THEN
            EXECUTE format('DROP OWNED BY bench_%s', form);
        ELSE
            EXECUTE format('CREATE ROLE bench_%s NOLOGIN', form);
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA csm, bench TO bench_%s', form);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON csm.cases, csm.case_entries TO bench_%s', form);
        EXECUTE format('GRANT SELECT ON bench.person_accounts TO bench_%s', form);
        EXECUTE format('GRANT USAGE ON SEQUENCE bench.numbers TO bench_%s', form);
        -- cases has a generated column; the schema itself stays closed
        EXECUTE format('GRANT EXECUTE ON FUNCTION csm_private.party_keys(bigint, bigint, bigint, bigint, bigint, bigint, bigint) TO bench_%s', form);
        ids := format('SELECT m.account_id FROM bench.person_accounts m WHERE m.person = %s', me);
        rule := CASE form
            WHEN 'any' THEN format('account_id = ANY (ARRAY(%s))', ids)
            WHEN 'in' THEN format('account_id IN (%s)', ids)
            ELSE format('EXISTS (%s AND m.account_id = cases.account_id)', ids) END;
        rule := rule || format(' OR requester_id = %1$s OR opened_by = %1$s', me);
        EXECUTE format('CREATE POLICY bench_%1$s ON csm.cases FOR ALL TO bench_%1$s USING (%2$s)', form, rule);
        EXECUTE format('CREATE POLICY bench_%1$s ON csm.case_entries FOR ALL TO bench_%1$s USING '
            '(EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_entries.tenant_id))', form);
    END LOOP;
END $$;
