-- Accounts in a tree, their contacts, and the relationships between accounts.

CREATE TABLE csm.accounts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    number text NOT NULL,
    name text NOT NULL,
    parent_id bigint,
    root_id bigint,
    is_customer boolean NOT NULL DEFAULT true,
    is_partner boolean NOT NULL DEFAULT false,
    active boolean NOT NULL DEFAULT true,
    directory_visible boolean NOT NULL DEFAULT false,
    restrict_contact_access boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT accounts_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT accounts_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT accounts_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT accounts_number_key UNIQUE (tenant_id, number),
    CONSTRAINT accounts_name_check CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT accounts_number_check CHECK (length(number) BETWEEN 1 AND 40)
);
-- The type and the operators of ltree are bound here, once, to the schema in
-- which the DBA keeps it; function bodies bind when they are created.
DO $$
DECLARE
    l text := csm_private.schema_of('ltree');
BEGIN
    EXECUTE format('ALTER TABLE csm.accounts ADD COLUMN path %s.ltree', l);

    EXECUTE format($f$
        CREATE FUNCTION csm_private.child_path(parent %1$s.ltree, id bigint) RETURNS %1$s.ltree
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        BEGIN ATOMIC
            SELECT CASE WHEN parent IS NULL THEN %1$s.text2ltree(id::text)
                        ELSE parent OPERATOR(%1$s.||) id::text END;
        END $f$, l);
    EXECUTE format($f$
        CREATE FUNCTION csm_private.path_depth(path %1$s.ltree) RETURNS integer
        LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
        BEGIN ATOMIC
            SELECT %1$s.nlevel(path);
        END $f$, l);
    -- No label sorts between "7" and "70" and nothing below a.7 sorts after
    -- either, so a subtree is the half-open range [path, path || '0').
    EXECUTE format($f$
        CREATE FUNCTION csm_private.subtree(account bigint, tenant bigint) RETURNS SETOF bigint
        LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
        BEGIN ATOMIC
            SELECT d.id
            FROM csm.accounts a
            JOIN csm.accounts d ON d.tenant_id = a.tenant_id
                               AND d.path OPERATOR(%1$s.>=) a.path
                               AND d.path OPERATOR(%1$s.<) %1$s.text2ltree(%1$s.ltree2text(a.path) || '0')
            WHERE a.id = account AND a.tenant_id = tenant;
        END $f$, l);
    EXECUTE format($f$
        CREATE FUNCTION csm_private.repath(account bigint, tenant bigint, parent %1$s.ltree) RETURNS bigint
        LANGUAGE sql VOLATILE
        BEGIN ATOMIC
            WITH RECURSIVE t(id, path, root_id, depth) AS (
                SELECT account, csm_private.child_path(parent, account),
                       split_part(%1$s.ltree2text(csm_private.child_path(parent, account)), '.', 1)::bigint,
                       csm_private.path_depth(csm_private.child_path(parent, account))
              UNION ALL
                SELECT c.id, t.path OPERATOR(%1$s.||) c.id::text, t.root_id, t.depth + 1
                FROM t JOIN csm.accounts c ON c.parent_id = t.id AND c.tenant_id = tenant
                WHERE t.depth <= 100
            ), u AS (
                UPDATE csm.accounts a SET path = t.path, root_id = t.root_id
                FROM t WHERE a.id = t.id AND a.tenant_id = tenant AND t.depth <= 100
                RETURNING 1
            )
            SELECT max(depth)::bigint FROM t;
        END $f$, l);
END $$;
CREATE INDEX accounts_path_idx ON csm.accounts (tenant_id, path) INCLUDE (id);
CREATE INDEX accounts_parent_idx ON csm.accounts (parent_id);
ALTER FUNCTION csm_private.subtree(bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.subtree(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.subtree(bigint, bigint) IS
'Ids of an account and all its descendants; no row for an unknown account';
DO $$
DECLARE
    l text := csm_private.schema_of('ltree');
    f text;
BEGIN
    FOREACH f IN ARRAY ARRAY[format('csm_private.child_path(%s.ltree, bigint)', l),
                             format('csm_private.path_depth(%s.ltree)', l),
                             format('csm_private.repath(bigint, bigint, %s.ltree)', l)]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f, 'Account tree: path arithmetic, bound to the schema of ltree');
    END LOOP;
END $$;

SELECT csm_private.adopt_table('csm.accounts');
SELECT csm_private.signal_on('csm.accounts', '{id,tenant_id,parent_id,root_id,restrict_contact_access}', 'tree', 'root_id', 'account', 'id');

COMMENT ON TABLE csm.accounts IS 'Companies: customers, partners, or both, in a tree of up to 100 levels';
COMMENT ON COLUMN csm.accounts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.accounts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.accounts.number IS 'Human-facing number, unique in the tenant; made from the id when not given';
COMMENT ON COLUMN csm.accounts.name IS 'Name of the company';
COMMENT ON COLUMN csm.accounts.parent_id IS 'Parent account; NULL at the top. A cycle is refused with SM005';
COMMENT ON COLUMN csm.accounts.root_id IS 'Top of the tree, kept by trigger from path';
COMMENT ON COLUMN csm.accounts.path IS 'Ids from the top down to this account, kept by trigger; never written by a client';
COMMENT ON COLUMN csm.accounts.is_customer IS 'The company buys';
COMMENT ON COLUMN csm.accounts.is_partner IS 'The company looks after other accounts';
COMMENT ON COLUMN csm.accounts.active IS 'False: no business any more; gives or takes no access by itself';
COMMENT ON COLUMN csm.accounts.directory_visible IS 'True: contacts may list their colleagues';
COMMENT ON COLUMN csm.accounts.restrict_contact_access IS 'True: plain contacts (roles of reach account) lose the account-wide reading of sold products and install-base items; those linked or authorised keep it';
COMMENT ON COLUMN csm.accounts.created_at IS 'When the row was made';

-- The tree.  A move takes the tenant's advisory lock alone, an insertion below
-- a parent shares it, both before the statement that reads paths takes its
-- snapshot: two moves cannot close a circle unseen, and no child is born with a
-- path that a move is about to change.  Under REPEATABLE READ the snapshot is
-- older than the lock; there the row in tree_moves, written by every move,
-- makes the server raise 40001.
CREATE TABLE csm_private.tree_moves (
    tenant_id bigint NOT NULL,
    moves bigint NOT NULL DEFAULT 0,
    CONSTRAINT tree_moves_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT tree_moves_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id) ON DELETE CASCADE
);
ALTER TABLE csm_private.tree_moves OWNER TO csm_owner;
REVOKE ALL ON csm_private.tree_moves FROM PUBLIC;
ALTER TABLE csm_private.tree_moves ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.tree_moves', '');
COMMENT ON TABLE csm_private.tree_moves IS 'One row a tenant, written by every move in its account tree: serialises moves under REPEATABLE READ';
COMMENT ON COLUMN csm_private.tree_moves.tenant_id IS 'The tenant';
COMMENT ON COLUMN csm_private.tree_moves.moves IS 'How many times accounts were moved';

CREATE FUNCTION csm_private.tree_is_current(tenant bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_tree_is_current' LANGUAGE c VOLATILE STRICT;
ALTER FUNCTION csm_private.tree_is_current(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.tree_is_current(bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.tree_is_current(bigint) IS
'Whether the transaction sees the tenant''s account tree as it is now; always true under READ COMMITTED';

CREATE FUNCTION csm_private.accounts_before() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- 0x63736D is "csm": keeps these locks apart from an application's own.
    lock_class CONSTANT integer := 6517613;
    stale boolean := false;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    IF NEW.parent_id = NEW.id THEN
        RAISE EXCEPTION 'account % cannot be its own parent', NEW.id
            USING ERRCODE = 'SM005', HINT = 'Set parent_id to another account, or to NULL for a top account.';
    END IF;
    IF TG_OP = 'INSERT' THEN
        NEW.number := coalesce(NEW.number, 'ACC' || lpad(NEW.id::text, greatest(7, length(NEW.id::text)), '0'));
        NEW.path := NULL;
        NEW.root_id := NULL;
        IF NEW.parent_id IS NULL THEN
            NEW.path := csm_private.child_path(NULL, NEW.id);
            NEW.root_id := NEW.id;
        ELSE
            PERFORM pg_advisory_xact_lock_shared(lock_class, hashint8(NEW.tenant_id));
            stale := current_setting('transaction_isolation') IN ('repeatable read', 'serializable')
                AND NOT csm_private.tree_is_current(NEW.tenant_id);
        END IF;
    ELSIF NEW.parent_id IS DISTINCT FROM OLD.parent_id OR NEW.id <> OLD.id OR NEW.tenant_id <> OLD.tenant_id THEN
        IF NEW.id <> OLD.id OR NEW.tenant_id <> OLD.tenant_id THEN
            RAISE EXCEPTION 'id and tenant of account % cannot change', OLD.id USING ERRCODE = '42501';
        END IF;
        PERFORM pg_advisory_xact_lock(lock_class, hashint8(NEW.tenant_id));
        INSERT INTO csm_private.tree_moves AS m (tenant_id, moves) VALUES (NEW.tenant_id, 1)
            ON CONFLICT ON CONSTRAINT tree_moves_pkey DO UPDATE SET moves = m.moves + 1;
        stale := current_setting('transaction_isolation') IN ('repeatable read', 'serializable')
            AND NOT csm_private.tree_is_current(NEW.tenant_id);
    ELSIF pg_trigger_depth() < 2 THEN
        NEW.path := OLD.path;
        NEW.root_id := OLD.root_id;
    END IF;
    IF stale THEN
        RAISE EXCEPTION 'could not serialize access due to a concurrent change of the account tree'
            USING ERRCODE = '40001', HINT = 'The transaction might succeed if retried.';
    END IF;
    RETURN NEW;
END $$;

-- Runs once a statement, when all its rows are there: rows may come in any
-- order (COPY), and a subtree moves as one.
CREATE FUNCTION csm_private.accounts_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    moved record;
    depth bigint := 0;
    strays bigint;
    sample bigint;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        FOR moved IN
            -- Highest new rows first: their parents stood already, or are new tops.
            SELECT n.id, n.tenant_id, p.path
            FROM new_rows n JOIN csm.accounts p ON p.id = n.parent_id AND p.tenant_id = n.tenant_id
            WHERE n.parent_id IS NOT NULL AND p.path IS NOT NULL
        LOOP
            depth := greatest(depth, csm_private.repath(moved.id, moved.tenant_id, moved.path));
        END LOOP;
        SELECT count(*), min(a.id) INTO strays, sample
        FROM new_rows n JOIN csm.accounts a ON a.id = n.id AND a.tenant_id = n.tenant_id
        WHERE a.path IS NULL
          AND EXISTS (SELECT FROM csm.accounts p WHERE p.id = n.parent_id AND p.tenant_id = n.tenant_id);
    ELSE
        IF pg_trigger_depth() > 1
           OR NOT EXISTS (SELECT FROM new_rows n JOIN old_rows o ON o.id = n.id AND o.tenant_id = n.tenant_id
                          WHERE n.parent_id IS DISTINCT FROM o.parent_id) THEN
            RETURN NULL;
        END IF;
        -- A moved row whose ancestors are reached without coming back to it is
        -- no part of a circle; the walk is as short as the tree is deep.
        WITH RECURSIVE up(start, id, parent_id, tenant_id, steps) AS (
            SELECT n.id, n.id, n.parent_id, n.tenant_id, 0
            FROM new_rows n JOIN old_rows o ON o.id = n.id AND o.tenant_id = n.tenant_id
            WHERE n.parent_id IS DISTINCT FROM o.parent_id
          UNION ALL
            SELECT up.start, a.id, a.parent_id, a.tenant_id, up.steps + 1
            FROM up JOIN csm.accounts a ON a.id = up.parent_id AND a.tenant_id = up.tenant_id
            WHERE up.steps <= 100 AND a.id <> up.start
        )
        SELECT count(*), min(up.start) INTO strays, sample
        FROM up WHERE up.parent_id = up.start;
        IF strays = 0 THEN
            FOR moved IN
                -- Only the topmost moved rows: repath carries what hangs below.
                SELECT n.id, n.tenant_id, n.parent_id
                FROM new_rows n JOIN old_rows o ON o.id = n.id AND o.tenant_id = n.tenant_id
                WHERE n.parent_id IS DISTINCT FROM o.parent_id
                ORDER BY csm_private.depth_of(n.id, n.tenant_id)
            LOOP
                depth := greatest(depth, csm_private.repath(moved.id, moved.tenant_id,
                    (SELECT p.path FROM csm.accounts p WHERE p.id = moved.parent_id AND p.tenant_id = moved.tenant_id)));
            END LOOP;
        END IF;
    END IF;
    IF depth > 100 THEN
        RAISE EXCEPTION 'account tree would become deeper than 100 levels'
            USING ERRCODE = '54000', HINT = 'Attach the account higher up in the tree.';
    ELSIF strays > 0 THEN
        RAISE EXCEPTION 'account tree would contain a cycle'
            USING ERRCODE = 'SM005',
                  DETAIL = format('Account %s would be its own ancestor.', sample),
                  HINT = 'Choose a parent outside the account''s own subtree.';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION csm_private.depth_of(account bigint, tenant bigint) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE up(parent_id, steps) AS (
        SELECT a.parent_id, 1 FROM csm.accounts a WHERE a.id = account AND a.tenant_id = tenant
      UNION ALL
        SELECT a.parent_id, up.steps + 1
        FROM up JOIN csm.accounts a ON a.id = up.parent_id AND a.tenant_id = tenant
        WHERE up.steps <= 200
    )
    SELECT max(steps) FROM up
$$;
ALTER FUNCTION csm_private.accounts_before() OWNER TO csm_owner;
ALTER FUNCTION csm_private.accounts_after() OWNER TO csm_owner;
ALTER FUNCTION csm_private.depth_of(bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.accounts_before(), csm_private.accounts_after(),
    csm_private.depth_of(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.accounts_before() IS 'Numbers an account and takes the tree lock before paths are read';
COMMENT ON FUNCTION csm_private.accounts_after() IS 'Gives new and moved accounts their paths; refuses cycles (SM005) and more than 100 levels (54000)';
COMMENT ON FUNCTION csm_private.depth_of(bigint, bigint) IS 'Levels from the top to the account, by its parents';

CREATE TRIGGER accounts_10_tree BEFORE INSERT OR UPDATE ON csm.accounts
    FOR EACH ROW EXECUTE FUNCTION csm_private.accounts_before();
CREATE TRIGGER accounts_20_tree_insert AFTER INSERT ON csm.accounts
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.accounts_after();
CREATE TRIGGER accounts_20_tree_update AFTER UPDATE ON csm.accounts
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.accounts_after();

CREATE TABLE csm.contacts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    user_id bigint NOT NULL,
    account_id bigint NOT NULL,
    role text NOT NULL DEFAULT 'customer',
    is_home boolean NOT NULL DEFAULT true,
    login_enabled boolean NOT NULL DEFAULT true,
    valid_during tstzrange,
    CONSTRAINT contacts_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT contacts_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT contacts_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT contacts_role_fkey FOREIGN KEY (role, tenant_id) REFERENCES csm.roles (role, tenant_id),
    CONSTRAINT contacts_once EXCLUDE USING gist (user_id WITH =, account_id WITH =,
        (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&),
    CONSTRAINT contacts_one_home EXCLUDE USING gist (user_id WITH =,
        (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&) WHERE (is_home)
);
CREATE INDEX contacts_user_idx ON csm.contacts (user_id);
CREATE INDEX contacts_account_idx ON csm.contacts (account_id);
SELECT csm_private.adopt_table('csm.contacts');
SELECT csm_private.signal_on('csm.contacts',
    '{id,tenant_id,user_id,account_id,role,is_home,login_enabled,valid_during}', 'user', 'user_id', 'account', 'account_id');

COMMENT ON TABLE csm.contacts IS 'Contact persona: the person acts for the account with a role; a person may be contact of many accounts';
COMMENT ON COLUMN csm.contacts.id IS 'Identity, unique in the database; the persona is contact:<id>';
COMMENT ON COLUMN csm.contacts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.contacts.user_id IS 'The person';
COMMENT ON COLUMN csm.contacts.account_id IS 'The account';
COMMENT ON COLUMN csm.contacts.role IS 'Role of kind contact; one of another kind is refused';
COMMENT ON COLUMN csm.contacts.is_home IS 'Account for which he opens cases unless he names another; one at a time';
COMMENT ON COLUMN csm.contacts.login_enabled IS 'False: this persona gives no rights, from the next statement on; the person''s others stay (V10)';
COMMENT ON COLUMN csm.contacts.valid_during IS 'When the membership counts; NULL means always';

CREATE FUNCTION csm_private.check_role_kind() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring()
       AND EXISTS (SELECT FROM csm.roles r
                   WHERE r.role = NEW.role AND r.tenant_id = NEW.tenant_id AND r.kind <> TG_ARGV[0]) THEN
        RAISE EXCEPTION 'role "%" is not a role for a % persona', NEW.role, TG_ARGV[0]
            USING ERRCODE = '23514', HINT = format('Choose one of csm.roles with kind = %L.', TG_ARGV[0]);
    END IF;
    RETURN NEW;
END $$;
ALTER FUNCTION csm_private.check_role_kind() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.check_role_kind() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.check_role_kind() IS 'Refuses a role whose kind does not fit the table; the argument is the kind';
CREATE TRIGGER contacts_10_role BEFORE INSERT OR UPDATE OF role ON csm.contacts
    FOR EACH ROW EXECUTE FUNCTION csm_private.check_role_kind('contact');

CREATE TABLE csm.account_relationships (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    type text NOT NULL DEFAULT 'partner_of',
    partner_account_id bigint NOT NULL,
    customer_account_id bigint NOT NULL,
    scope text NOT NULL DEFAULT 'named',
    history_from timestamptz,
    include_descendants boolean NOT NULL DEFAULT false,
    administers boolean NOT NULL DEFAULT false,
    valid_during tstzrange,
    CONSTRAINT account_relationships_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT account_relationships_partner_fkey FOREIGN KEY (partner_account_id, tenant_id)
        REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT account_relationships_customer_fkey FOREIGN KEY (customer_account_id, tenant_id)
        REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT account_relationships_type_check CHECK (type IN ('partner_of', 'trades_with')),
    CONSTRAINT account_relationships_scope_check CHECK (scope IN ('named', 'all')),
    CONSTRAINT account_relationships_self_check CHECK (partner_account_id <> customer_account_id),
    CONSTRAINT account_relationships_once EXCLUDE USING gist (partner_account_id WITH =, customer_account_id WITH =,
        type WITH =, (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&)
);
CREATE INDEX account_relationships_partner_idx ON csm.account_relationships (partner_account_id)
    INCLUDE (tenant_id, customer_account_id, type, scope, history_from, include_descendants, administers, valid_during);
CREATE INDEX account_relationships_descendants_idx ON csm.account_relationships (partner_account_id) WHERE include_descendants;
CREATE INDEX account_relationships_customer_idx ON csm.account_relationships (customer_account_id);
SELECT csm_private.adopt_table('csm.account_relationships');
SELECT csm_private.signal_on('csm.account_relationships',
    '{tenant_id,type,partner_account_id,customer_account_id,scope,history_from,include_descendants,administers,valid_during}',
    'relation', 'partner_account_id');

COMMENT ON TABLE csm.account_relationships IS 'A partner account looks after a customer account, or two accounts trade with one another';
COMMENT ON COLUMN csm.account_relationships.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.account_relationships.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.account_relationships.type IS 'partner_of gives the partner access (V5); trades_with gives none and allows disputes between the two';
COMMENT ON COLUMN csm.account_relationships.partner_account_id IS 'The partner';
COMMENT ON COLUMN csm.account_relationships.customer_account_id IS 'The customer that he looks after';
COMMENT ON COLUMN csm.account_relationships.scope IS 'What partner_admin reads: named (cases whose partner_account_id is his account) or all';
COMMENT ON COLUMN csm.account_relationships.history_from IS 'With scope all: cases opened before are left out; NULL means the whole history';
COMMENT ON COLUMN csm.account_relationships.include_descendants IS 'True: holds for the customer''s descendants too';
COMMENT ON COLUMN csm.account_relationships.administers IS 'True: partner_admin manages the customer''s contacts';
COMMENT ON COLUMN csm.account_relationships.valid_during IS 'When the relationship counts; NULL means always';

-- Who reads and writes them.
CREATE POLICY accounts_select ON csm.accounts FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (csm.account_known(id) OR csm.all_in(tenant_id, 'b2b', 'contact_read'));
CREATE POLICY accounts_insert ON csm.accounts FOR INSERT TO csm_agent, csm_admin
    WITH CHECK (csm.all_in(tenant_id, 'b2b', 'account_manage'));
CREATE POLICY accounts_update ON csm.accounts FOR UPDATE TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2b', 'account_manage'));
CREATE POLICY contacts_select ON csm.contacts FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (user_id = csm.current_user_id()
           OR csm.account_allows(account_id, 'contact_read')
           OR csm.all_in(tenant_id, 'b2b', 'contact_read'));
CREATE POLICY contacts_write ON csm.contacts FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2b', 'account_manage'));
CREATE POLICY account_relationships_select ON csm.account_relationships
    FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (csm.account_allows(customer_account_id, 'contact_read')
           OR (csm.account_known(partner_account_id) AND csm.account_known(customer_account_id))
           OR csm.all_in(tenant_id, 'b2b', 'contact_read'));
CREATE POLICY account_relationships_write ON csm.account_relationships FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2b', 'account_manage'));
-- A person is seen by himself, by whoever reads one of his personas, and by
-- staff for internal service (there everybody may ask).
CREATE POLICY users_select ON csm.users FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (id = csm.current_user_id()
           OR csm.all_in(tenant_id, 'internal', 'contact_read')
           OR EXISTS (SELECT FROM csm.contacts c WHERE c.user_id = users.id AND c.tenant_id = users.tenant_id)
           OR EXISTS (SELECT FROM csm.consumers c WHERE c.user_id = users.id AND c.tenant_id = users.tenant_id));
CREATE POLICY users_insert ON csm.users FOR INSERT TO csm_agent, csm_admin
    WITH CHECK (csm.all_in(tenant_id, 'internal', 'person_manage'));
CREATE POLICY users_update ON csm.users FOR UPDATE TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'person_manage'));

GRANT SELECT ON csm.accounts, csm.contacts, csm.account_relationships, csm.users
    TO csm_portal, csm_agent, csm_admin;
GRANT SELECT ON csm.accounts, csm.contacts, csm.account_relationships TO csm_reporter;
GRANT SELECT (id, tenant_id, language, time_zone, enabled, created_at) ON csm.users TO csm_reporter;
GRANT INSERT (number, name, parent_id, is_customer, is_partner, active, directory_visible, restrict_contact_access),
      UPDATE (number, name, parent_id, is_customer, is_partner, active, directory_visible, restrict_contact_access)
    ON csm.accounts TO csm_agent, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.contacts, csm.account_relationships TO csm_agent, csm_admin;
GRANT INSERT (display_name, email, language, time_zone, phone, title, enabled, external_id, location),
      UPDATE (display_name, email, language, time_zone, phone, title, enabled, external_id, location)
    ON csm.users TO csm_agent, csm_admin;

COMMENT ON POLICY accounts_select ON csm.accounts IS 'Accounts on which the person has any right; staff for business customers';
COMMENT ON POLICY accounts_insert ON csm.accounts IS 'Staff with account_manage';
COMMENT ON POLICY accounts_update ON csm.accounts IS 'Staff with account_manage';
COMMENT ON POLICY contacts_select ON csm.contacts IS 'One''s own, those of accounts with contact_read, staff for business customers';
COMMENT ON POLICY contacts_write ON csm.contacts IS 'Staff with account_manage';
COMMENT ON POLICY account_relationships_select ON csm.account_relationships IS 'The customer''s managers, the partner''s people, staff for business customers';
COMMENT ON POLICY account_relationships_write ON csm.account_relationships IS 'Staff with account_manage';
COMMENT ON POLICY users_select ON csm.users IS 'Oneself; whoever reads one of the person''s personas; staff for internal service';
COMMENT ON POLICY users_insert ON csm.users IS 'Staff with person_manage';
COMMENT ON POLICY users_update ON csm.users IS 'Staff with person_manage';
