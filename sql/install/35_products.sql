-- A minimal catalogue of what is sold and serviced.

CREATE TABLE csm.products (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    name text NOT NULL,
    parent_id bigint,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT products_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT products_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT products_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT products_self_check CHECK (parent_id <> id),
    CONSTRAINT products_name_key UNIQUE NULLS NOT DISTINCT (tenant_id, parent_id, name),
    CONSTRAINT products_name_check CHECK (length(name) BETWEEN 1 AND 200)
);
SELECT csm_private.adopt_table('csm.products');

CREATE POLICY products_select ON csm.products FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (tenant_id = csm.current_tenant_id());
CREATE POLICY products_write ON csm.products FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure') OR csm.all_in(tenant_id, 'b2b', 'product_manage'));
GRANT SELECT ON csm.products TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT INSERT (name, parent_id, active), UPDATE (name, parent_id, active) ON csm.products TO csm_agent, csm_admin;

COMMENT ON TABLE csm.products IS 'Catalogue of products and services, in a tree; a sub-product names its product as parent';
COMMENT ON COLUMN csm.products.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.products.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.products.name IS 'Name, unique below its parent';
COMMENT ON COLUMN csm.products.parent_id IS 'Product above; NULL at the top';
COMMENT ON COLUMN csm.products.active IS 'False: not offered for new cases';
COMMENT ON POLICY products_select ON csm.products IS 'Everyone signed in reads the catalogue of his tenant';
COMMENT ON POLICY products_write ON csm.products IS 'Administrators, and staff with product_manage';
