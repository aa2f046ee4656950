-- What customers own: sold products and install-base items, each in a tree;
-- who is linked to them and who is authorised on them.
--
-- Reading follows product_read.  Of items there is a second, derived action:
-- asset_read is product_read, but with the tenant's setting use_asset_contacts
-- a plain contact's own account gives none of it.  A plain contact is one whose
-- role reaches the account alone (reach account); who reaches the subtree
-- manages.  The access map holds both (src/csm_map_customer.c), and the links
-- and authorisations of the person (src/csm_map_assets.c).

CREATE FUNCTION csm.assets_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_assets_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.assets_allowing(text) IS
'Sorted ids: install-base items that the person is linked to or authorised on; empty for nobody and for an unknown action';
CREATE FUNCTION csm.sold_products_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_sold_products_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.sold_products_allowing(text) IS
'Sorted ids: sold products that the person is linked to or authorised on; empty for nobody and for an unknown action';
CREATE FUNCTION csm.asset_allows(asset_id bigint, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_asset_allows' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.asset_allows(bigint, text) IS
'True for an install-base item that the person is linked to as its contact, or authorised on: action product_read or asset_read';
CREATE FUNCTION csm.sold_product_allows(sold_product_id bigint, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_sold_product_allows' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.sold_product_allows(bigint, text) IS
'As asset_allows, of a sold product';

CREATE TABLE csm.sold_products (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    account_id bigint,
    user_id bigint,
    branch text NOT NULL GENERATED ALWAYS AS (CASE WHEN account_id IS NULL THEN 'b2c' ELSE 'b2b' END) STORED,
    product_id bigint NOT NULL,
    parent_id bigint,
    root_id bigint,
    quantity numeric(12, 3) NOT NULL DEFAULT 1,
    valid_during tstzrange,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT sold_products_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT sold_products_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT sold_products_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT sold_products_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT sold_products_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT sold_products_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.sold_products (id, tenant_id),
    CONSTRAINT sold_products_owner_check CHECK (num_nonnulls(account_id, user_id) = 1),
    CONSTRAINT sold_products_quantity_check CHECK (quantity > 0)
);
CREATE INDEX sold_products_account_idx ON csm.sold_products (account_id, product_id) WHERE account_id IS NOT NULL;
CREATE INDEX sold_products_user_idx ON csm.sold_products (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX sold_products_product_idx ON csm.sold_products (tenant_id, product_id);
CREATE INDEX sold_products_parent_idx ON csm.sold_products (parent_id) WHERE parent_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.sold_products');

CREATE TABLE csm.assets (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    account_id bigint,
    user_id bigint,
    branch text NOT NULL GENERATED ALWAYS AS (CASE WHEN account_id IS NULL THEN 'b2c' ELSE 'b2b' END) STORED,
    product_id bigint NOT NULL,
    sold_product_id bigint,
    parent_id bigint,
    root_id bigint,
    serial_number text,
    location text,
    purchased_on date,
    installed_at timestamptz,
    removed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT assets_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT assets_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT assets_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT assets_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT assets_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT assets_sold_product_fkey FOREIGN KEY (sold_product_id, tenant_id) REFERENCES csm.sold_products (id, tenant_id),
    CONSTRAINT assets_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.assets (id, tenant_id),
    CONSTRAINT assets_serial_key UNIQUE (tenant_id, product_id, serial_number),
    CONSTRAINT assets_owner_check CHECK (num_nonnulls(account_id, user_id) = 1),
    CONSTRAINT assets_removed_check CHECK (removed_at >= installed_at),
    CONSTRAINT assets_text_check CHECK (length(serial_number) BETWEEN 1 AND 100 AND length(location) <= 400)
);
CREATE INDEX assets_account_idx ON csm.assets (account_id, product_id) WHERE account_id IS NOT NULL;
CREATE INDEX assets_user_idx ON csm.assets (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX assets_sold_product_idx ON csm.assets (sold_product_id) WHERE sold_product_id IS NOT NULL;
CREATE INDEX assets_parent_idx ON csm.assets (parent_id) WHERE parent_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.assets');

CREATE TABLE csm.asset_contacts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    asset_id bigint,
    sold_product_id bigint,
    contact_id bigint NOT NULL,
    CONSTRAINT asset_contacts_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT asset_contacts_asset_fkey FOREIGN KEY (asset_id, tenant_id) REFERENCES csm.assets (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT asset_contacts_sold_product_fkey FOREIGN KEY (sold_product_id, tenant_id)
        REFERENCES csm.sold_products (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT asset_contacts_contact_fkey FOREIGN KEY (contact_id, tenant_id) REFERENCES csm.contacts (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT asset_contacts_one_item CHECK (num_nonnulls(asset_id, sold_product_id) = 1),
    CONSTRAINT asset_contacts_once UNIQUE NULLS NOT DISTINCT (contact_id, asset_id, sold_product_id)
);
CREATE INDEX asset_contacts_asset_idx ON csm.asset_contacts (asset_id) WHERE asset_id IS NOT NULL;
CREATE INDEX asset_contacts_sold_product_idx ON csm.asset_contacts (sold_product_id) WHERE sold_product_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.asset_contacts');
SELECT csm_private.signal_on('csm.asset_contacts', '{tenant_id,asset_id,sold_product_id,contact_id}', 'contact', 'contact_id');

CREATE TABLE csm.asset_parties (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    asset_id bigint,
    sold_product_id bigint,
    user_id bigint,
    account_id bigint,
    authorized boolean NOT NULL DEFAULT true,
    granted_by bigint DEFAULT csm.current_user_id(),
    valid_during tstzrange,
    CONSTRAINT asset_parties_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT asset_parties_asset_fkey FOREIGN KEY (asset_id, tenant_id) REFERENCES csm.assets (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT asset_parties_sold_product_fkey FOREIGN KEY (sold_product_id, tenant_id)
        REFERENCES csm.sold_products (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT asset_parties_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT asset_parties_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT asset_parties_granted_by_fkey FOREIGN KEY (granted_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT asset_parties_one_item CHECK (num_nonnulls(asset_id, sold_product_id) = 1),
    CONSTRAINT asset_parties_one_party CHECK (num_nonnulls(user_id, account_id) = 1),
    CONSTRAINT asset_parties_once EXCLUDE USING gist ((coalesce(asset_id, 0)) WITH =, (coalesce(sold_product_id, 0)) WITH =,
        (coalesce(user_id, 0)) WITH =, (coalesce(account_id, 0)) WITH =,
        (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&)
);
CREATE INDEX asset_parties_asset_idx ON csm.asset_parties (asset_id) WHERE asset_id IS NOT NULL;
CREATE INDEX asset_parties_sold_product_idx ON csm.asset_parties (sold_product_id) WHERE sold_product_id IS NOT NULL;
CREATE INDEX asset_parties_user_idx ON csm.asset_parties (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX asset_parties_account_idx ON csm.asset_parties (account_id) WHERE account_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.asset_parties');
SELECT csm_private.signal_on('csm.asset_parties',
    '{tenant_id,asset_id,sold_product_id,user_id,account_id,authorized,valid_during}', 'user', 'user_id', 'party', 'account_id');

-- What a case names.  A row of an earlier version may name an item that never
-- was: the constraint then binds what is written from now on.
ALTER TABLE csm.cases ADD CONSTRAINT cases_asset_fkey
    FOREIGN KEY (asset_id, tenant_id) REFERENCES csm.assets (id, tenant_id) NOT VALID;
DO $$
BEGIN
    ALTER TABLE csm.cases VALIDATE CONSTRAINT cases_asset_fkey;
EXCEPTION
    WHEN foreign_key_violation THEN
        RAISE WARNING 'cases name install-base items that do not exist'
            USING DETAIL = SQLERRM,
                  HINT = 'Clear asset_id of open ones, then ALTER TABLE csm.cases VALIDATE CONSTRAINT cases_asset_fkey.';
END $$;

-- Who reads: the rule once for both tables, as text, because a policy stores a
-- parsed expression.  No arm has a sub-select, and each implies the condition of
-- the partial index on its key, so each is answered by an index.
DO $$
DECLARE
    rule CONSTANT text := 'csm.account_allows(account_id, %1$L) '
        'OR (user_id IS NOT NULL AND csm.requester_allows(user_id, ''b2c'', NULL, %1$L)) OR %2$s(id, %1$L)';
    everywhere CONSTANT text := 'csm.all_in(tenant_id, branch, %L)';
    manages CONSTANT text := 'csm.all_in(tenant_id, branch, ''product_manage'') OR csm.account_allows(account_id, ''product_manage'')';
    item record;
    reads text;
BEGIN
    FOR item IN SELECT * FROM (VALUES ('assets', 'asset_read', 'csm.asset_allows', 'asset_allows'),
                                      ('sold_products', 'product_read', 'csm.sold_product_allows', 'sold_product_allows'))
                AS v(tab, action, linked, row_function)
    LOOP
        reads := format(rule, item.action, item.linked);
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_portal USING (%2$s)', item.tab, reads);
        EXECUTE format('CREATE POLICY %1$s_select_staff ON csm.%1$s FOR SELECT TO csm_agent, csm_reporter, csm_admin USING (%2$s OR %3$s)',
                       item.tab, format(everywhere, item.action), reads);
        EXECUTE format('CREATE POLICY %1$s_insert ON csm.%1$s FOR INSERT TO csm_agent, csm_admin WITH CHECK (%2$s)', item.tab, manages);
        EXECUTE format('CREATE POLICY %1$s_update ON csm.%1$s FOR UPDATE TO csm_agent, csm_admin USING (%2$s)', item.tab, manages);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS %2$L', item.tab,
                       'The owner''s people by reach of product_read, the consumer and who speaks for him (V6), contacts linked to it, those authorised on it');
        EXECUTE format('COMMENT ON POLICY %1$s_select_staff ON csm.%1$s IS %2$L', item.tab, 'The same, and staff by reach of product_read');
        EXECUTE format('COMMENT ON POLICY %1$s_insert ON csm.%1$s IS %2$L', item.tab, 'Who has product_manage on the owner');
        EXECUTE format('COMMENT ON POLICY %1$s_update ON csm.%1$s IS %2$L', item.tab, 'Who has product_manage on the owner, before and after');
        EXECUTE format('GRANT SELECT ON csm.%s TO csm_portal, csm_agent, csm_admin', item.tab);

        -- for functions that run as csm_owner
        EXECUTE format('CREATE FUNCTION csm_private.%1$s(id bigint, tenant_id bigint) RETURNS boolean '
                       'LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS '
                       '$f$ SELECT EXISTS (SELECT FROM csm.%2$s t WHERE t.id = %1$s.id AND t.tenant_id = %1$s.tenant_id AND (%3$s OR %4$s)) $f$',
                       item.row_function, item.tab,
                       format('csm.all_in(t.tenant_id, t.branch, %L)', item.action),
                       format('csm.account_allows(t.account_id, %1$L) OR csm.requester_allows(t.user_id, ''b2c'', NULL, %1$L) OR %2$s(t.id, %1$L)',
                              item.action, item.linked));
        EXECUTE format('ALTER FUNCTION csm_private.%s(bigint, bigint) OWNER TO csm_owner', item.row_function);
        EXECUTE format('REVOKE ALL ON FUNCTION csm_private.%s(bigint, bigint) FROM PUBLIC', item.row_function);
        EXECUTE format('COMMENT ON FUNCTION csm_private.%s(bigint, bigint) IS %L', item.row_function,
                       'Whether the signed-in person reads the row, as the policies say; false for a missing one');
    END LOOP;
END $$;
GRANT SELECT (id, tenant_id, account_id, branch, product_id, parent_id, root_id, quantity, valid_during, created_at)
    ON csm.sold_products TO csm_reporter;
GRANT SELECT (id, tenant_id, account_id, branch, product_id, sold_product_id, parent_id, root_id, purchased_on, installed_at,
              removed_at, created_at) ON csm.assets TO csm_reporter;
GRANT INSERT (account_id, user_id, product_id, parent_id, quantity, valid_during),
      UPDATE (account_id, user_id, product_id, parent_id, quantity, valid_during) ON csm.sold_products TO csm_agent, csm_admin;
GRANT INSERT (account_id, user_id, product_id, sold_product_id, parent_id, serial_number, location, purchased_on, installed_at, removed_at),
      UPDATE (account_id, user_id, product_id, sold_product_id, parent_id, serial_number, location, purchased_on, installed_at, removed_at)
    ON csm.assets TO csm_agent, csm_admin;

-- Does the contact belong to the owner of the item, or to a partner that looks
-- after the owner now?
CREATE FUNCTION csm_private.link_fits(l csm.asset_contacts) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM csm.contacts k
        CROSS JOIN LATERAL (
            SELECT a.account_id FROM csm.assets a WHERE a.id = l.asset_id AND a.tenant_id = l.tenant_id
          UNION ALL
            SELECT s.account_id FROM csm.sold_products s WHERE s.id = l.sold_product_id AND s.tenant_id = l.tenant_id) o
        WHERE k.id = l.contact_id AND k.tenant_id = l.tenant_id
          AND csm_private.is_valid(k.valid_during, statement_timestamp())
          AND (k.account_id = o.account_id
               OR EXISTS (SELECT FROM csm.account_relationships r
                          WHERE r.partner_account_id = k.account_id AND r.tenant_id = l.tenant_id AND r.type = 'partner_of'
                            AND csm_private.is_valid(r.valid_during, statement_timestamp())
                            AND (r.customer_account_id = o.account_id
                                 OR r.include_descendants
                                    AND o.account_id IN (SELECT csm_private.subtree(r.customer_account_id, r.tenant_id))))))
$$;

-- May the person say who is linked to the item, or authorised on it?
CREATE FUNCTION csm_private.manages_item(asset_id bigint, sold_product_id bigint, tenant_id bigint) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM (
            SELECT a.account_id, a.branch FROM csm.assets a
            WHERE a.id = manages_item.asset_id AND a.tenant_id = manages_item.tenant_id
          UNION ALL
            SELECT s.account_id, s.branch FROM csm.sold_products s
            WHERE s.id = manages_item.sold_product_id AND s.tenant_id = manages_item.tenant_id) o
        WHERE csm.account_allows(o.account_id, 'product_manage')
           OR csm.all_in(manages_item.tenant_id, o.branch, 'product_manage'))
$$;

-- The person linked or authorised must be one whom the manager may know of:
-- staff with product_manage know all, a customer's administrator the people
-- and accounts that he manages himself.
CREATE FUNCTION csm_private.may_link(l csm.asset_contacts) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm_private.manages_item(l.asset_id, l.sold_product_id, l.tenant_id)
       AND csm_private.link_fits(l)
       AND EXISTS (SELECT FROM csm.contacts k
                   WHERE k.id = l.contact_id AND k.tenant_id = l.tenant_id
                     AND (csm.account_allows(k.account_id, 'contact_read')
                          OR csm.all_in(k.tenant_id, 'b2b', 'product_manage')))
$$;
CREATE FUNCTION csm_private.may_authorize(p csm.asset_parties) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm_private.manages_item(p.asset_id, p.sold_product_id, p.tenant_id)
       AND p.granted_by IS NOT DISTINCT FROM csm.current_user_id()
       AND CASE
           WHEN csm.all_in(p.tenant_id, 'b2b', 'product_manage') OR csm.all_in(p.tenant_id, 'b2c', 'product_manage') THEN
               EXISTS (SELECT FROM csm.users u WHERE u.id = p.user_id AND u.tenant_id = p.tenant_id)
               OR EXISTS (SELECT FROM csm.accounts a WHERE a.id = p.account_id AND a.tenant_id = p.tenant_id)
           ELSE csm.account_allows(p.account_id, 'product_manage') IS TRUE
               OR EXISTS (SELECT FROM csm.contacts k
                          WHERE k.user_id = p.user_id AND k.tenant_id = p.tenant_id
                            AND csm_private.is_valid(k.valid_during, statement_timestamp())
                            AND csm.account_allows(k.account_id, 'product_manage'))
           END
$$;

-- A link shows to who manages the item, and to whoever sees both ends.  An authorisation shows to the person
-- authorised and to whoever manages the item; staff who read the item see all.
CREATE POLICY asset_contacts_select ON csm.asset_contacts FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (csm_private.manages_item(asset_id, sold_product_id, tenant_id)
        OR (EXISTS (SELECT FROM csm.assets a WHERE a.id = asset_id AND a.tenant_id = asset_contacts.tenant_id)
            OR EXISTS (SELECT FROM csm.sold_products s WHERE s.id = sold_product_id AND s.tenant_id = asset_contacts.tenant_id))
           AND EXISTS (SELECT FROM csm.contacts k WHERE k.id = contact_id AND k.tenant_id = asset_contacts.tenant_id));
CREATE POLICY asset_contacts_insert ON csm.asset_contacts FOR INSERT TO csm_portal, csm_agent, csm_admin
    WITH CHECK (csm_private.may_link(asset_contacts));
CREATE POLICY asset_contacts_delete ON csm.asset_contacts FOR DELETE TO csm_portal, csm_agent, csm_admin
    USING (csm_private.manages_item(asset_id, sold_product_id, tenant_id));
CREATE POLICY asset_parties_select ON csm.asset_parties FOR SELECT TO csm_portal
    USING (user_id = csm.current_user_id() OR csm_private.manages_item(asset_id, sold_product_id, tenant_id));
CREATE POLICY asset_parties_select_staff ON csm.asset_parties FOR SELECT TO csm_agent, csm_admin
    USING (user_id = csm.current_user_id()
        OR EXISTS (SELECT FROM csm.assets a WHERE a.id = asset_id AND a.tenant_id = asset_parties.tenant_id)
        OR EXISTS (SELECT FROM csm.sold_products s WHERE s.id = sold_product_id AND s.tenant_id = asset_parties.tenant_id));
CREATE POLICY asset_parties_insert ON csm.asset_parties FOR INSERT TO csm_portal, csm_agent, csm_admin
    WITH CHECK (csm_private.may_authorize(asset_parties));
CREATE POLICY asset_parties_update ON csm.asset_parties FOR UPDATE TO csm_portal, csm_agent, csm_admin
    USING (csm_private.manages_item(asset_id, sold_product_id, tenant_id));
CREATE POLICY asset_parties_delete ON csm.asset_parties FOR DELETE TO csm_portal, csm_agent, csm_admin
    USING (csm_private.manages_item(asset_id, sold_product_id, tenant_id));
GRANT SELECT, DELETE ON csm.asset_contacts, csm.asset_parties TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (asset_id, sold_product_id, contact_id) ON csm.asset_contacts TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (asset_id, sold_product_id, user_id, account_id, authorized, valid_during), UPDATE (authorized, valid_during)
    ON csm.asset_parties TO csm_portal, csm_agent, csm_admin;
COMMENT ON POLICY asset_contacts_select ON csm.asset_contacts IS 'Who manages the item, and whoever sees both it and the contact';
COMMENT ON POLICY asset_contacts_insert ON csm.asset_contacts IS 'A15: who has product_manage on the item''s account, for a contact he reads; 42501 for hidden, missing and unfit alike';
COMMENT ON POLICY asset_contacts_delete ON csm.asset_contacts IS 'Who has product_manage on the item''s account';
COMMENT ON POLICY asset_parties_select ON csm.asset_parties IS 'The person authorised, and who manages the item';
COMMENT ON POLICY asset_parties_select_staff ON csm.asset_parties IS 'The person authorised, and staff who read the item';
COMMENT ON POLICY asset_parties_insert ON csm.asset_parties IS 'B18: staff with product_manage; a customer''s administrator for people and accounts that he manages';
COMMENT ON POLICY asset_parties_update ON csm.asset_parties IS 'Who manages the item';
COMMENT ON POLICY asset_parties_delete ON csm.asset_parties IS 'Who manages the item';

-- The trees.  A move takes the tenant's lock alone, an insertion below a parent
-- shares it, as for accounts (32_accounts.sql): two moves cannot close a circle
-- unseen, and nothing is put below a parent whose root is about to change.
CREATE FUNCTION csm_private.item_tree_before() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lock_class CONSTANT integer := 6517614;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    IF NEW.parent_id = NEW.id THEN
        RAISE EXCEPTION 'row % of csm.% cannot be its own parent', NEW.id, TG_TABLE_NAME
            USING ERRCODE = '23514', HINT = 'Set parent_id to another row, or to NULL at the top.';
    ELSIF TG_OP = 'INSERT' THEN
        -- Below a parent the root follows when the statement ends.
        NEW.root_id := CASE WHEN NEW.parent_id IS NULL THEN NEW.id END;
        IF NEW.parent_id IS NOT NULL THEN
            PERFORM pg_advisory_xact_lock_shared(lock_class, hashint8(NEW.tenant_id));
        END IF;
    ELSIF NEW.id <> OLD.id OR NEW.tenant_id <> OLD.tenant_id THEN
        RAISE EXCEPTION 'id and tenant of row % of csm.% cannot change', OLD.id, TG_TABLE_NAME USING ERRCODE = '42501';
    ELSIF NEW.parent_id IS DISTINCT FROM OLD.parent_id THEN
        PERFORM pg_advisory_xact_lock(lock_class, hashint8(NEW.tenant_id));
        INSERT INTO csm_private.tree_moves AS m (tenant_id, moves) VALUES (NEW.tenant_id, 1)
            ON CONFLICT ON CONSTRAINT tree_moves_pkey DO UPDATE SET moves = m.moves + 1;
    ELSIF pg_trigger_depth() < 2 THEN
        NEW.root_id := OLD.root_id;
    END IF;
    IF NEW.parent_id IS NOT NULL AND current_setting('transaction_isolation') IN ('repeatable read', 'serializable')
       AND NOT csm_private.tree_is_current(NEW.tenant_id) THEN
        RAISE EXCEPTION 'could not serialize access due to a concurrent change of a tree'
            USING ERRCODE = '40001', HINT = 'The transaction might succeed if retried.';
    END IF;
    RETURN NEW;
END $$;

-- Once a statement, when all its rows are there: they may come in any order.
-- The only dynamic part is the name of the table that the trigger is on.
CREATE FUNCTION csm_private.item_tree_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    moved bigint[];
    strays bigint;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(n.id) INTO moved FROM new_rows n WHERE n.parent_id IS NOT NULL;
    ELSIF pg_trigger_depth() < 2 THEN
        SELECT array_agg(n.id) INTO moved
        FROM new_rows n JOIN old_rows o ON o.id = n.id AND o.tenant_id = n.tenant_id
        WHERE n.parent_id IS DISTINCT FROM o.parent_id;
    END IF;
    IF moved IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format($q$
        WITH RECURSIVE up(start, id, tenant_id, parent_id, steps) AS (
            SELECT t.id, t.id, t.tenant_id, t.parent_id, 0 FROM %1$s t WHERE t.id = ANY ($1)
          UNION ALL
            SELECT up.start, t.id, t.tenant_id, t.parent_id, up.steps + 1
            FROM up JOIN %1$s t ON t.id = up.parent_id AND t.tenant_id = up.tenant_id
            WHERE up.steps < 100
        ), top AS (
            SELECT up.start, up.id AS root_id FROM up WHERE up.parent_id IS NULL
        ), down(id, tenant_id, root_id, steps) AS (
            SELECT t.id, t.tenant_id, top.root_id, 0 FROM top JOIN %1$s t ON t.id = top.start
          UNION
            SELECT t.id, t.tenant_id, down.root_id, down.steps + 1
            FROM down JOIN %1$s t ON t.parent_id = down.id AND t.tenant_id = down.tenant_id
            WHERE down.steps < 100
        ), placed AS (
            UPDATE %1$s t SET root_id = d.root_id
            FROM (SELECT DISTINCT id, tenant_id, root_id FROM down) d
            WHERE t.id = d.id AND t.tenant_id = d.tenant_id AND t.root_id IS DISTINCT FROM d.root_id
        )
        -- a parent that does not exist is the foreign key's affair
        SELECT count(*) FROM unnest($1) m(id)
        WHERE NOT EXISTS (SELECT FROM top WHERE top.start = m.id)
          AND EXISTS (SELECT FROM up WHERE up.start = m.id AND up.steps >= 100)$q$, TG_RELID::regclass)
    INTO strays USING moved;
    IF strays > 0 THEN
        RAISE EXCEPTION 'the tree of csm.% would contain a cycle, or more than 100 levels', TG_TABLE_NAME
            USING ERRCODE = '23514', HINT = 'Choose a parent outside the row''s own subtree.';
    END IF;
    RETURN NULL;
END $$;

-- A new owner begins with nobody linked or authorised.
CREATE FUNCTION csm_private.item_changes_hands() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF TG_TABLE_NAME = 'assets' THEN
        DELETE FROM csm.asset_contacts l WHERE l.asset_id = NEW.id AND l.tenant_id = NEW.tenant_id;
        DELETE FROM csm.asset_parties p WHERE p.asset_id = NEW.id AND p.tenant_id = NEW.tenant_id;
    ELSE
        DELETE FROM csm.asset_contacts l WHERE l.sold_product_id = NEW.id AND l.tenant_id = NEW.tenant_id;
        DELETE FROM csm.asset_parties p WHERE p.sold_product_id = NEW.id AND p.tenant_id = NEW.tenant_id;
    END IF;
    RETURN NULL;
END $$;

-- After row security has judged the row, so that a client never hears of it.
CREATE FUNCTION csm_private.check_link() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() AND NOT csm_private.link_fits(NEW) THEN
        RAISE EXCEPTION 'contact % can not be linked to the item', NEW.contact_id
            USING ERRCODE = '23514',
                  HINT = 'Choose a current contact of the account that owns it, or of a partner that looks after that account.';
    END IF;
    RETURN NULL;
END $$;

-- The item that a case names must be one that the writer reads; who writes
-- without identity is bound by the foreign key alone.
CREATE FUNCTION csm_private.case_asset() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() OR csm_private.importing()
       OR csm_private.asset_allows(NEW.asset_id, NEW.tenant_id) OR csm_private.acts_as_system() THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'install-base item % does not exist', NEW.asset_id
        USING ERRCODE = '42501', HINT = 'An item that you may not see is reported in the same way.';
END $$;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.link_fits(csm.asset_contacts)',
        'csm_private.manages_item(bigint, bigint, bigint)',
        'csm_private.may_link(csm.asset_contacts)',
        'csm_private.may_authorize(csm.asset_parties)',
        'csm_private.item_tree_before()',
        'csm_private.item_tree_after()',
        'csm_private.item_changes_hands()',
        'csm_private.check_link()',
        'csm_private.case_asset()',
        'csm.assets_allowing(text)',
        'csm.sold_products_allowing(text)',
        'csm.asset_allows(bigint, text)',
        'csm.sold_product_allows(bigint, text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.assets_allowing(text), csm.sold_products_allowing(text), csm.asset_allows(bigint, text),
    csm.sold_product_allows(bigint, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT EXECUTE ON FUNCTION csm_private.may_link(csm.asset_contacts), csm_private.may_authorize(csm.asset_parties),
    csm_private.manages_item(bigint, bigint, bigint) TO csm_portal, csm_agent, csm_admin;

CREATE TRIGGER sold_products_10_tree BEFORE INSERT OR UPDATE ON csm.sold_products
    FOR EACH ROW EXECUTE FUNCTION csm_private.item_tree_before();
CREATE TRIGGER sold_products_20_tree_insert AFTER INSERT ON csm.sold_products
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION csm_private.item_tree_after();
CREATE TRIGGER sold_products_20_tree_update AFTER UPDATE ON csm.sold_products
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION csm_private.item_tree_after();
CREATE TRIGGER sold_products_30_hands AFTER UPDATE ON csm.sold_products FOR EACH ROW
    WHEN (OLD.account_id IS DISTINCT FROM NEW.account_id OR OLD.user_id IS DISTINCT FROM NEW.user_id)
    EXECUTE FUNCTION csm_private.item_changes_hands();
CREATE TRIGGER assets_10_tree BEFORE INSERT OR UPDATE ON csm.assets
    FOR EACH ROW EXECUTE FUNCTION csm_private.item_tree_before();
CREATE TRIGGER assets_20_tree_insert AFTER INSERT ON csm.assets
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION csm_private.item_tree_after();
CREATE TRIGGER assets_20_tree_update AFTER UPDATE ON csm.assets
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION csm_private.item_tree_after();
CREATE TRIGGER assets_30_hands AFTER UPDATE ON csm.assets FOR EACH ROW
    WHEN (OLD.account_id IS DISTINCT FROM NEW.account_id OR OLD.user_id IS DISTINCT FROM NEW.user_id)
    EXECUTE FUNCTION csm_private.item_changes_hands();
CREATE TRIGGER asset_contacts_10_fit AFTER INSERT OR UPDATE ON csm.asset_contacts
    FOR EACH ROW EXECUTE FUNCTION csm_private.check_link();
CREATE TRIGGER cases_20_asset BEFORE INSERT ON csm.cases FOR EACH ROW
    WHEN (NEW.asset_id IS NOT NULL) EXECUTE FUNCTION csm_private.case_asset();
CREATE TRIGGER cases_20_asset_update BEFORE UPDATE OF asset_id ON csm.cases FOR EACH ROW
    WHEN (NEW.asset_id IS NOT NULL AND NEW.asset_id IS DISTINCT FROM OLD.asset_id) EXECUTE FUNCTION csm_private.case_asset();

COMMENT ON TABLE csm.sold_products IS 'What was sold: a product of the catalogue in the hands of an account or a person, in a tree';
COMMENT ON COLUMN csm.sold_products.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.sold_products.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sold_products.account_id IS 'Account that owns it; exactly one of account and person is set';
COMMENT ON COLUMN csm.sold_products.user_id IS 'Consumer who owns it';
COMMENT ON COLUMN csm.sold_products.branch IS 'b2b where an account owns it, else b2c';
COMMENT ON COLUMN csm.sold_products.product_id IS 'Product of the catalogue';
COMMENT ON COLUMN csm.sold_products.parent_id IS 'Sold product that it is part of; NULL at the top. A cycle is refused with 23514';
COMMENT ON COLUMN csm.sold_products.root_id IS 'Top of the tree, kept by trigger';
COMMENT ON COLUMN csm.sold_products.quantity IS 'How many, greater than 0';
COMMENT ON COLUMN csm.sold_products.valid_during IS 'When the sale holds; NULL means always. csm.state() makes in_preparation, active or expired of it';
COMMENT ON COLUMN csm.sold_products.created_at IS 'When the row was made';
COMMENT ON TABLE csm.assets IS 'Install base: each single item that an account or a person has, in a tree';
COMMENT ON COLUMN csm.assets.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.assets.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.assets.account_id IS 'Account that owns it; exactly one of account and person is set';
COMMENT ON COLUMN csm.assets.user_id IS 'Consumer who owns it';
COMMENT ON COLUMN csm.assets.branch IS 'b2b where an account owns it, else b2c';
COMMENT ON COLUMN csm.assets.product_id IS 'Product of the catalogue';
COMMENT ON COLUMN csm.assets.sold_product_id IS 'Sale that it came with; NULL when unknown';
COMMENT ON COLUMN csm.assets.parent_id IS 'Item that it is built into; NULL at the top. A cycle is refused with 23514';
COMMENT ON COLUMN csm.assets.root_id IS 'Top of the tree, kept by trigger';
COMMENT ON COLUMN csm.assets.serial_number IS 'Serial number, unique for a product in the tenant; NULL when unknown';
COMMENT ON COLUMN csm.assets.location IS 'Where it stands, in words';
COMMENT ON COLUMN csm.assets.purchased_on IS 'Day of the purchase; NULL when unknown';
COMMENT ON COLUMN csm.assets.installed_at IS 'In use from then on; NULL: not yet. csm.state() makes in_preparation, installed or removed of this and removed_at';
COMMENT ON COLUMN csm.assets.removed_at IS 'Out of use from then on; NULL: never';
COMMENT ON COLUMN csm.assets.created_at IS 'When the row was made';
COMMENT ON TABLE csm.asset_contacts IS 'A contact linked to an item or a sold product; he reads it whatever else he may read. For a partner''s contact while the partner looks after the owner';
COMMENT ON COLUMN csm.asset_contacts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.asset_contacts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.asset_contacts.asset_id IS 'The item; exactly one of item and sold product is set';
COMMENT ON COLUMN csm.asset_contacts.sold_product_id IS 'The sold product';
COMMENT ON COLUMN csm.asset_contacts.contact_id IS 'Contact of the account that owns it, or of a partner that looks after that account (23514 else); once for each item';
COMMENT ON TABLE csm.asset_parties IS 'A person or an account authorised on an item or a sold product (B18), or listed there';
COMMENT ON COLUMN csm.asset_parties.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.asset_parties.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.asset_parties.asset_id IS 'The item; exactly one of item and sold product is set';
COMMENT ON COLUMN csm.asset_parties.sold_product_id IS 'The sold product';
COMMENT ON COLUMN csm.asset_parties.user_id IS 'Person authorised; exactly one of person and account is set';
COMMENT ON COLUMN csm.asset_parties.account_id IS 'Account authorised: all its current contacts';
COMMENT ON COLUMN csm.asset_parties.authorized IS 'False: listed only, gives no access';
COMMENT ON COLUMN csm.asset_parties.granted_by IS 'Who authorised; NULL for the system';
COMMENT ON COLUMN csm.asset_parties.valid_during IS 'When it counts; NULL means always';
COMMENT ON FUNCTION csm_private.link_fits(csm.asset_contacts) IS
'Whether the contact belongs to the account that owns the item, or to a current partner of it; false where a person owns it';
COMMENT ON FUNCTION csm_private.manages_item(bigint, bigint, bigint) IS
'Whether the signed-in person has product_manage on the item or the sold product; false for a missing one';
COMMENT ON FUNCTION csm_private.may_link(csm.asset_contacts) IS 'Whether the signed-in person may link this contact to this item';
COMMENT ON FUNCTION csm_private.may_authorize(csm.asset_parties) IS 'Whether the signed-in person may authorise this party on this item';
COMMENT ON FUNCTION csm_private.item_tree_before() IS
'Trigger of csm.sold_products and csm.assets: takes the lock of the trees, begins root_id';
COMMENT ON FUNCTION csm_private.item_tree_after() IS
'Trigger of csm.sold_products and csm.assets: root_id of new and moved rows and of what hangs below; refuses cycles and more than 100 levels (23514)';
COMMENT ON FUNCTION csm_private.item_changes_hands() IS
'Trigger of csm.sold_products and csm.assets: a change of owner ends links and authorisations';
COMMENT ON FUNCTION csm_private.check_link() IS
'Trigger of csm.asset_contacts: refuses a contact who does not fit the item (23514)';
COMMENT ON FUNCTION csm_private.case_asset() IS
'Trigger of csm.cases: the install-base item named must be one that the writer reads (42501, hidden and missing alike)';
