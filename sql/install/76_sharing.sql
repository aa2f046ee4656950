-- Who else is let in to a case (R B18), and which cases belong together.

CREATE FUNCTION csm_private.case_holds(c csm.cases, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_case_holds' LANGUAGE c STABLE PARALLEL SAFE COST 10;
ALTER FUNCTION csm_private.case_holds(csm.cases, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.case_holds(csm.cases, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.case_holds(csm.cases, text) IS
'Whether the person has the action on the customer''s side of the case by anything but a share; false for nobody and a null row';

-- Whom the caller may let in: as the desk, whom he sees; as the customer, people
-- and accounts of his own accounts and what lies below them.
CREATE FUNCTION csm_private.may_share_with(tenant_id bigint, of_user bigint, of_account bigint, visible boolean, as_desk boolean) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    at_time CONSTANT timestamptz := statement_timestamp();
    persona CONSTANT text := nullif(current_setting('csm.persona', true), '');
BEGIN
    IF as_desk THEN
        RETURN visible;
    END IF;
    RETURN EXISTS (
        SELECT FROM csm.contacts mine
        JOIN csm.accounts a ON a.tenant_id = mine.tenant_id AND a.id IN (SELECT csm_private.subtree(mine.account_id, mine.tenant_id))
        WHERE mine.user_id = me AND mine.tenant_id = tenant_id AND mine.login_enabled
          AND csm_private.is_valid(mine.valid_during, at_time)
          AND (persona IS NULL OR persona = 'contact:' || mine.id)
          AND (a.id = of_account
               OR EXISTS (SELECT FROM csm.contacts k
                          WHERE k.account_id = a.id AND k.tenant_id = a.tenant_id AND k.user_id = of_user AND k.login_enabled
                            AND csm_private.is_valid(k.valid_during, at_time))));
END $$;
ALTER FUNCTION csm_private.may_share_with(bigint, bigint, bigint, boolean, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.may_share_with(bigint, bigint, bigint, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.may_share_with(bigint, bigint, bigint, boolean, boolean) IS
'Whether the signed-in person may let in this person or account. as_desk: whoever is visible to him; else a current contact, or an account, of the subtree of an account in which he is a contact himself. False for hidden and missing alike';

CREATE FUNCTION csm_private.case_to_share(case_id bigint) RETURNS csm.cases
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_to_share.case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND csm_private.acts_as_system()) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT (csm_private.case_allows(c, 'case_work') OR csm_private.case_holds(c, 'case_decide') OR csm_private.acts_as_system()) THEN
        RAISE EXCEPTION 'case % is not yours to share', c.number USING ERRCODE = '42501',
            DETAIL = 'A share gives no right to share.',
            HINT = 'Staff who work on the case share it, and whoever decides for the customer.';
    END IF;
    RETURN c;
END $$;
ALTER FUNCTION csm_private.case_to_share(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.case_to_share(bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.case_to_share(bigint) IS
'The case, where the caller may share it; errors SM001 and 42501 of csm.share_case()';

CREATE FUNCTION csm_private.share_case_row(visible boolean, case_id bigint, user_id bigint, account_id bigint,
    capabilities text[], until timestamptz) RETURNS csm.case_parties
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases := csm_private.case_to_share(case_id);
    is_system CONSTANT boolean := csm_private.acts_as_system();
    as_desk CONSTANT boolean := is_system OR csm_private.case_allows(c, 'case_work');
    known CONSTANT text[] := '{case_read,case_comment,case_decide}'::text[];
    granted text[];
    since timestamptz := statement_timestamp();
    p csm.case_parties;
BEGIN
    IF num_nonnulls(user_id, account_id) <> 1 THEN
        RAISE EXCEPTION 'a case is shared with a person or with an account' USING ERRCODE = '22023',
            HINT = 'Give exactly one of user_id and account_id.';
    ELSIF capabilities IS NULL OR NOT capabilities <@ known OR array_position(capabilities, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'capabilities of a share are among case_read, case_comment and case_decide' USING ERRCODE = '22023',
            DETAIL = format('Given: %s.', coalesce(capabilities::text, 'null')), HINT = 'case_read is always among them.';
    ELSIF until <= since THEN
        RAISE EXCEPTION 'a share must end in the future' USING ERRCODE = '22023',
            DETAIL = format('Given: %s.', until), HINT = 'Leave until out for a share without end; csm.unshare_case() ends one.';
    ELSIF user_id = csm.current_user_id() THEN
        RAISE EXCEPTION 'a case is not shared with oneself' USING ERRCODE = '22023', HINT = 'Name somebody else.';
    ELSIF NOT (is_system OR csm_private.may_share_with(c.tenant_id, user_id, account_id, visible, as_desk)) THEN
        RAISE EXCEPTION 'case % cannot be shared with that person or account', c.number USING ERRCODE = '42501',
            HINT = 'The desk shares with whom it sees, a customer within his own account and those below it.';
    END IF;
    SELECT array_agg(k ORDER BY n) INTO granted
    FROM unnest(known) WITH ORDINALITY u(k, n) WHERE k = 'case_read' OR k = ANY (capabilities);

    PERFORM FROM csm.cases e WHERE e.id = c.id FOR NO KEY UPDATE;
    -- Sharing again replaces what the share allows and until when.
    UPDATE csm.case_parties x
    SET capabilities = granted, valid_during = tstzrange(lower(x.valid_during), until), granted_by = csm.current_user_id()
    WHERE x.case_id = case_id AND x.tenant_id = c.tenant_id
      AND (x.user_id = user_id OR x.account_id = account_id) AND csm_private.is_valid(x.valid_during, since)
    RETURNING * INTO p;
    IF NOT FOUND THEN
        -- Not before an earlier share of the same party has ended.
        SELECT greatest(since, max(upper(x.valid_during))) INTO since
        FROM csm.case_parties x
        WHERE x.case_id = case_id AND x.tenant_id = c.tenant_id AND (x.user_id = user_id OR x.account_id = account_id);
        INSERT INTO csm.case_parties (tenant_id, case_id, user_id, account_id, capabilities, valid_during, granted_by)
        VALUES (c.tenant_id, case_id, user_id, account_id, granted, tstzrange(since, until), csm.current_user_id())
        RETURNING * INTO p;
    END IF;
    PERFORM csm_private.emit(c.tenant_id, c.id, 'shared',
        jsonb_strip_nulls(jsonb_build_object('user_id', user_id, 'account_id', account_id, 'capabilities', granted, 'until', until)),
        'private', 'customer');
    RETURN p;
END $$;
COMMENT ON FUNCTION csm_private.share_case_row(boolean, bigint, bigint, bigint, text[], timestamptz) IS
'Body of csm.share_case(); visible: whether the caller sees the person or account';

-- What the caller sees is asked here, under his own policies; the rest is
-- written as csm_owner.
CREATE FUNCTION csm.share_case(case_id bigint, user_id bigint DEFAULT NULL, account_id bigint DEFAULT NULL,
    capabilities text[] DEFAULT '{case_read}', until timestamptz DEFAULT NULL) RETURNS csm.case_parties
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT csm_private.share_case_row(
        EXISTS (SELECT FROM csm.users u WHERE u.id = user_id) OR EXISTS (SELECT FROM csm.accounts a WHERE a.id = account_id),
        case_id, user_id, account_id, capabilities, until);
END;
COMMENT ON FUNCTION csm.share_case(bigint, bigint, bigint, text[], timestamptz) IS
'Lets a person, or all current contacts of an account, in to a case, until the given time (NULL: without end), and returns the share. capabilities: case_read, and case_comment and case_decide where named. Sharing again replaces both. By staff who work on the case, with whom they see; by whoever has case_decide on the customer''s side other than by a share, with contacts and accounts of his own accounts'' subtrees. Counts from the next statement on. Errors: SM001 no such case, 42501 not his to share, or person or account out of reach (hidden and missing alike), 22023 argument';

CREATE FUNCTION csm.unshare_case(case_id bigint, user_id bigint DEFAULT NULL, account_id bigint DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    at_time CONSTANT timestamptz := clock_timestamp();
    c csm.cases;
    p csm.case_parties;
BEGIN
    IF num_nonnulls(user_id, account_id) <> 1 THEN
        RAISE EXCEPTION 'a case is shared with a person or with an account' USING ERRCODE = '22023',
            HINT = 'Give exactly one of user_id and account_id.';
    END IF;
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_id;
    -- Anybody gives up his own share.
    IF NOT (user_id IS NOT NULL AND user_id = me AND csm_private.case_allows(c, 'case_read')) THEN
        c := csm_private.case_to_share(case_id);
    END IF;
    PERFORM FROM csm.cases e WHERE e.id = c.id FOR NO KEY UPDATE;
    SELECT * INTO p FROM csm.case_parties x
    WHERE x.case_id = case_id AND x.tenant_id = c.tenant_id
      AND (x.user_id = user_id OR x.account_id = account_id) AND csm_private.is_valid(x.valid_during, at_time);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF NOT coalesce(p.user_id = me OR p.granted_by = me OR csm_private.acts_as_system() OR csm_private.case_allows(c, 'case_work')
                    OR csm_private.may_share_with(c.tenant_id, user_id, account_id, false, false), false) THEN
        RAISE EXCEPTION 'that share of case % is not yours to end', c.number USING ERRCODE = '42501',
            HINT = 'Staff who work on the case end it, whoever granted it, and whoever could have granted it.';
    END IF;
    UPDATE csm.case_parties x SET valid_during = tstzrange(lower(x.valid_during), at_time)
    WHERE x.id = p.id AND x.tenant_id = p.tenant_id;
    PERFORM csm_private.emit(c.tenant_id, c.id, 'unshared',
        jsonb_strip_nulls(jsonb_build_object('user_id', user_id, 'account_id', account_id)), 'private', 'customer');
    RETURN true;
END $$;
COMMENT ON FUNCTION csm.unshare_case(bigint, bigint, bigint) IS
'Ends the share of a case with a person or an account, from the next statement on; true where one was ended. By staff who work on the case, whoever granted it or could grant it, and the person himself. The row is kept with its end. Errors: SM001 no such case, 42501 not permitted, 22023 not exactly one of user_id and account_id';

-- Cases that belong together.  A link is seen by whoever sees both cases.
CREATE TABLE csm.case_links (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    from_case_id bigint NOT NULL,
    to_case_id bigint NOT NULL,
    kind text NOT NULL,
    created_by bigint DEFAULT csm.current_user_id(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT case_links_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_links_from_fkey FOREIGN KEY (from_case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_links_to_fkey FOREIGN KEY (to_case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_links_created_by_fkey FOREIGN KEY (created_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_links_kind_check CHECK (kind IN ('follow_up', 'duplicate', 'related')),
    CONSTRAINT case_links_self_check CHECK (from_case_id <> to_case_id),
    CONSTRAINT case_links_once UNIQUE (from_case_id, to_case_id, kind)
);
CREATE INDEX case_links_to_idx ON csm.case_links (to_case_id);
-- Related goes both ways: once is enough.
CREATE UNIQUE INDEX case_links_related_key ON csm.case_links
    (least(from_case_id, to_case_id), greatest(from_case_id, to_case_id)) WHERE kind = 'related';
SELECT csm_private.adopt_table('csm.case_links');

CREATE POLICY case_links_select ON csm.case_links FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = from_case_id AND c.tenant_id = case_links.tenant_id)
       AND EXISTS (SELECT FROM csm.cases c WHERE c.id = to_case_id AND c.tenant_id = case_links.tenant_id));
CREATE POLICY case_links_insert ON csm.case_links FOR INSERT TO csm_agent
    WITH CHECK (created_by = csm.current_user_id()
        AND EXISTS (SELECT FROM csm.cases c WHERE c.id = from_case_id AND c.tenant_id = case_links.tenant_id
                    AND csm_private.case_allows(c, 'case_work'))
        AND EXISTS (SELECT FROM csm.cases c WHERE c.id = to_case_id AND c.tenant_id = case_links.tenant_id));
CREATE POLICY case_links_delete ON csm.case_links FOR DELETE TO csm_agent
    USING (kind <> 'follow_up'
        AND EXISTS (SELECT FROM csm.cases c WHERE c.id = from_case_id AND c.tenant_id = case_links.tenant_id
                    AND csm_private.case_allows(c, 'case_work')));
GRANT SELECT ON csm.case_links TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (from_case_id, to_case_id, kind), DELETE ON csm.case_links TO csm_agent;

COMMENT ON TABLE csm.case_links IS 'Cases that belong together. A link changes no right on either case';
COMMENT ON COLUMN csm.case_links.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_links.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_links.from_case_id IS 'The case that follows up, is the duplicate, or is related';
COMMENT ON COLUMN csm.case_links.to_case_id IS 'The case that it refers to';
COMMENT ON COLUMN csm.case_links.kind IS 'follow_up: opened because the other one is closed (R 2.2); duplicate: the other one is the same matter; related';
COMMENT ON COLUMN csm.case_links.created_by IS 'Who linked them; NULL for the system';
COMMENT ON COLUMN csm.case_links.created_at IS 'When they were linked';
COMMENT ON POLICY case_links_select ON csm.case_links IS 'Whoever sees both cases';
COMMENT ON POLICY case_links_insert ON csm.case_links IS 'Staff who work on the case that refers and see the other';
COMMENT ON POLICY case_links_delete ON csm.case_links IS 'Staff who work on the case that refers; a follow-up stays one';

-- A closed case never changes; what is left to say is a case of its own.  It is
-- opened with the caller's rights, so who may open it is decided where that is
-- always decided.
CREATE FUNCTION csm_private.open_follow_up_row(case_id bigint, subject text, description text, idempotency_key text) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF c.state_class NOT IN ('closed', 'cancelled') THEN
        RAISE EXCEPTION 'case % is not closed', c.number USING ERRCODE = 'SM002',
            DETAIL = format('Its state is "%s".', c.state), HINT = 'Write a comment on it.';
    END IF;
    RETURN csm.open_case(
        subject => coalesce(subject, left('Follow-up: ' || c.subject, 400)),
        description => description,
        case_type => c.case_type,
        account_id => c.account_id,
        requester_id => c.requester_id,
        counterparty_account_id => c.counterparty_account_id,
        product_id => (SELECT p.id FROM csm.products p WHERE p.id = c.product_id AND p.active),
        priority => c.priority,
        idempotency_key => idempotency_key);
END $$;
CREATE FUNCTION csm_private.link_follow_up(c csm.cases, to_case_id bigint) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.case_allows(c, 'case_read') OR csm_private.acts_as_system() THEN
        INSERT INTO csm.case_links (tenant_id, from_case_id, to_case_id, kind)
        VALUES (c.tenant_id, c.id, link_follow_up.to_case_id, 'follow_up')
        ON CONFLICT ON CONSTRAINT case_links_once DO NOTHING;
    END IF;
    RETURN c;
END $$;
COMMENT ON FUNCTION csm_private.open_follow_up_row(bigint, text, text, text) IS
'Body of csm.open_follow_up(): opens the new case with the caller''s rights';
COMMENT ON FUNCTION csm_private.link_follow_up(csm.cases, bigint) IS
'Body of csm.open_follow_up(): links the case that the caller just opened; returns it';

CREATE FUNCTION csm.open_follow_up(case_id bigint, subject text DEFAULT NULL, description text DEFAULT NULL,
    idempotency_key text DEFAULT NULL) RETURNS csm.cases
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT csm_private.link_follow_up(csm_private.open_follow_up_row(case_id, subject, description, idempotency_key), case_id);
END;
COMMENT ON FUNCTION csm.open_follow_up(bigint, text, text, text) IS
'Opens a case that follows up a closed or cancelled one, with its type, requester, account, counterparty, product (where still offered) and priority, links the two and returns the new one. subject: that of the old one by default. The same opener and idempotency_key return the first case. Errors: SM001 no such case, SM002 the case is not closed, and those of csm.open_case()';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.share_case_row(boolean, bigint, bigint, bigint, text[], timestamptz)',
        'csm_private.open_follow_up_row(bigint, text, text, text)',
        'csm_private.link_follow_up(csm.cases, bigint)',
        'csm.share_case(bigint, bigint, bigint, text[], timestamptz)',
        'csm.unshare_case(bigint, bigint, bigint)',
        'csm.open_follow_up(bigint, text, text, text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_portal, csm_agent', f);
    END LOOP;
END $$;
