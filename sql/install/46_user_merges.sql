-- Persons who turned out to be one.  Rows that refer to a person are re-pointed
-- (93_merge.sql); history and audit log, which are never changed, keep the id
-- that was, and this table says whose it is now.

CREATE TABLE csm.user_merges (
    removed_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    kept_id bigint NOT NULL,
    reason text NOT NULL,
    merged_by bigint,
    merged_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    removed jsonb NOT NULL,
    given_up jsonb NOT NULL DEFAULT '[]',
    CONSTRAINT user_merges_pkey PRIMARY KEY (removed_id, tenant_id),
    CONSTRAINT user_merges_kept_fkey FOREIGN KEY (kept_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT user_merges_merged_by_fkey FOREIGN KEY (merged_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT user_merges_self_check CHECK (removed_id <> kept_id),
    CONSTRAINT user_merges_reason_check CHECK (length(btrim(reason)) BETWEEN 1 AND 1000),
    CONSTRAINT user_merges_removed_check CHECK (jsonb_typeof(removed) = 'object'),
    CONSTRAINT user_merges_given_up_check CHECK (jsonb_typeof(given_up) = 'array')
);
CREATE INDEX user_merges_kept_idx ON csm.user_merges (kept_id);
CREATE INDEX user_merges_merged_by_idx ON csm.user_merges (merged_by);
SELECT csm_private.adopt_table('csm.user_merges');
-- Personal data: no sample in the planner's statistics.
ALTER TABLE csm.user_merges ALTER COLUMN reason SET STATISTICS 0, ALTER COLUMN removed SET STATISTICS 0,
    ALTER COLUMN given_up SET STATISTICS 0;
CREATE POLICY user_merges_select ON csm.user_merges FOR SELECT TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'person_manage') OR csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.user_merges TO csm_agent, csm_admin;

COMMENT ON TABLE csm.user_merges IS 'Which person became which: one row for each that was removed; written by csm.merge_users()';
COMMENT ON COLUMN csm.user_merges.removed_id IS 'csm.users.id that is no more; history and audit log still name it';
COMMENT ON COLUMN csm.user_merges.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_merges.kept_id IS 'Whose it is now; moves on when he is merged himself';
COMMENT ON COLUMN csm.user_merges.reason IS 'Why, in words';
COMMENT ON COLUMN csm.user_merges.merged_by IS 'Who did it; NULL for the system';
COMMENT ON COLUMN csm.user_merges.merged_at IS 'When';
COMMENT ON COLUMN csm.user_merges.removed IS 'The row of csm.users as it was; personal data';
COMMENT ON COLUMN csm.user_merges.given_up IS 'Rows that both persons had, as they stood for the one removed, each {"table": …, "row": …}, without hashes and tokens. Personal data';
COMMENT ON POLICY user_merges_select ON csm.user_merges IS 'Staff with person_manage, administrators';

CREATE FUNCTION csm_private.person_now(user_id bigint, tenant_id bigint) RETURNS bigint
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce((SELECT m.kept_id FROM csm.user_merges m
                     WHERE m.removed_id = person_now.user_id AND m.tenant_id = person_now.tenant_id), person_now.user_id);
END;
COMMENT ON FUNCTION csm_private.person_now(bigint, bigint) IS
'Whose id it is now: of a person who was merged, the one who was kept; else the same';

CREATE FUNCTION csm_private.person_ids(user_id bigint, tenant_id bigint) RETURNS bigint[]
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT person_ids.user_id || ARRAY(SELECT m.removed_id FROM csm.user_merges m
                                       WHERE m.kept_id = person_ids.user_id AND m.tenant_id = person_ids.tenant_id);
END;
COMMENT ON FUNCTION csm_private.person_ids(bigint, bigint) IS
'Every id under which history and audit log may name the person: his own, and those merged into him';

CREATE FUNCTION csm_private.begin_merge(removed bigint, kept bigint) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_merge' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_merge(bigint, bigint) IS
'Announces that rows are re-pointed from the one person to the other: until end_merge() or the end of the transaction triggers step aside as while restoring, but the history of cases goes on, and append-only rows may have the one id replaced by the other';

CREATE FUNCTION csm_private.end_merge() RETURNS void
AS 'MODULE_PATHNAME', 'csm_end_merge' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.end_merge() IS 'Ends what begin_merge() announced';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.person_now(bigint, bigint)',
        'csm_private.person_ids(bigint, bigint)',
        'csm_private.begin_merge(bigint, bigint)',
        'csm_private.end_merge()']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
