-- What is done with the install base: the state of an item, who reads all of an
-- account's, registering what one bought.

-- States follow from dates, at the instant of the statement: nothing is written
-- when one begins or ends.
CREATE FUNCTION csm.state(s csm.sold_products) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN s.valid_during IS NULL OR s.valid_during @> statement_timestamp() THEN 'active'
            WHEN lower(s.valid_during) > statement_timestamp() THEN 'in_preparation'
            ELSE 'expired' END;
CREATE FUNCTION csm.state(a csm.assets) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN a.removed_at <= statement_timestamp() THEN 'removed'
            WHEN a.installed_at <= statement_timestamp() THEN 'installed'
            ELSE 'in_preparation' END;

CREATE FUNCTION csm.restrict_contact_access(account_id bigint, restricted boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    UPDATE csm.accounts a SET restrict_contact_access = restricted
    WHERE a.id = restrict_contact_access.account_id AND a.tenant_id = csm.current_tenant_id()
      AND (csm.account_allows(a.id, 'product_manage') OR csm.all_in(a.tenant_id, 'b2b', 'product_manage'));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'products of account % are not yours to manage', account_id
            USING ERRCODE = '42501', HINT = 'An account that you may not see is reported in the same way.';
    END IF;
END $$;

-- A consumer registers what he bought.  His own row is written first: of two
-- registrations at once one waits, and counts what the other left.
CREATE FUNCTION csm.register_product(product_id bigint, serial_number text, purchased_on date DEFAULT NULL) RETURNS csm.assets
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := csm.current_tenant_id();
    serial CONSTANT text := btrim(serial_number, E' \t\r\n');
    held bigint;
    made csm.assets;
BEGIN
    IF csm.requester_allows(me, 'b2c', NULL, 'asset_read') IS NOT TRUE THEN
        RAISE EXCEPTION 'only a consumer registers products' USING ERRCODE = '42501',
            HINT = 'Sign in as a person with the persona consumer.';
    ELSIF product_id IS NULL OR serial IS NULL OR length(serial) NOT BETWEEN 1 AND 100 THEN
        RAISE EXCEPTION 'product and serial number are needed, the latter of 1 to 100 characters' USING ERRCODE = '22023';
    ELSIF purchased_on > current_date + 1 THEN
        RAISE EXCEPTION 'a product cannot have been purchased on %', purchased_on USING ERRCODE = '22023',
            HINT = 'Give the day of the purchase, or leave it out.';
    END IF;
    UPDATE csm.consumers c SET registered_at = c.registered_at WHERE c.user_id = me AND c.tenant_id = tenant;
    SELECT count(*) INTO held FROM csm.assets a
    WHERE a.user_id = me AND a.tenant_id = tenant AND (a.removed_at IS NULL OR a.removed_at > statement_timestamp());
    PERFORM csm_private.enforce_quota(tenant, 'products', held + 1);
    INSERT INTO csm.assets (tenant_id, user_id, product_id, serial_number, purchased_on, installed_at)
    SELECT tenant, me, p.id, serial, purchased_on, clock_timestamp()
    FROM csm.products p WHERE p.id = product_id AND p.tenant_id = tenant AND p.active
    ON CONFLICT ON CONSTRAINT assets_serial_key DO NOTHING
    RETURNING * INTO made;
    IF made.id IS NULL THEN
        -- The same for an unknown product and for a number that somebody holds.
        RAISE EXCEPTION 'product % with serial number "%" cannot be registered', product_id, serial USING ERRCODE = '22023',
            HINT = 'Check product and number; if they are right, ask the service desk.';
    END IF;
    RETURN made;
END $$;

ALTER FUNCTION csm.state(csm.sold_products) OWNER TO csm_owner;
ALTER FUNCTION csm.state(csm.assets) OWNER TO csm_owner;
ALTER FUNCTION csm.restrict_contact_access(bigint, boolean) OWNER TO csm_owner;
ALTER FUNCTION csm.register_product(bigint, text, date) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.state(csm.sold_products), csm.state(csm.assets), csm.restrict_contact_access(bigint, boolean),
    csm.register_product(bigint, text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.state(csm.sold_products), csm.state(csm.assets) TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT EXECUTE ON FUNCTION csm.restrict_contact_access(bigint, boolean) TO csm_portal, csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.register_product(bigint, text, date) TO csm_portal;

COMMENT ON FUNCTION csm.state(csm.sold_products) IS 'State of a sold product now: in_preparation, active or expired';
COMMENT ON FUNCTION csm.state(csm.assets) IS 'State of an install-base item now: in_preparation, installed or removed';
COMMENT ON FUNCTION csm.restrict_contact_access(bigint, boolean) IS
'Switches accounts.restrict_contact_access for who has product_manage on the account (B19): true takes the account-wide reading of sold products and items from plain contacts. Error 42501, for a hidden and a missing account alike';
COMMENT ON FUNCTION csm.register_product(bigint, text, date) IS
'A consumer registers an item he owns and gets it back. Errors: 42501 no consumer, 22023 bad argument, unknown product, or product and serial number held already (whoever holds them), SM007 more than the tenant''s quota of products (25); items removed do not count';
