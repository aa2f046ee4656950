-- Recipient lists: whom a major case (83_major_cases.sql) or a publication
-- (88_publications.sql) concerns. Managers keep them.

CREATE TABLE csm.recipient_lists (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text,
    CONSTRAINT recipient_lists_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT recipient_lists_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT recipient_lists_name_key UNIQUE (tenant_id, name),
    CONSTRAINT recipient_lists_name_check CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT recipient_lists_kind_check CHECK (kind IN ('users', 'accounts', 'contacts', 'consumers'))
);
SELECT csm_private.adopt_table('csm.recipient_lists');
-- Criteria can ask who is on a list (86_criteria.sql).
SELECT csm_private.signal_on('csm.recipient_lists', '{id,tenant_id,kind}', 'audience', 'tenant_id');

CREATE TABLE csm.recipients (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    list_id bigint NOT NULL,
    account_id bigint,
    user_id bigint,
    CONSTRAINT recipients_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT recipients_list_fkey FOREIGN KEY (list_id, tenant_id) REFERENCES csm.recipient_lists (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT recipients_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT recipients_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT recipients_some_check CHECK (num_nonnulls(account_id, user_id) >= 1),
    CONSTRAINT recipients_once UNIQUE NULLS NOT DISTINCT (list_id, account_id, user_id)
);
CREATE INDEX recipients_by_account_idx ON csm.recipients (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX recipients_by_user_idx ON csm.recipients (user_id) WHERE user_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.recipients');
SELECT csm_private.signal_on('csm.recipients', '{tenant_id,list_id,account_id,user_id}', 'owned', 'account_id', 'owned', 'user_id');

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{recipient_lists,recipients}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_all ON csm.%1$s FOR ALL TO csm_agent '
                       'USING (csm.all_in(tenant_id, ''internal'', ''account_manage''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_all ON csm.%1$s IS ''Managers keep them: whom a major case or a publication concerns''', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON csm.%1$s TO csm_agent', t);
    END LOOP;
END $$;

COMMENT ON TABLE csm.recipient_lists IS 'Whom a major case or a publication concerns';
COMMENT ON COLUMN csm.recipient_lists.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.recipient_lists.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.recipient_lists.name IS 'Name that people read, unique in the tenant';
COMMENT ON COLUMN csm.recipient_lists.created_at IS 'When it was made';
COMMENT ON COLUMN csm.recipient_lists.kind IS 'What its rows name: users, accounts, contacts (person and account) or consumers; NULL: accounts and persons as they come. It does not change while there are rows';
COMMENT ON TABLE csm.recipients IS 'Accounts, persons or contacts of a list';
COMMENT ON COLUMN csm.recipients.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.recipients.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.recipients.list_id IS 'The list';
COMMENT ON COLUMN csm.recipients.account_id IS 'Account: those who are its contacts; with a person: he, as its contact';
COMMENT ON COLUMN csm.recipients.user_id IS 'Person; alone, or with the account whose contact is meant';

-- A row of a list without a kind names an account or a person.
CREATE FUNCTION csm_private.recipient_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong record;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    SELECT l.id, l.kind INTO wrong
    FROM written w JOIN csm.recipient_lists l ON l.id = w.list_id AND l.tenant_id = w.tenant_id
    WHERE CASE l.kind
              WHEN 'accounts' THEN w.user_id IS NOT NULL
              WHEN 'users' THEN w.account_id IS NOT NULL
              WHEN 'consumers' THEN w.account_id IS NOT NULL
                   OR NOT EXISTS (SELECT FROM csm.consumers c WHERE c.user_id = w.user_id AND c.tenant_id = w.tenant_id)
              WHEN 'contacts' THEN
                   NOT EXISTS (SELECT FROM csm.contacts k
                               WHERE k.user_id = w.user_id AND k.account_id = w.account_id AND k.tenant_id = w.tenant_id)
              ELSE num_nonnulls(w.account_id, w.user_id) <> 1 END
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a recipient is not of the kind of list %', wrong.id USING ERRCODE = '23514',
            DETAIL = format('The list holds %s.', coalesce(wrong.kind, 'accounts or persons')),
            HINT = 'A contact is named by person and account, everything else by one of the two.';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER recipients_10_kind AFTER INSERT ON csm.recipients
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION csm_private.recipient_guard();
CREATE TRIGGER recipients_10_kind_update AFTER UPDATE ON csm.recipients
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION csm_private.recipient_guard();

CREATE FUNCTION csm_private.recipient_list_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() AND EXISTS (SELECT FROM csm.recipients r WHERE r.list_id = OLD.id AND r.tenant_id = OLD.tenant_id) THEN
        RAISE EXCEPTION 'the kind of list % cannot change', OLD.id USING ERRCODE = '23514',
            DETAIL = 'It has recipients.', HINT = 'Make another list.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER recipient_lists_10_kind BEFORE UPDATE OF kind ON csm.recipient_lists
    FOR EACH ROW WHEN (NEW.kind IS DISTINCT FROM OLD.kind) EXECUTE FUNCTION csm_private.recipient_list_guard();

ALTER FUNCTION csm_private.recipient_guard() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.recipient_guard() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.recipient_guard() IS 'Trigger of csm.recipients: error 23514 for a row that is not of the kind of its list';
ALTER FUNCTION csm_private.recipient_list_guard() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.recipient_list_guard() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.recipient_list_guard() IS 'Trigger of csm.recipient_lists: error 23514 for another kind while there are recipients';
