-- How much one consumer may make of the portal: new cases and comments a day,
-- attachments, registered products.
--
-- Enforced in C for every writer of the portal (src/csm_quota.c).  Numbers are
-- the tenant's: csm.tenants.settings, key "quotas".

-- Defaults: R 1B, B44.
CREATE FUNCTION csm_private.quota(settings jsonb, quota text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN settings->'quotas' ? quota THEN (settings->'quotas'->>quota)::integer
            ELSE CASE quota WHEN 'cases_per_day' THEN 10 WHEN 'comments_per_day' THEN 25
                            WHEN 'attachments' THEN 5 WHEN 'products' THEN 25 END END;
ALTER FUNCTION csm_private.quota(jsonb, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.quota(jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.quota(jsonb, text) IS
'A quota from the settings of a tenant, or its default; NULL means no limit. Quotas: cases_per_day 10, comments_per_day 25 (per case), attachments 5 (per record), products 25';

-- What csm itself reads has the right form; a quota is null or a whole number.
ALTER TABLE csm.tenants ADD CONSTRAINT tenants_known_settings_check CHECK (
    (NOT settings ? 'event_notify' OR jsonb_typeof(settings->'event_notify') = 'boolean')
    AND (NOT settings ? 'use_asset_contacts' OR jsonb_typeof(settings->'use_asset_contacts') = 'boolean')
    AND (NOT settings ? 'seal_minutes' OR settings->>'seal_minutes' ~ '^[1-9][0-9]{0,5}$')
    AND (NOT settings ? 'max_attachments' OR settings->>'max_attachments' ~ '^[0-9]{1,9}$')
    AND (NOT settings ? 'max_attachment_bytes' OR settings->>'max_attachment_bytes' ~ '^[0-9]{1,9}$')
    AND (NOT settings ? 'quotas' OR jsonb_typeof(settings->'quotas') = 'object'
         AND (settings->'quotas') - '{cases_per_day,comments_per_day,attachments,products}'::text[] = '{}'
         AND NOT jsonb_path_exists(settings->'quotas', 'strict $.keyvalue().value ? (@ != null
             && (@.type() != "number" || @ < 0 || @ > 1000000 || @.floor() != @))')));
COMMENT ON COLUMN csm.tenants.settings IS 'Settings of the tenant, a JSON object. csm reads event_notify (true: NOTIFY with each event; off by default, because it makes commits wait for one another), use_asset_contacts (true: plain contacts see only install-base items that they are linked to), seal_minutes (between two seals of the history; 60), max_attachments (of a case; 100) and max_attachment_bytes (of one content; 10485760), unless the case type says otherwise, and quotas (cases_per_day 10, comments_per_day 25, attachments 5, products 25; null: no limit), registration, assignable_roles, captcha, community and interactions (README)';

CREATE FUNCTION csm_private.case_quota() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_case_quota' LANGUAGE c;
ALTER FUNCTION csm_private.case_quota() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.case_quota() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.case_quota() IS
'AFTER INSERT trigger of csm.cases: SM007 when a person opened more consumer cases through the portal in 24 hours than the tenant allows';

CREATE FUNCTION csm_private.entry_quota() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_entry_quota' LANGUAGE c;
ALTER FUNCTION csm_private.entry_quota() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.entry_quota() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.entry_quota() IS
'AFTER INSERT trigger of csm.case_entries: SM007 when a person commented more often on a consumer case through the portal in 24 hours than the tenant allows';

CREATE FUNCTION csm_private.enforce_quota(tenant_id bigint, quota text, used bigint) RETURNS void
AS 'MODULE_PATHNAME', 'csm_enforce_quota' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
ALTER FUNCTION csm_private.enforce_quota(bigint, text, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.enforce_quota(bigint, text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.enforce_quota(bigint, text, bigint) IS
'SM007 when used, which counts what is being added, exceeds the quota; nothing for staff, the system, importing and restoring. The caller has locked what it counted, and asks for consumers only. Error 22023 for an unknown quota';

-- Whom it concerns, the functions say: the server would parse a WHEN anew for
-- every statement.
CREATE TRIGGER cases_20_quota AFTER INSERT ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.case_quota();
-- After case_entries_20_effects, which locks the case.
CREATE TRIGGER case_entries_30_quota AFTER INSERT ON csm.case_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.entry_quota();
