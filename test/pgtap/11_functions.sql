-- Functions × roles: who may call what, by name. What a visitor may call stands in 52_guest.sql too.
\set ON_ERROR_STOP on
SELECT * FROM no_plan();
CREATE TEMP TABLE role_of (letter text, name text);
INSERT INTO role_of VALUES ('g', 'csm_guest'), ('p', 'csm_portal'), ('a', 'csm_agent'), ('r', 'csm_reporter'), ('m', 'csm_admin');
CREATE TEMP TABLE expected AS
SELECT f.name, v.roles FROM (VALUES
    -- the DBA, and who is a member of csm_owner
    ('', 'allow_mail_gateway allow_mail_sender create_tenant map_login schedule'),
    -- identity, signing in, predicates of policies, search
    ('gparm', 'time_slice time_slices slice_start in_slices next_slices highlight resemblance resembles search_query search_score account_allows account_known accounts_allowing accounts_known act_as all_in all_tenant asset_allows assets_allowing change_password contains counterparties_allowing counterparty_allows counterparty_contact_allows counterparty_contacts_allowing current_tenant_id current_user_id default_tenant_id guest_tenant_id household_allows households_allowing internal_contact_allows internal_contacts_allowing matches opener_allows openers_allowing organization_allows organizations_allowing parties_allowing partner_accounts_allowing partner_allows partner_contact_allows partner_contacts_allowing party_allows request_password_reset requester_allows requesters_allowing reset_password shared_case_allows shared_cases_allowing sign_in sign_in_password sign_out sold_product_allows sold_products_allowing whoami'),
    ('gp', 'accept_invitation confirm_registration register_consumer register_contact'),
    ('gpam', 'answer search search_facets suggest answer_survey captcha_challenge confirm_email survey_by_token'),
    ('parm', 'account_tree create_api_key explain_access machine_diagram revoke_all_sessions revoke_session start_session state'),
    ('pam', 'predict_fields similar_cases acknowledge acknowledge_mail actions add_contact approve_registration best_entitlement case_as_of case_entitlements case_people colleagues end_contact export_person export_person_in_full invite_contact next_events next_mail person_references reject_registration restrict_contact_access rotate_registration_code send_credentials set_contact_login set_contact_role show_directory update_contact update_profile who_can_see answer_my_survey my_surveys receive_email'),
    ('pa', 'act attach comment dispute_counterparties escalation_options open_case open_follow_up request_escalation set_fields share_case unshare_case'),
    ('p', 'register_product'),
    ('arm', 'business_add business_seconds'),
    ('am', 'assign_registration erase_person find_mentions licence_preview licence_usage merge_users on_behalf_of place_hold redact_mention release_hold request_erasure require_password_change send_password_reset verify_history settle_email'),
    ('a', 'accept_major cancel_major create_children decide_escalation deescalate notes_for open_major propose_major reject_major render_template request_account_escalation use_entitlement_hours'),
    ('m', 'check_case_type create_case_type create_standard_slas import_holidays prune_events recompute_sla refresh_shipped retarget_slas run_due run_due_in run_retention set_provider_keys upsert_users verify_accounts verify_slas'))
    v(roles, names), string_to_table(v.names, ' ') f(name);
CREATE TEMP VIEW actual AS
SELECT p.proname::text AS name, p.oid, r.letter, has_function_privilege(r.name, p.oid, 'EXECUTE') AS may
FROM pg_proc p CROSS JOIN role_of r WHERE p.pronamespace = 'csm'::regnamespace;

SELECT is((SELECT coalesce(string_agg(DISTINCT a.letter, '' ORDER BY a.letter) FILTER (WHERE a.may), '') FROM actual a WHERE a.name = e.name),
          (SELECT coalesce(string_agg(l, '' ORDER BY l), '') FROM string_to_table(nullif(e.roles, ''), NULL) l), 'functions: who may call ' || e.name) FROM expected e ORDER BY e.name;
SELECT is_empty($$SELECT a.oid::regprocedure FROM actual a GROUP BY a.name, a.oid
                  HAVING string_agg(a.letter, '' ORDER BY a.letter) FILTER (WHERE a.may) IS DISTINCT FROM
                         (SELECT string_agg(DISTINCT b.letter, '' ORDER BY b.letter) FILTER (WHERE b.may) FROM actual b WHERE b.name = a.name)$$,
                'functions: of the same name, the same roles');
SELECT is_empty($$SELECT a.oid::regprocedure FROM actual a WHERE a.letter = 'r' AND a.may AND (SELECT p.provolatile = 'v' FROM pg_proc p WHERE p.oid = a.oid)
                    AND a.name NOT IN (SELECT e.name FROM expected e WHERE e.roles ~ 'r')$$, 'functions: reporting calls none that writes');
SELECT * FROM finish();
