-- Contracts and entitlements: what service a customer may ask for, and how much
-- of it he has used.
--
-- A case is given an entitlement when it is opened and exactly one fits; staff
-- may choose another that fits.  One counted in cases loses a unit when the
-- case is closed, once.  Closing never fails for want of a unit: what goes
-- beyond the total stands in the ledger csm.entitlement_uses as over-use, and
-- csm.entitlements.used never passes total.
--
-- Units are taken with an UPDATE that asks whether any is left, under the row
-- lock of the entitlement: of two cases that close at once on the last unit one
-- waits and finds none.  Cases under one entitlement close one after the other
-- therefore; those under different ones do not meet.

CREATE TABLE csm.contracts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    account_id bigint,
    user_id bigint,
    branch text NOT NULL GENERATED ALWAYS AS (CASE WHEN account_id IS NULL THEN 'b2c' ELSE 'b2b' END) STORED,
    number text,
    name text NOT NULL,
    draft boolean NOT NULL DEFAULT false,
    cancelled boolean NOT NULL DEFAULT false,
    valid_during tstzrange,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT contracts_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT contracts_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT contracts_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT contracts_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT contracts_number_key UNIQUE (tenant_id, number),
    CONSTRAINT contracts_owner_check CHECK (num_nonnulls(account_id, user_id) = 1),
    CONSTRAINT contracts_text_check CHECK (length(name) BETWEEN 1 AND 200 AND length(number) BETWEEN 1 AND 40)
);
CREATE INDEX contracts_account_idx ON csm.contracts (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX contracts_user_idx ON csm.contracts (user_id) WHERE user_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.contracts');

CREATE TABLE csm.contract_lines (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    contract_id bigint NOT NULL,
    product_id bigint,
    sold_product_id bigint,
    asset_id bigint,
    quantity numeric(12, 3) NOT NULL DEFAULT 1,
    description text,
    CONSTRAINT contract_lines_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT contract_lines_contract_fkey FOREIGN KEY (contract_id, tenant_id) REFERENCES csm.contracts (id, tenant_id),
    CONSTRAINT contract_lines_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT contract_lines_sold_product_fkey FOREIGN KEY (sold_product_id, tenant_id) REFERENCES csm.sold_products (id, tenant_id),
    CONSTRAINT contract_lines_asset_fkey FOREIGN KEY (asset_id, tenant_id) REFERENCES csm.assets (id, tenant_id),
    CONSTRAINT contract_lines_one_thing CHECK (num_nonnulls(product_id, sold_product_id, asset_id) = 1),
    CONSTRAINT contract_lines_once UNIQUE NULLS NOT DISTINCT (contract_id, product_id, sold_product_id, asset_id),
    CONSTRAINT contract_lines_quantity_check CHECK (quantity > 0),
    CONSTRAINT contract_lines_text_check CHECK (length(description) <= 2000)
);
CREATE INDEX contract_lines_sold_product_idx ON csm.contract_lines (sold_product_id) WHERE sold_product_id IS NOT NULL;
CREATE INDEX contract_lines_asset_idx ON csm.contract_lines (asset_id) WHERE asset_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.contract_lines');

CREATE TABLE csm.entitlements (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    holder_account_id bigint,
    holder_user_id bigint,
    branch text GENERATED ALWAYS AS (CASE WHEN holder_account_id IS NOT NULL THEN 'b2b'
                                          WHEN holder_user_id IS NOT NULL THEN 'b2c' END) STORED,
    name text NOT NULL,
    account_id bigint,
    user_id bigint,
    product_id bigint,
    sold_product_id bigint,
    asset_id bigint,
    contract_id bigint,
    calendar_id bigint,
    channels text[],
    valid_during tstzrange,
    unit text NOT NULL DEFAULT 'cases',
    total numeric(12, 2),
    used numeric(12, 2) NOT NULL DEFAULT 0,
    suspended boolean NOT NULL DEFAULT false,
    cancelled boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT entitlements_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT entitlements_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT entitlements_holder_account_fkey FOREIGN KEY (holder_account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT entitlements_holder_user_fkey FOREIGN KEY (holder_user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT entitlements_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT entitlements_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT entitlements_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT entitlements_sold_product_fkey FOREIGN KEY (sold_product_id, tenant_id) REFERENCES csm.sold_products (id, tenant_id),
    CONSTRAINT entitlements_asset_fkey FOREIGN KEY (asset_id, tenant_id) REFERENCES csm.assets (id, tenant_id),
    CONSTRAINT entitlements_contract_fkey FOREIGN KEY (contract_id, tenant_id) REFERENCES csm.contracts (id, tenant_id),
    CONSTRAINT entitlements_owner_check CHECK (num_nonnulls(account_id, user_id) <= 1),
    CONSTRAINT entitlements_named_check CHECK (num_nonnulls(account_id, user_id, product_id, sold_product_id, asset_id, contract_id) >= 1),
    CONSTRAINT entitlements_channels_check CHECK (cardinality(channels) > 0 AND array_position(channels, NULL) IS NULL),
    CONSTRAINT entitlements_unit_check CHECK (unit IN ('cases', 'hours')),
    CONSTRAINT entitlements_used_check CHECK (used >= 0 AND used <= total),
    CONSTRAINT entitlements_whole_check CHECK (unit = 'hours' OR (total = trunc(total)) IS NOT FALSE AND used = trunc(used)),
    CONSTRAINT entitlements_name_check CHECK (length(name) BETWEEN 1 AND 200)
);
CREATE INDEX entitlements_holder_account_idx ON csm.entitlements (holder_account_id) WHERE holder_account_id IS NOT NULL;
CREATE INDEX entitlements_holder_user_idx ON csm.entitlements (holder_user_id) WHERE holder_user_id IS NOT NULL;
CREATE INDEX entitlements_account_idx ON csm.entitlements (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX entitlements_user_idx ON csm.entitlements (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX entitlements_asset_idx ON csm.entitlements (asset_id) WHERE asset_id IS NOT NULL;
CREATE INDEX entitlements_sold_product_idx ON csm.entitlements (sold_product_id) WHERE sold_product_id IS NOT NULL;
CREATE INDEX entitlements_contract_idx ON csm.entitlements (contract_id) WHERE contract_id IS NOT NULL;
CREATE INDEX entitlements_tenant_idx ON csm.entitlements (tenant_id);
CREATE INDEX entitlements_product_idx ON csm.entitlements (tenant_id, product_id)
    WHERE holder_account_id IS NULL AND holder_user_id IS NULL;
SELECT csm_private.adopt_table('csm.entitlements');
SELECT csm_private.signal_on('csm.entitlements', '{tenant_id}', 'entitlement', 'tenant_id');

CREATE TABLE csm.entitlement_uses (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    entitlement_id bigint NOT NULL,
    case_id bigint NOT NULL,
    unit text NOT NULL,
    units numeric(12, 2) NOT NULL,
    over_units numeric(12, 2) NOT NULL DEFAULT 0,
    note text,
    used_by bigint DEFAULT csm.current_user_id(),
    used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT entitlement_uses_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT entitlement_uses_entitlement_fkey FOREIGN KEY (entitlement_id, tenant_id) REFERENCES csm.entitlements (id, tenant_id),
    CONSTRAINT entitlement_uses_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT entitlement_uses_used_by_fkey FOREIGN KEY (used_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT entitlement_uses_units_check CHECK (units > 0 AND over_units BETWEEN 0 AND units),
    CONSTRAINT entitlement_uses_unit_check CHECK (unit IN ('cases', 'hours')),
    CONSTRAINT entitlement_uses_note_check CHECK (length(note) <= 2000)
);
CREATE UNIQUE INDEX entitlement_uses_once_idx ON csm.entitlement_uses (case_id) WHERE unit = 'cases';
CREATE INDEX entitlement_uses_case_idx ON csm.entitlement_uses (case_id);
CREATE INDEX entitlement_uses_entitlement_idx ON csm.entitlement_uses (entitlement_id, used_at);
SELECT csm_private.adopt_table('csm.entitlement_uses');

ALTER TABLE csm.cases ADD CONSTRAINT cases_entitlement_fkey
    FOREIGN KEY (entitlement_id, tenant_id) REFERENCES csm.entitlements (id, tenant_id) NOT VALID;
DO $$
BEGIN
    ALTER TABLE csm.cases VALIDATE CONSTRAINT cases_entitlement_fkey;
EXCEPTION
    WHEN foreign_key_violation THEN
        RAISE WARNING 'cases name entitlements that do not exist'
            USING DETAIL = SQLERRM,
                  HINT = 'Clear entitlement_id of open ones, then ALTER TABLE csm.cases VALIDATE CONSTRAINT cases_entitlement_fkey.';
END $$;

-- Who reads: reach of entitlement_read on whose it is.  An entitlement of
-- nobody, for a product alone, is for staff to see.
DO $$
DECLARE
    reads CONSTANT text := 'csm.account_allows(%1$s, ''entitlement_read'') '
        'OR (%2$s IS NOT NULL AND csm.requester_allows(%2$s, ''b2c'', NULL, ''entitlement_read''))';
    everywhere CONSTANT text := ' OR csm.all_in(tenant_id, branch, ''entitlement_read'')';
    of_nobody CONSTANT text := ' OR (holder_account_id IS NULL AND holder_user_id IS NULL AND tenant_id = csm.all_tenant(''entitlement_read''))';
    manages CONSTANT text := 'csm.all_in(tenant_id, coalesce(branch, ''b2b''), ''product_manage'')';
    item record;
BEGIN
    FOR item IN SELECT * FROM (VALUES ('contracts', format(reads, 'account_id', 'user_id'), everywhere),
                                      ('entitlements', format(reads, 'holder_account_id', 'holder_user_id'), everywhere || of_nobody))
                AS v(tab, asks, staff)
    LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_portal USING (%2$s)', item.tab, item.asks);
        EXECUTE format('CREATE POLICY %1$s_select_staff ON csm.%1$s FOR SELECT TO csm_agent, csm_reporter, csm_admin USING (%2$s)',
                       item.tab, item.asks || item.staff);
        EXECUTE format('CREATE POLICY %1$s_insert ON csm.%1$s FOR INSERT TO csm_agent, csm_admin WITH CHECK (%2$s)', item.tab, manages);
        EXECUTE format('CREATE POLICY %1$s_update ON csm.%1$s FOR UPDATE TO csm_agent, csm_admin USING (%2$s)', item.tab, manages);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS %2$L', item.tab, 'The holder''s people by reach of entitlement_read, and the consumer himself');
        EXECUTE format('COMMENT ON POLICY %1$s_select_staff ON csm.%1$s IS %2$L', item.tab, 'The same, and staff by reach of entitlement_read');
        EXECUTE format('COMMENT ON POLICY %1$s_insert ON csm.%1$s IS %2$L', item.tab, 'Staff with product_manage for the branch');
        EXECUTE format('COMMENT ON POLICY %1$s_update ON csm.%1$s IS %2$L', item.tab, 'Staff with product_manage for the branch');
        EXECUTE format('GRANT SELECT ON csm.%s TO csm_portal, csm_agent, csm_admin', item.tab);
    END LOOP;
END $$;
CREATE POLICY contract_lines_select ON csm.contract_lines FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (EXISTS (SELECT FROM csm.contracts c WHERE c.id = contract_id AND c.tenant_id = contract_lines.tenant_id));
CREATE POLICY contract_lines_write ON csm.contract_lines FOR ALL TO csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.contracts c WHERE c.id = contract_id AND c.tenant_id = contract_lines.tenant_id
                   AND csm.all_in(c.tenant_id, c.branch, 'product_manage')));
CREATE POLICY entitlement_uses_select ON csm.entitlement_uses FOR SELECT TO csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = entitlement_uses.tenant_id)
       AND EXISTS (SELECT FROM csm.entitlements e WHERE e.id = entitlement_id AND e.tenant_id = entitlement_uses.tenant_id));
GRANT SELECT ON csm.contract_lines TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT SELECT ON csm.entitlement_uses TO csm_agent, csm_admin;
GRANT SELECT (id, tenant_id, account_id, branch, number, draft, cancelled, valid_during, created_at) ON csm.contracts TO csm_reporter;
GRANT SELECT (id, tenant_id, holder_account_id, branch, account_id, product_id, sold_product_id, asset_id, contract_id, calendar_id,
              channels, valid_during, unit, total, used, suspended, cancelled, created_at) ON csm.entitlements TO csm_reporter;
GRANT INSERT (account_id, user_id, number, name, draft, cancelled, valid_during),
      UPDATE (number, name, draft, cancelled, valid_during) ON csm.contracts TO csm_agent, csm_admin;
GRANT INSERT (contract_id, product_id, sold_product_id, asset_id, quantity, description), DELETE
    ON csm.contract_lines TO csm_agent, csm_admin;
GRANT INSERT (name, account_id, user_id, product_id, sold_product_id, asset_id, contract_id, calendar_id, channels, valid_during,
              unit, total, suspended, cancelled),
      UPDATE (name, account_id, user_id, product_id, sold_product_id, asset_id, contract_id, calendar_id, channels, valid_during,
              total, suspended, cancelled) ON csm.entitlements TO csm_agent, csm_admin;
COMMENT ON POLICY contract_lines_select ON csm.contract_lines IS 'Whoever reads the contract';
COMMENT ON POLICY contract_lines_write ON csm.contract_lines IS 'Staff with product_manage for the branch of the contract';
COMMENT ON POLICY entitlement_uses_select ON csm.entitlement_uses IS 'Staff who see both the case and the entitlement';

CREATE FUNCTION csm.state(c csm.contracts) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN c.cancelled THEN 'cancelled'
            WHEN c.draft OR lower(c.valid_during) > statement_timestamp() THEN 'draft'
            WHEN c.valid_during IS NULL OR c.valid_during @> statement_timestamp() THEN 'active'
            ELSE 'expired' END;
CREATE FUNCTION csm.state(e csm.entitlements) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN e.cancelled THEN 'cancelled'
            WHEN lower(e.valid_during) > statement_timestamp() THEN 'draft'
            WHEN NOT (e.valid_during IS NULL OR e.valid_during @> statement_timestamp()) THEN 'expired'
            WHEN e.suspended THEN 'suspended'
            ELSE 'active' END;

-- Whose an entitlement is: the account or person it names, else the owner of
-- the item, the sold product or the contract that it names.
CREATE FUNCTION csm_private.entitlement_holder() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    NEW.holder_account_id := NEW.account_id;
    NEW.holder_user_id := NEW.user_id;
    IF num_nonnulls(NEW.account_id, NEW.user_id) = 0 THEN
        SELECT o.account_id, o.user_id INTO NEW.holder_account_id, NEW.holder_user_id
        FROM (SELECT 1 AS rank, a.account_id, a.user_id FROM csm.assets a
              WHERE a.id = NEW.asset_id AND a.tenant_id = NEW.tenant_id
            UNION ALL
              SELECT 2, s.account_id, s.user_id FROM csm.sold_products s
              WHERE s.id = NEW.sold_product_id AND s.tenant_id = NEW.tenant_id
            UNION ALL
              SELECT 3, c.account_id, c.user_id FROM csm.contracts c
              WHERE c.id = NEW.contract_id AND c.tenant_id = NEW.tenant_id) o
        ORDER BY o.rank LIMIT 1;
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION csm_private.holder_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        UPDATE csm.entitlements e SET name = e.name
        WHERE e.tenant_id = NEW.tenant_id AND num_nonnulls(e.account_id, e.user_id) = 0
          AND CASE TG_TABLE_NAME WHEN 'assets' THEN e.asset_id WHEN 'sold_products' THEN e.sold_product_id ELSE e.contract_id END = NEW.id;
    END IF;
    RETURN NULL;
END $$;

-- A contract covers things of its own owner; a product of the catalogue is
-- nobody's.
CREATE FUNCTION csm_private.check_line() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() AND NEW.product_id IS NULL
       AND NOT EXISTS (
           SELECT FROM csm.contracts c
           JOIN (SELECT a.account_id, a.user_id FROM csm.assets a WHERE a.id = NEW.asset_id AND a.tenant_id = NEW.tenant_id
               UNION ALL
                 SELECT s.account_id, s.user_id FROM csm.sold_products s
                 WHERE s.id = NEW.sold_product_id AND s.tenant_id = NEW.tenant_id) o
             ON (o.account_id, o.user_id) IS NOT DISTINCT FROM (c.account_id, c.user_id)
           WHERE c.id = NEW.contract_id AND c.tenant_id = NEW.tenant_id) THEN
        RAISE EXCEPTION 'contract % cannot cover what its owner does not own', NEW.contract_id
            USING ERRCODE = '23514', HINT = 'Name an item or a sold product of the same account or person.';
    END IF;
    RETURN NULL;
END $$;

-- What a case can be worked under: everything that an entitlement names must be
-- the case's.  Each look-up below is one index, by ids alone (which keep to
-- their tenant by the foreign keys), so that a plan made while the tables were
-- empty stays right.  Of what they find, entitlements that are not valid now,
-- out of units, or for another channel are left out.  A contract counts while
-- it is active, for its own account or person, and, if it has lines, for what
-- they cover.
CREATE FUNCTION csm_private.entitlement_candidates(tenant_id bigint, account_id bigint, user_id bigint, product_id bigint,
    asset_id bigint, channel text, at_time timestamptz)
RETURNS TABLE (entitlement_id bigint, weight integer, ends_at timestamptz)
LANGUAGE sql STABLE ROWS 2
BEGIN ATOMIC
    SELECT e.id,
           CASE WHEN e.account_id IS NOT NULL OR e.user_id IS NOT NULL THEN 1 ELSE 0 END
         + CASE WHEN e.product_id IS NOT NULL THEN 2 ELSE 0 END
         + CASE WHEN e.asset_id IS NOT NULL OR e.sold_product_id IS NOT NULL THEN 3 ELSE 0 END
         + CASE WHEN e.contract_id IS NOT NULL THEN 4 ELSE 0 END,
           upper(e.valid_during)
    FROM (SELECT a.sold_product_id, coalesce($4, a.product_id) AS product_id
          FROM (SELECT) one LEFT JOIN csm.assets a ON a.id = $5) about
    CROSS JOIN LATERAL (
        SELECT x.id FROM csm.entitlements x WHERE x.holder_account_id = $2
      UNION
        SELECT x.id FROM csm.entitlements x WHERE x.holder_user_id = $3
      UNION
        SELECT x.id FROM csm.entitlements x WHERE x.asset_id = $5
      UNION
        SELECT x.id FROM csm.entitlements x WHERE x.sold_product_id = about.sold_product_id
      UNION
        SELECT x.id FROM csm.entitlements x
        WHERE x.tenant_id = $1 AND x.product_id = about.product_id AND x.holder_account_id IS NULL AND x.holder_user_id IS NULL) k
    -- row by row, whatever the planner makes of the size of the table
    CROSS JOIN LATERAL (SELECT x.* FROM csm.entitlements x WHERE x.id = k.id OFFSET 0) e
    WHERE NOT e.suspended AND NOT e.cancelled
      AND (e.total IS NULL OR e.used < e.total)
      AND (e.valid_during IS NULL OR e.valid_during @> $7)
      AND (e.channels IS NULL OR $6 = ANY (e.channels))
      AND (e.account_id IS NULL OR e.account_id = $2)
      AND (e.user_id IS NULL OR e.user_id = $3)
      AND (e.product_id IS NULL OR e.product_id = about.product_id)
      AND (e.asset_id IS NULL OR e.asset_id = $5)
      AND (e.sold_product_id IS NULL OR e.sold_product_id = about.sold_product_id)
      AND (e.contract_id IS NULL
           OR (SELECT (c.account_id = $2 OR c.user_id = $3) AND NOT c.draft AND NOT c.cancelled
                      AND (c.valid_during IS NULL OR c.valid_during @> $7)
                      AND coalesce((SELECT bool_or(coalesce(l.asset_id = $5 OR l.sold_product_id = about.sold_product_id
                                                            OR l.product_id = about.product_id, false))
                                    FROM csm.contract_lines l WHERE l.contract_id = c.id), true)
               FROM csm.contracts c WHERE c.id = e.contract_id));
END;

CREATE FUNCTION csm.case_entitlements(case_id bigint)
RETURNS TABLE (entitlement_id bigint, name text, weight integer, ends_at timestamptz, remaining numeric)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_entitlements.case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND csm_private.acts_as_system()) THEN
        RAISE EXCEPTION 'case % does not exist', case_entitlements.case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    END IF;
    RETURN QUERY
        SELECT e.id, e.name, k.weight, k.ends_at, e.total - e.used
        FROM csm_private.entitlement_candidates(c.tenant_id, c.account_id, CASE WHEN c.branch <> 'b2b' THEN c.requester_id END,
                                                c.product_id, c.asset_id, c.channel, statement_timestamp()) k
        JOIN csm.entitlements e ON e.id = k.entitlement_id AND e.tenant_id = c.tenant_id
        WHERE csm_private.acts_as_system()
           OR csm.account_allows(e.holder_account_id, 'entitlement_read')
           OR csm.requester_allows(e.holder_user_id, 'b2c', NULL, 'entitlement_read')
           OR csm.all_in(e.tenant_id, coalesce(e.branch, c.branch), 'entitlement_read')
        ORDER BY k.weight DESC, k.ends_at NULLS LAST, e.id;
END $$;
CREATE FUNCTION csm.best_entitlement(case_id bigint) RETURNS bigint
LANGUAGE sql STABLE
RETURN (SELECT e.entitlement_id FROM csm.case_entitlements($1) e
        ORDER BY e.weight DESC, e.ends_at NULLS LAST, e.entitlement_id LIMIT 1);

CREATE FUNCTION csm_private.fill_entitlement() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_fill_entitlement' LANGUAGE c;
CREATE FUNCTION csm_private.use_entitlement() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_use_entitlement' LANGUAGE c;

-- Choosing is the work of staff, and among what fits.
CREATE FUNCTION csm_private.check_entitlement() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() OR csm_private.importing() OR csm_private.acts_as_system() THEN
        RETURN NEW;
    END IF;
    IF NOT EXISTS (SELECT FROM csm.entitlements e
                   WHERE e.id = NEW.entitlement_id AND e.tenant_id = NEW.tenant_id
                     AND (csm.account_allows(e.holder_account_id, 'entitlement_read')
                          OR csm.requester_allows(e.holder_user_id, 'b2c', NULL, 'entitlement_read')
                          OR csm.all_in(e.tenant_id, coalesce(e.branch, NEW.branch), 'entitlement_read'))) THEN
        RAISE EXCEPTION 'entitlement % does not exist', NEW.entitlement_id
            USING ERRCODE = '42501', HINT = 'One that you may not see is reported in the same way.';
    ELSIF NOT EXISTS (SELECT FROM csm_private.entitlement_candidates(NEW.tenant_id, NEW.account_id,
                          CASE WHEN NEW.branch <> 'b2b' THEN NEW.requester_id END, NEW.product_id, NEW.asset_id, NEW.channel,
                          statement_timestamp()) k
                      WHERE k.entitlement_id = NEW.entitlement_id) THEN
        RAISE EXCEPTION 'entitlement % does not fit case %', NEW.entitlement_id, NEW.number
            USING ERRCODE = '23514', HINT = format('csm.case_entitlements(%s) lists those that do.', NEW.id);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION csm.use_entitlement_hours(case_id bigint, hours numeric, note text DEFAULT NULL) RETURNS csm.entitlement_uses
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
    e csm.entitlements;
    asked CONSTANT numeric := round(hours, 2);
    taken numeric;
    made csm.entitlement_uses;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND csm_private.acts_as_system()) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT (csm_private.case_allows(c, 'case_work') OR csm_private.acts_as_system()) THEN
        RAISE EXCEPTION 'hours on case % are not yours to book', c.number USING ERRCODE = '42501',
            HINT = 'Hours are booked by staff who work on the case.';
    ELSIF asked IS NULL OR NOT asked BETWEEN 0.01 AND 10000 THEN
        RAISE EXCEPTION 'hours must be between 0.01 and 10000' USING ERRCODE = '22023';
    ELSIF length(note) > 2000 THEN
        RAISE EXCEPTION 'note is longer than 2000 characters' USING ERRCODE = '22023';
    END IF;
    -- The case first, then its entitlement: the order in which closing locks.
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id FOR NO KEY UPDATE;
    IF c.state_class IN ('closed', 'cancelled') THEN
        RAISE EXCEPTION 'case % is closed', c.number USING ERRCODE = 'SM004', HINT = 'Book the hours before it is closed.';
    END IF;
    SELECT * INTO e FROM csm.entitlements x WHERE x.id = c.entitlement_id AND x.tenant_id = c.tenant_id FOR NO KEY UPDATE;
    IF e.unit IS DISTINCT FROM 'hours' THEN
        RAISE EXCEPTION 'case % is not worked under an entitlement of hours', c.number USING ERRCODE = '22023',
            HINT = format('csm.case_entitlements(%s) lists what fits it.', case_id);
    END IF;
    taken := least(asked, coalesce(e.total - e.used, asked));
    UPDATE csm.entitlements x SET used = x.used + taken WHERE x.id = e.id AND x.tenant_id = e.tenant_id;
    INSERT INTO csm.entitlement_uses (tenant_id, entitlement_id, case_id, unit, units, over_units, note)
    VALUES (c.tenant_id, e.id, c.id, 'hours', asked, asked - taken, note)
    RETURNING * INTO made;
    IF made.over_units > 0 THEN
        PERFORM csm_private.emit(c.tenant_id, c.id, 'entitlement_overused',
            jsonb_build_object('entitlement_id', e.id, 'over_units', made.over_units), 'internal');
    END IF;
    RETURN made;
END $$;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm.state(csm.contracts)',
        'csm.state(csm.entitlements)',
        'csm.case_entitlements(bigint)',
        'csm.best_entitlement(bigint)',
        'csm.use_entitlement_hours(bigint, numeric, text)',
        'csm_private.entitlement_holder()',
        'csm_private.holder_changes()',
        'csm_private.check_line()',
        'csm_private.entitlement_candidates(bigint, bigint, bigint, bigint, bigint, text, timestamptz)',
        'csm_private.fill_entitlement()',
        'csm_private.use_entitlement()',
        'csm_private.check_entitlement()']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.state(csm.contracts), csm.state(csm.entitlements) TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT EXECUTE ON FUNCTION csm.case_entitlements(bigint), csm.best_entitlement(bigint) TO csm_portal, csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.use_entitlement_hours(bigint, numeric, text) TO csm_agent;

-- not for a unit taken
CREATE TRIGGER entitlements_10_holder BEFORE INSERT OR UPDATE OF name, holder_account_id, holder_user_id, account_id, user_id,
        sold_product_id, asset_id, contract_id ON csm.entitlements
    FOR EACH ROW EXECUTE FUNCTION csm_private.entitlement_holder();
CREATE TRIGGER assets_40_holder AFTER UPDATE ON csm.assets FOR EACH ROW
    WHEN (OLD.account_id IS DISTINCT FROM NEW.account_id OR OLD.user_id IS DISTINCT FROM NEW.user_id)
    EXECUTE FUNCTION csm_private.holder_changes();
CREATE TRIGGER sold_products_40_holder AFTER UPDATE ON csm.sold_products FOR EACH ROW
    WHEN (OLD.account_id IS DISTINCT FROM NEW.account_id OR OLD.user_id IS DISTINCT FROM NEW.user_id)
    EXECUTE FUNCTION csm_private.holder_changes();
CREATE TRIGGER contracts_40_holder AFTER UPDATE ON csm.contracts FOR EACH ROW
    WHEN (OLD.account_id IS DISTINCT FROM NEW.account_id OR OLD.user_id IS DISTINCT FROM NEW.user_id)
    EXECUTE FUNCTION csm_private.holder_changes();
CREATE TRIGGER contract_lines_10_fit AFTER INSERT OR UPDATE ON csm.contract_lines
    FOR EACH ROW EXECUTE FUNCTION csm_private.check_line();
CREATE TRIGGER entitlement_uses_10_append_only BEFORE UPDATE OR DELETE ON csm.entitlement_uses
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('note');
CREATE TRIGGER entitlement_uses_10_append_only_truncate BEFORE TRUNCATE ON csm.entitlement_uses
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();
-- One that is given is judged before one is filled in.
CREATE TRIGGER cases_20_entitlement BEFORE INSERT ON csm.cases FOR EACH ROW
    WHEN (NEW.entitlement_id IS NOT NULL) EXECUTE FUNCTION csm_private.check_entitlement();
CREATE TRIGGER cases_20_entitlement_update BEFORE UPDATE OF entitlement_id ON csm.cases FOR EACH ROW
    WHEN (NEW.entitlement_id IS NOT NULL AND NEW.entitlement_id IS DISTINCT FROM OLD.entitlement_id)
    EXECUTE FUNCTION csm_private.check_entitlement();
CREATE TRIGGER cases_30_entitlement BEFORE INSERT ON csm.cases FOR EACH ROW
    EXECUTE FUNCTION csm_private.fill_entitlement();
CREATE TRIGGER cases_70_entitlement AFTER UPDATE ON csm.cases FOR EACH ROW
    EXECUTE FUNCTION csm_private.use_entitlement();

COMMENT ON TABLE csm.contracts IS 'Service contracts of an account or a person';
COMMENT ON COLUMN csm.contracts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.contracts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.contracts.account_id IS 'Account whose contract it is; exactly one of account and person is set';
COMMENT ON COLUMN csm.contracts.user_id IS 'Consumer whose contract it is';
COMMENT ON COLUMN csm.contracts.branch IS 'b2b where it is an account''s, else b2c';
COMMENT ON COLUMN csm.contracts.number IS 'Number, unique in the tenant; NULL for none';
COMMENT ON COLUMN csm.contracts.name IS 'Name that people read';
COMMENT ON COLUMN csm.contracts.draft IS 'True: not approved yet, covers nothing';
COMMENT ON COLUMN csm.contracts.cancelled IS 'True: covers nothing any more';
COMMENT ON COLUMN csm.contracts.valid_during IS 'When it holds; NULL means always. csm.state() makes draft, active, expired or cancelled of the flags and this';
COMMENT ON COLUMN csm.contracts.created_at IS 'When the row was made';
COMMENT ON TABLE csm.contract_lines IS 'What a contract covers; one without lines covers everything of its owner';
COMMENT ON COLUMN csm.contract_lines.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.contract_lines.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.contract_lines.contract_id IS 'The contract';
COMMENT ON COLUMN csm.contract_lines.product_id IS 'Product covered; exactly one of product, sold product and item is set';
COMMENT ON COLUMN csm.contract_lines.sold_product_id IS 'Sold product covered, of the same owner (23514 else), with the items that came with it';
COMMENT ON COLUMN csm.contract_lines.asset_id IS 'Install-base item covered, of the same owner (23514 else)';
COMMENT ON COLUMN csm.contract_lines.quantity IS 'How many are covered; for people to read';
COMMENT ON COLUMN csm.contract_lines.description IS 'In words; NULL for none';
COMMENT ON TABLE csm.entitlements IS 'A right to service: for an account or person, a product, a sold product or item, a contract, or several of them at once, which a case must then meet all';
COMMENT ON COLUMN csm.entitlements.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.entitlements.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.entitlements.holder_account_id IS 'Account whose it is: the one named, else the owner of item, sold product or contract; kept by trigger';
COMMENT ON COLUMN csm.entitlements.holder_user_id IS 'Consumer whose it is, likewise; both NULL for an entitlement that names a product alone';
COMMENT ON COLUMN csm.entitlements.branch IS 'b2b or b2c by its holder; NULL without';
COMMENT ON COLUMN csm.entitlements.name IS 'Name that people read';
COMMENT ON COLUMN csm.entitlements.account_id IS 'Cases of this account; NULL does not ask. Weight 1';
COMMENT ON COLUMN csm.entitlements.user_id IS 'Cases of this consumer; NULL does not ask. Weight 1';
COMMENT ON COLUMN csm.entitlements.product_id IS 'Cases on this product, named by the case or else by its item; NULL does not ask. Weight 2';
COMMENT ON COLUMN csm.entitlements.sold_product_id IS 'Cases on an item that came with this sold product; NULL does not ask. Weight 3 (once, with asset_id)';
COMMENT ON COLUMN csm.entitlements.asset_id IS 'Cases on this install-base item; NULL does not ask. Weight 3';
COMMENT ON COLUMN csm.entitlements.contract_id IS 'Cases that this contract covers while it is active; NULL does not ask. Weight 4';
COMMENT ON COLUMN csm.entitlements.calendar_id IS 'Calendar by which service is given; NULL for none of its own';
COMMENT ON COLUMN csm.entitlements.channels IS 'Channels by which the case must have come in; NULL for any';
COMMENT ON COLUMN csm.entitlements.valid_during IS 'When it holds; NULL means always';
COMMENT ON COLUMN csm.entitlements.unit IS 'What is counted: cases (one at closing) or hours (csm.use_entitlement_hours())';
COMMENT ON COLUMN csm.entitlements.total IS 'Units bought; NULL for no limit';
COMMENT ON COLUMN csm.entitlements.used IS 'Units used, never more than total; beyond it see csm.entitlement_uses.over_units';
COMMENT ON COLUMN csm.entitlements.suspended IS 'True: fits no case for the time being';
COMMENT ON COLUMN csm.entitlements.cancelled IS 'True: fits no case any more';
COMMENT ON COLUMN csm.entitlements.created_at IS 'When the row was made';
COMMENT ON TABLE csm.entitlement_uses IS 'Ledger of what was used of entitlements, and by which case; append-only';
COMMENT ON COLUMN csm.entitlement_uses.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.entitlement_uses.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.entitlement_uses.entitlement_id IS 'The entitlement';
COMMENT ON COLUMN csm.entitlement_uses.case_id IS 'The case; of unit cases it has one row at most';
COMMENT ON COLUMN csm.entitlement_uses.unit IS 'cases or hours';
COMMENT ON COLUMN csm.entitlement_uses.units IS 'Units of service given';
COMMENT ON COLUMN csm.entitlement_uses.over_units IS 'How many of them the entitlement had none left for; the rest counts in csm.entitlements.used';
COMMENT ON COLUMN csm.entitlement_uses.note IS 'What for, up to 2,000 characters; NULL for none';
COMMENT ON COLUMN csm.entitlement_uses.used_by IS 'Who closed the case or booked the hours; NULL for the system';
COMMENT ON COLUMN csm.entitlement_uses.used_at IS 'When';
COMMENT ON FUNCTION csm.state(csm.contracts) IS 'State of a contract now: draft (also before it begins), active, expired or cancelled';
COMMENT ON FUNCTION csm.state(csm.entitlements) IS 'State of an entitlement now: draft (before it begins), active, suspended, expired or cancelled; says nothing of units left';
COMMENT ON FUNCTION csm.case_entitlements(bigint) IS
'The entitlements that fit a case now and that the caller reads, best first: sum of the weights of what they name (account or person 1, product 2, sold product or item 3, contract 4), then the earlier end, then the lower id. remaining: units left, NULL for no limit. Error SM001 for a hidden and a missing case alike';
COMMENT ON FUNCTION csm.best_entitlement(bigint) IS
'The first of csm.case_entitlements(): its id, NULL when none fits. Error SM001';
COMMENT ON FUNCTION csm.use_entitlement_hours(bigint, numeric, text) IS
'Books hours of work on the entitlement of a case and returns the row of the ledger; what is more than is left becomes over-use. Hours are rounded to two decimals. Errors: SM001 no such case, 42501 not working on it, SM004 case closed, 22023 hours out of range, note too long, or the case has no entitlement of hours';
COMMENT ON FUNCTION csm_private.entitlement_holder() IS 'Trigger of csm.entitlements: keeps the holder';
COMMENT ON FUNCTION csm_private.holder_changes() IS 'Trigger of what an entitlement may name: a new owner becomes the holder';
COMMENT ON FUNCTION csm_private.check_line() IS 'Trigger of csm.contract_lines: what is covered belongs to the contract''s owner (23514)';
COMMENT ON FUNCTION csm_private.entitlement_candidates(bigint, bigint, bigint, bigint, bigint, text, timestamptz) IS
'Entitlements that fit a case of this account or person, product, item and channel at the instant, with the sum of their weights; whoever asks';
COMMENT ON FUNCTION csm_private.fill_entitlement() IS 'Trigger of csm.cases: gives a new case the entitlement that fits, when exactly one does';
COMMENT ON FUNCTION csm_private.use_entitlement() IS 'Trigger of csm.cases: a closed case uses a unit of an entitlement counted in cases, once';
COMMENT ON FUNCTION csm_private.check_entitlement() IS
'Trigger of csm.cases: an entitlement chosen must be readable (42501, hidden and missing alike) and fit the case (23514)';
