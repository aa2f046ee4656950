-- Who keeps personal data, and what must not be erased while a legal hold
-- stands.

CREATE TABLE csm.legal_holds (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    user_id bigint,
    account_id bigint,
    case_id bigint,
    reason text NOT NULL,
    placed_by bigint,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_by bigint,
    released_at timestamptz,
    CONSTRAINT legal_holds_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT legal_holds_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT legal_holds_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT legal_holds_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT legal_holds_placed_by_fkey FOREIGN KEY (placed_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT legal_holds_released_by_fkey FOREIGN KEY (released_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT legal_holds_one_target CHECK (num_nonnulls(user_id, account_id, case_id) = 1),
    CONSTRAINT legal_holds_reason_check CHECK (length(reason) BETWEEN 1 AND 4000),
    CONSTRAINT legal_holds_released_check CHECK (released_at >= placed_at AND (released_by IS NULL OR released_at IS NOT NULL))
);
SELECT csm_private.adopt_table('csm.legal_holds');

CREATE POLICY legal_holds_select ON csm.legal_holds FOR SELECT TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'person_manage') OR csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.legal_holds TO csm_agent, csm_admin;
COMMENT ON POLICY legal_holds_select ON csm.legal_holds IS 'Staff with person_manage, and administrators';
COMMENT ON TABLE csm.legal_holds IS 'What must not be erased while it stands: by csm.erase_person(), csm.redact_mention() and csm.run_retention(). Kept by csm.place_hold() and csm.release_hold()';
COMMENT ON COLUMN csm.legal_holds.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.legal_holds.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.legal_holds.user_id IS 'The person held, with all cases that are his; exactly one of user, account and case is set';
COMMENT ON COLUMN csm.legal_holds.account_id IS 'The account whose cases are held';
COMMENT ON COLUMN csm.legal_holds.case_id IS 'The case held';
COMMENT ON COLUMN csm.legal_holds.reason IS 'Why, up to 4,000 characters';
COMMENT ON COLUMN csm.legal_holds.placed_by IS 'Who placed it; NULL for the system';
COMMENT ON COLUMN csm.legal_holds.placed_at IS 'From when on it holds';
COMMENT ON COLUMN csm.legal_holds.released_by IS 'Who released it; NULL for the system and while it holds';
COMMENT ON COLUMN csm.legal_holds.released_at IS 'When it was released; NULL while it holds';

CREATE FUNCTION csm_private.may_keep_privacy(tenant_id bigint) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm_private.acts_as_system()
        OR coalesce(tenant_id = csm.current_tenant_id() AND (csm.all_in(tenant_id, 'internal', 'person_manage')
                                                             OR csm.all_in(tenant_id, 'internal', 'configure')), false)
$$;
COMMENT ON FUNCTION csm_private.may_keep_privacy(bigint) IS
'Whether the caller keeps personal data of the tenant: staff with person_manage, administrators, the system';

-- Unknown, of another tenant, and without the right: the same words (V15).
CREATE FUNCTION csm_private.person_to_keep(user_id bigint) RETURNS csm.users
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    person csm.users;
BEGIN
    SELECT * INTO person FROM csm.users u WHERE u.id = person_to_keep.user_id;
    IF person.id IS NULL OR NOT csm_private.may_keep_privacy(person.tenant_id) THEN
        RAISE EXCEPTION 'permission denied for personal data of user %', coalesce(user_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'Staff with person_manage and administrators keep them, for persons of their tenant.';
    END IF;
    RETURN person;
END $$;
COMMENT ON FUNCTION csm_private.person_to_keep(bigint) IS
'The person; 42501 where the caller does not keep his data, or there is none';

CREATE FUNCTION csm_private.holds_on(c csm.cases) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM csm.legal_holds h
                   WHERE h.tenant_id = c.tenant_id AND h.released_at IS NULL
                     AND (h.case_id = c.id OR h.user_id = c.requester_id OR h.account_id = c.account_id))
$$;
COMMENT ON FUNCTION csm_private.holds_on(csm.cases) IS 'Whether a legal hold stands on the case, its requester or its account';

CREATE FUNCTION csm_private.refuse_held(person csm.users) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM csm.legal_holds h WHERE h.user_id = person.id AND h.released_at IS NULL)
       OR EXISTS (SELECT FROM csm.legal_holds h WHERE h.tenant_id = person.tenant_id AND h.released_at IS NULL)
          AND EXISTS (SELECT FROM csm.cases c WHERE c.requester_id = person.id AND csm_private.holds_on(c)) THEN
        RAISE EXCEPTION 'user % is under a legal hold', person.id USING ERRCODE = '55006',
            DETAIL = 'The person, one of his cases, or the account of one is held.', HINT = 'csm.legal_holds names it.';
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.refuse_held(csm.users) IS
'Error 55006 where a legal hold stands on the person, one of his cases or the account of one';

CREATE FUNCTION csm.place_hold(reason text, user_id bigint DEFAULT NULL, account_id bigint DEFAULT NULL, case_id bigint DEFAULT NULL)
RETURNS csm.legal_holds
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant bigint;
    made csm.legal_holds;
BEGIN
    SELECT x.tenant_id INTO tenant
    FROM (SELECT u.tenant_id FROM csm.users u WHERE u.id = user_id
          UNION ALL SELECT a.tenant_id FROM csm.accounts a WHERE a.id = account_id
          UNION ALL SELECT c.tenant_id FROM csm.cases c WHERE c.id = case_id) x;
    IF tenant IS NULL OR NOT csm_private.may_keep_privacy(tenant) THEN
        RAISE EXCEPTION 'permission denied to place a legal hold' USING ERRCODE = '42501',
            HINT = 'Staff with person_manage and administrators hold a person, an account or a case of their tenant.';
    END IF;
    INSERT INTO csm.legal_holds (tenant_id, user_id, account_id, case_id, reason, placed_by)
    VALUES (tenant, user_id, account_id, case_id, reason, csm.current_user_id()) RETURNING * INTO made;
    PERFORM csm_private.audit('legal_hold_placed', csm.current_user_id(), user_id, account_id, jsonb_build_object('hold', made.id), tenant);
    RETURN made;
END $$;
COMMENT ON FUNCTION csm.place_hold(text, bigint, bigint, bigint) IS
'Places a legal hold on exactly one of a person, an account, a case. Staff with person_manage, administrators. Errors: 42501 (also for what does not exist), 23514 not exactly one, 23502 no reason';

CREATE FUNCTION csm.release_hold(hold_id bigint) RETURNS csm.legal_holds
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hold csm.legal_holds;
BEGIN
    SELECT * INTO hold FROM csm.legal_holds h WHERE h.id = hold_id FOR UPDATE;
    IF hold.id IS NULL OR NOT csm_private.may_keep_privacy(hold.tenant_id) THEN
        RAISE EXCEPTION 'permission denied to release legal hold %', coalesce(hold_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'Staff with person_manage and administrators do.';
    ELSIF hold.released_at IS NULL THEN
        UPDATE csm.legal_holds h SET released_at = clock_timestamp(), released_by = csm.current_user_id()
        WHERE h.id = hold.id AND h.tenant_id = hold.tenant_id RETURNING * INTO hold;
        PERFORM csm_private.audit('legal_hold_released', csm.current_user_id(), hold.user_id, hold.account_id,
                                  jsonb_build_object('hold', hold.id), hold.tenant_id);
    END IF;
    RETURN hold;
END $$;
COMMENT ON FUNCTION csm.release_hold(bigint) IS
'Releases a legal hold; one that is released already stays as it is. Staff with person_manage, administrators. Error 42501 (also for a hold that does not exist)';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.may_keep_privacy(bigint)',
        'csm_private.person_to_keep(bigint)',
        'csm_private.holds_on(csm.cases)',
        'csm_private.refuse_held(csm.users)',
        'csm.place_hold(text, bigint, bigint, bigint)',
        'csm.release_hold(bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.place_hold(text, bigint, bigint, bigint), csm.release_hold(bigint) TO csm_agent, csm_admin;
