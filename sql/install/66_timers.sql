-- Timers: when csm.run_due() (89_run_due.sql) has to look at something again.
--
-- A timer says only when to look. Whether something is to be done then, the
-- handler of its kind decides from the rows as they are at that moment, so a
-- timer that came to nothing does no harm.
--
-- Locks: whoever sets a timer of a case holds the lock of the case. run_due
-- locks the timer first and never waits for the case, so the two orders cannot
-- meet in a deadlock.

CREATE TABLE csm.timers (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    kind text NOT NULL,
    object_id bigint NOT NULL,
    case_id bigint,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    error text,
    CONSTRAINT timers_pkey PRIMARY KEY (kind, object_id, tenant_id),
    CONSTRAINT timers_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT timers_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT timers_kind_check CHECK (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT timers_attempts_check CHECK (attempts >= 0)
);
CREATE INDEX timers_due_idx ON csm.timers (due_at, kind, object_id);
CREATE INDEX timers_case_idx ON csm.timers (case_id) WHERE case_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.timers');

CREATE POLICY timers_select ON csm.timers FOR SELECT TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure')
        OR EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = timers.tenant_id
                   AND csm_private.case_allows(c, 'case_work')));
GRANT SELECT ON csm.timers TO csm_agent, csm_admin;

COMMENT ON TABLE csm.timers IS 'When csm.run_due() looks at something again; at most one timer per kind and object';
COMMENT ON COLUMN csm.timers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.timers.kind IS 'What is due: names the handler';
COMMENT ON COLUMN csm.timers.object_id IS 'The row that it is about: which table, the kind says';
COMMENT ON COLUMN csm.timers.case_id IS 'Case to which the object belongs; NULL where it belongs to none';
COMMENT ON COLUMN csm.timers.due_at IS 'From when on it is looked at; after a failure the next attempt';
COMMENT ON COLUMN csm.timers.attempts IS 'How often the handler failed since the timer was set';
COMMENT ON COLUMN csm.timers.error IS 'SQLSTATE and message of the last failure; NULL when there was none';
COMMENT ON POLICY timers_select ON csm.timers IS 'Administrators all of the tenant; staff those of the cases that they work on';

CREATE FUNCTION csm_private.set_timer(tenant_id bigint, kind text, object_id bigint, case_id bigint, due_at timestamptz)
RETURNS void
AS 'MODULE_PATHNAME', 'csm_set_timer' LANGUAGE c VOLATILE PARALLEL UNSAFE;
ALTER FUNCTION csm_private.set_timer(bigint, text, bigint, bigint, timestamptz) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.set_timer(bigint, text, bigint, bigint, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.set_timer(bigint, text, bigint, bigint, timestamptz) IS
'Sets or moves the timer of a kind and object; due_at NULL clears it, case_id NULL where the object belongs to no case';

CREATE FUNCTION csm_private.set_case_timer(tenant_id bigint, kind text, case_id bigint, due_at timestamptz) RETURNS void
AS 'MODULE_PATHNAME', 'csm_set_case_timer' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
ALTER FUNCTION csm_private.set_case_timer(bigint, text, bigint, timestamptz) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.set_case_timer(bigint, text, bigint, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.set_case_timer(bigint, text, bigint, timestamptz) IS
'csm_private.set_timer() for a timer whose object is a case that the caller has locked; NULL for any argument: nothing is done';
