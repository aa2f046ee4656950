-- The catalogue: the rules that the install script checks are met, each is seen when it is broken, and those that tests
-- check beside them.
BEGIN;
SELECT no_plan();

SELECT is_empty('SELECT * FROM csm_private.verify_install()', 'verify_install: nothing to report');

-- Break one rule, ask, undo. True when exactly the given problem is reported for an object of that name.
CREATE FUNCTION pg_temp.finds(ddl text, problem text, object text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    BEGIN
        EXECUTE ddl;
        SELECT string_agg(v.problem || ': ' || v.object, '; ' ORDER BY v.object, v.problem) INTO found FROM csm_private.verify_install() v;
        RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
    EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN NULL;
    END;
    RETURN QUERY SELECT is(found, problem || ': ' || object, 'verify_install: finds ' || problem);
END $$;
-- a table in which all is right
CREATE FUNCTION pg_temp.good_table(name text) RETURNS text LANGUAGE sql AS $$
    SELECT format($f$
        CREATE TABLE %1$s (a integer);
        ALTER TABLE %1$s OWNER TO csm_owner, ENABLE ROW LEVEL SECURITY;
        COMMENT ON TABLE %1$s IS 'x'; COMMENT ON COLUMN %1$s.a IS 'x';
        ALTER EXTENSION csm ADD TABLE %1$s;
        UPDATE pg_extension SET extconfig = extconfig || '%1$s'::regclass::oid, extcondition = extcondition || '{""}' WHERE extname = 'csm';
    $f$, name)
$$;
CREATE FUNCTION pg_temp.good_function(name text, attributes text) RETURNS text LANGUAGE sql AS $$
    SELECT format($f$
        CREATE FUNCTION %1$s() RETURNS integer %2$s;
        ALTER FUNCTION %1$s() OWNER TO csm_owner; REVOKE ALL ON FUNCTION %1$s() FROM PUBLIC;
        COMMENT ON FUNCTION %1$s() IS 'x'; ALTER EXTENSION csm ADD FUNCTION %1$s();
    $f$, name, attributes)
$$;

SELECT pg_temp.finds('ALTER TABLE csm.cases DISABLE ROW LEVEL SECURITY', 'table without row-level security', 'csm.cases');
SELECT pg_temp.finds('ALTER TABLE csm_private.tree_moves DISABLE ROW LEVEL SECURITY', 'table without row-level security', 'csm_private.tree_moves');
SELECT pg_temp.finds('DROP POLICY groups_tenant ON csm.groups', 'table without restrictive tenant policy', 'csm.groups');
SELECT pg_temp.finds('DROP POLICY groups_tenant ON csm.groups; CREATE POLICY groups_tenant ON csm.groups AS RESTRICTIVE USING (true);
                      COMMENT ON POLICY groups_tenant ON csm.groups IS ''x''', 'table without restrictive tenant policy', 'csm.groups');
SELECT pg_temp.finds('ALTER POLICY groups_tenant ON csm.groups TO csm_portal', 'table without restrictive tenant policy', 'csm.groups');
SELECT pg_temp.finds(pg_temp.good_table('csm.planted'), 'table without restrictive tenant policy', 'csm.planted');
SELECT pg_temp.finds('GRANT SELECT ON csm.groups TO csm_portal', 'privilege without policy', 'SELECT on csm.groups to csm_portal');
SELECT pg_temp.finds('GRANT UPDATE (subject) ON csm.cases TO csm_portal', 'privilege without policy', 'UPDATE on csm.cases to csm_portal');
SELECT pg_temp.finds('GRANT TRUNCATE ON csm.groups TO csm_admin', 'privilege that row-level security does not bind', 'TRUNCATE on csm.groups to csm_admin');
SELECT pg_temp.finds('ALTER VIEW csm_report.cases SET (security_invoker = false)', 'view without security_invoker', 'csm_report.cases');
SELECT pg_temp.finds($$CREATE VIEW csm_report.planted WITH (security_invoker = true) AS SELECT '{}'::jsonb AS j; ALTER VIEW csm_report.planted OWNER TO csm_owner;
                       COMMENT ON VIEW csm_report.planted IS 'x'; COMMENT ON COLUMN csm_report.planted.j IS 'x'; ALTER EXTENSION csm ADD VIEW csm_report.planted$$,
                     'report column of a type that BI tools cannot read', 'csm_report.planted.j');
SELECT pg_temp.finds(pg_temp.good_function('csm.planted', 'LANGUAGE sql SECURITY DEFINER AS ''SELECT 1'''), 'function without pinned search_path', 'csm.planted()');
SELECT pg_temp.finds(pg_temp.good_function('csm.planted', 'LANGUAGE sql SECURITY DEFINER SET search_path = csm, pg_temp RETURN 1'), 'function without pinned search_path', 'csm.planted()');
SELECT pg_temp.finds(pg_temp.good_function('csm.planted', 'LANGUAGE plpgsql AS ''BEGIN RETURN 1; END'''), 'function without pinned search_path', 'csm.planted()');
SELECT pg_temp.finds(pg_temp.good_function('csm.planted', 'LANGUAGE internal SECURITY DEFINER AS ''pg_backend_pid'''), 'SECURITY DEFINER function without pinned search_path', 'csm.planted()');
SELECT pg_temp.finds(pg_temp.good_function('csm.planted', 'LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp RETURN 1')
                     || '; ALTER FUNCTION csm.planted() OWNER TO ' || quote_ident(current_user),
                     'SECURITY DEFINER function of a superuser', 'csm.planted(); owner is not csm_owner: csm.planted()');
SELECT pg_temp.finds(pg_temp.good_function('csm.planted', 'LANGUAGE sql RETURN 1') || '; ALTER FUNCTION csm.planted() OWNER TO csm_admin', 'owner is not csm_owner', 'csm.planted()');
SELECT pg_temp.finds('ALTER SCHEMA csm_report OWNER TO csm_admin', 'owner is not csm_owner', 'schema csm_report');
SELECT pg_temp.finds('ALTER VIEW csm_report.cases OWNER TO csm_admin', 'owner is not csm_owner', 'csm_report.cases');
SELECT pg_temp.finds($$UPDATE pg_extension SET extconfig = array_remove(extconfig, 'csm.cases'::regclass::oid) WHERE extname = 'csm'$$, 'not registered for dump', 'csm.cases');
SELECT pg_temp.finds($$UPDATE pg_extension SET extconfig = array_remove(extconfig, 'csm.cases_id_seq'::regclass::oid) WHERE extname = 'csm'$$, 'not registered for dump', 'csm.cases_id_seq');
SELECT pg_temp.finds('COMMENT ON TABLE csm.cases IS NULL', 'without comment', 'csm.cases');
SELECT pg_temp.finds('COMMENT ON COLUMN csm_private.tree_moves.moves IS NULL', 'without comment', 'csm_private.tree_moves.moves');
SELECT pg_temp.finds('COMMENT ON COLUMN csm_report.cases.age_seconds IS NULL', 'without comment', 'csm_report.cases.age_seconds');
SELECT pg_temp.finds('COMMENT ON FUNCTION csm.contains(text, text) IS NULL', 'without comment', 'csm.contains(text,text)');
SELECT pg_temp.finds('COMMENT ON POLICY cases_select ON csm.cases IS NULL', 'without comment', 'policy cases_select on csm.cases');
SELECT pg_temp.finds('COMMENT ON SCHEMA csm IS NULL', 'without comment', 'schema csm');
SELECT pg_temp.finds('COMMENT ON VIEW csm_report.cases IS NULL', 'without comment', 'csm_report.cases');
SELECT pg_temp.finds('COMMENT ON EVENT TRIGGER csm_drop_guard IS NULL', 'without comment', 'event trigger csm_drop_guard');
SELECT pg_temp.finds('CREATE TYPE csm.planted AS ENUM (''a''); ALTER TYPE csm.planted OWNER TO csm_owner; ALTER EXTENSION csm ADD TYPE csm.planted', 'without comment', 'type csm.planted');
SELECT pg_temp.finds('GRANT EXECUTE ON FUNCTION csm.map_login(bigint, text) TO PUBLIC', 'open to PUBLIC', 'EXECUTE on csm.map_login(bigint,text)');
SELECT pg_temp.finds('GRANT SELECT (id) ON csm.cases TO PUBLIC', 'open to PUBLIC', 'SELECT on csm.cases');
SELECT pg_temp.finds('GRANT USAGE ON SCHEMA csm TO PUBLIC', 'open to PUBLIC', 'USAGE on schema csm');
SELECT pg_temp.finds('CREATE FUNCTION public.planted() RETURNS integer LANGUAGE sql RETURN 1; ALTER EXTENSION csm ADD FUNCTION public.planted()', 'outside the schemas of csm', 'function public.planted()');
SELECT pg_temp.finds('CREATE SCHEMA planted; ALTER EXTENSION csm ADD SCHEMA planted', 'outside the schemas of csm', 'schema planted');
-- What a DBA adds in his own name is his.
CREATE ROLE tap_bi;
SELECT lives_ok('GRANT SELECT ON csm.cases TO tap_bi; CREATE VIEW csm_report.of_the_dba AS SELECT 1 AS one;
                 CREATE POLICY of_the_dba ON csm.cases TO tap_bi USING (false)', 'verify_install: a DBA adds a grant, a view, a policy');
SELECT is_empty('SELECT * FROM csm_private.verify_install()', 'verify_install: and is not judged');

-- Tables
CREATE VIEW pg_temp.csm_tables AS
SELECT c.oid, c.oid::regclass::text AS name, c.relname FROM pg_class c WHERE c.relnamespace = 'csm'::regnamespace AND c.relkind IN ('r', 'p');
SELECT is_empty($$SELECT name FROM pg_temp.csm_tables t WHERE relname <> 'tenants' AND NOT EXISTS (
                    SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'tenant_id' AND a.attnotnull AND a.atttypid = 'bigint'::regtype)$$,
                'catalogue: every table carries tenant_id');
SELECT is_empty($$SELECT name FROM pg_temp.csm_tables t WHERE relname <> 'tenants' AND NOT EXISTS (
                    SELECT FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = 'tenant_id'
                    WHERE k.conrelid = t.oid AND k.contype = 'p' AND a.attnum = ANY (k.conkey))$$,
                'catalogue: tenant_id is part of every primary key');
SELECT is_empty($$SELECT name FROM pg_temp.csm_tables t JOIN pg_attribute i ON i.attrelid = t.oid AND i.attname = 'id'
                  WHERE relname <> 'tenants' AND NOT EXISTS (
                    SELECT FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = 'tenant_id'
                    WHERE k.conrelid = t.oid AND k.contype = 'p' AND k.conkey = ARRAY[i.attnum, a.attnum])$$,
                'catalogue: where there is an id, the key is (id, tenant_id)');
SELECT is_empty($$SELECT name FROM pg_temp.csm_tables t JOIN pg_attribute i ON i.attrelid = t.oid AND i.attname = 'id'
                  WHERE i.attidentity <> 'a'$$, 'catalogue: ids are GENERATED ALWAYS AS IDENTITY');
SELECT is_empty($$SELECT k.conname FROM pg_constraint k JOIN pg_temp.csm_tables t ON t.oid = k.conrelid
                  WHERE k.contype = 'f' AND k.confrelid <> 'csm.tenants'::regclass
                    AND NOT EXISTS (SELECT FROM unnest(k.conkey, k.confkey) AS u(mine, theirs)
                                    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.mine AND a.attname = 'tenant_id'
                                    JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = u.theirs AND b.attname = 'tenant_id')$$,
                'V13 catalogue: every foreign key carries tenant_id');
SELECT is_empty($$WITH RECURSIVE edge AS (
                      SELECT DISTINCT k.conrelid AS a, k.confrelid AS b FROM pg_constraint k JOIN pg_temp.csm_tables t ON t.oid = k.conrelid
                      WHERE k.contype = 'f' AND k.conrelid <> k.confrelid
                  ), walk AS (
                      SELECT a, b FROM edge UNION SELECT w.a, e.b FROM walk w JOIN edge e ON e.a = w.b)
                  SELECT a::regclass FROM walk WHERE a = b$$, 'catalogue: foreign keys form no cycle between tables');
SELECT is_empty($$SELECT t.name, a.attname FROM pg_temp.csm_tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
                  JOIN pg_type y ON y.oid = a.atttypid WHERE y.typname LIKE 'reg%' OR y.typname = 'oid'$$, 'catalogue: no reg* or oid column');
CREATE FUNCTION pg_temp.filled() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    t regclass;
    any_row boolean;
BEGIN
    FOR t IN SELECT c.oid FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS u(oid, dumped) JOIN pg_class c ON c.oid = u.oid AND c.relkind = 'r'
             WHERE e.extname = 'csm' AND u.dumped <> 'WHERE false' LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', t) INTO any_row;
        IF any_row THEN RETURN NEXT t::text; END IF;
    END LOOP;
END $$;
SELECT is_empty('SELECT pg_temp.filled()', 'catalogue: the install script puts no row into a dumped table');

-- Functions
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
                  WHERE p.pronamespace IN ('csm'::regnamespace, 'csm_private'::regnamespace) AND p.proleakproof AND l.lanname <> 'c'$$,
                'catalogue: what is leakproof is written in C');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'csm'::regnamespace AND p.proretset AND p.proparallel = 's' AND p.provolatile = 'v'$$,
                'catalogue: nothing volatile is parallel safe');
SELECT is_empty($$SELECT r.rolname FROM pg_roles r WHERE r.rolname ~ '^csm_' AND r.rolname <> 'csm_owner' AND has_schema_privilege(r.oid, 'csm_private', 'USAGE')$$,
                'catalogue: csm_private is closed to every role');
-- With the rights of csm_owner, callable by others. A new one is a decision: look at its first statement.
SELECT set_eq($$SELECT p.oid::regprocedure::text FROM pg_proc p
                WHERE p.pronamespace IN ('csm'::regnamespace, 'csm_private'::regnamespace, 'csm_report'::regnamespace) AND p.prosecdef
                  AND EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee <> p.proowner)$$,
              $$VALUES ('csm.next_events(text,integer)'), ('csm.acknowledge(text,bigint)'), ('csm.prune_events(interval,integer)'),
                       ('csm_private.events_waiting(bigint,bigint)'),
                       ('csm.case_entitlements(bigint)'), ('csm.use_entitlement_hours(bigint,numeric,text)'), ('csm.register_product(bigint,text,date)'),
                       ('csm.restrict_contact_access(bigint,boolean)'), ('csm_private.manages_item(bigint,bigint,bigint)'),
                       ('csm_private.may_link(csm.asset_contacts)'), ('csm_private.may_authorize(csm.asset_parties)'),
                       ('csm.run_due_in(bigint,timestamp with time zone,integer)'), ('csm.escalation_options(bigint)'),
                       ('csm.request_escalation(bigint,text,text,text)'), ('csm.request_account_escalation(bigint,text,text,text)'),
                       ('csm.decide_escalation(bigint,boolean,text)'), ('csm.deescalate(bigint,text)'),
                       ('csm.dispute_counterparties()'),
                       ('csm.case_as_of(bigint,timestamp with time zone)'), ('csm.verify_history(bigint)'),
                       ('csm.attach(bigint,text,text,bytea,text,bigint,bigint,bytea)'),
                       ('csm.propose_major(bigint,text)'), ('csm.reject_major(bigint,text)'), ('csm.cancel_major(bigint,text)'),
                       ('csm.accept_major(bigint,text)'), ('csm.open_major(text,text,text,integer,bigint)'), ('csm.create_children(bigint,bigint)'),
                       ('csm.act(bigint,text,text,jsonb)'), ('csm.actions(bigint)'), ('csm.case_people(bigint)'), ('csm.comment(bigint,text,text,text)'),
                       ('csm_private.article_allows(bigint,bigint,text)'), ('csm_private.base_allows(bigint,bigint,text)'),
                       ('csm_private.may_place_article(csm.articles,text)'), ('csm.article_actions(bigint)'),
                       ('csm.act_on_article(bigint,text,text,timestamp with time zone,integer)'), ('csm.edit_article(bigint,integer,text,text,text)'),
                       ('csm.restrict_article(bigint,jsonb)'), ('csm_private.reader_language()'),
                       ('csm.rate_article(bigint,boolean,integer,boolean,text,text)'), ('csm_private.note_view(csm.articles,text)'),
                       ('csm.attach_article(bigint,bigint,text)'), ('csm_private.gap_allows(bigint,bigint,bigint)'),
                       ('csm.report_knowledge_gap(bigint,text,bigint)'), ('csm.act_on_gap(bigint,text,bigint)'),
                       ('csm.explain_access(bigint,bigint)'), ('csm.explain_audience(bigint,bigint)'),
                       ('csm.refresh_shipped(bigint)'), ('csm.verify_accounts(bigint)'),
                       ('csm.who_can_see(bigint)'), ('csm.whoami()'), ('csm_private.may_open(csm.cases)'),
                       ('csm.set_fields(bigint,jsonb)'), ('csm.check_case_type(text)'), ('csm.machine_diagram(text)'),
                       ('csm.create_case_type(text,text,text,jsonb,jsonb,jsonb,jsonb,boolean)'),
                       ('csm_private.share_case_row(boolean,bigint,bigint,bigint,text[],timestamp with time zone)'),
                       ('csm.unshare_case(bigint,bigint,bigint)'), ('csm_private.link_follow_up(csm.cases,bigint)'),
                       ('csm.import_holidays(bigint,text)'), ('csm.recompute_sla(bigint)'), ('csm.verify_slas(bigint)'),
                       ('csm.retarget_slas(bigint)'), ('csm.create_standard_slas(bigint,bigint)'),
                       ('csm.set_provider_keys(bigint,jsonb)'), ('csm.sign_in_password(text,text,text,boolean)'),
                       ('csm.change_password(text,text,text,text)'), ('csm.request_password_reset(text,text)'), ('csm.reset_password(text,text)'),
                       ('csm.send_password_reset(bigint)'), ('csm.require_password_change(bigint)'),
                       ('csm.captcha_challenge()'), ('csm.register_consumer(text,text,text,text,text,text)'),
                       ('csm.register_contact(text,text,text,text,text,text,text)'), ('csm.confirm_registration(text,text)'), ('csm.accept_invitation(text,text)'),
                       ('csm.approve_registration(bigint,text)'), ('csm.reject_registration(bigint,text)'), ('csm.assign_registration(bigint,bigint)'),
                       ('csm.update_profile(text,text,text,text,text,text)'), ('csm.confirm_email(text)'), ('csm.merge_users(bigint,bigint,text)'),
                       ('csm.add_contact(bigint,text,text,text,text,text,text,text)'), ('csm.set_contact_login(bigint,boolean)'), ('csm.set_contact_role(bigint,text)'),
                       ('csm.send_credentials(bigint)'), ('csm.end_contact(bigint)'), ('csm.update_contact(bigint,text,text,text,text,text,text)'),
                       ('csm.colleagues(bigint)'), ('csm.show_directory(bigint,boolean)'),
                       ('csm.invite_contact(bigint,text,text,text,text)'), ('csm.rotate_registration_code(bigint,boolean)'),
                       ('csm.start_session(text)'), ('csm.create_api_key(text,text,text[],timestamp with time zone)'),
                       ('csm.revoke_session(bigint)'), ('csm.revoke_all_sessions(bigint,boolean)'), ('csm_private.administers(bigint,bigint)'),
                       ('csm_private.publication_allows(bigint,bigint,text)'), ('csm.create_publication(text,text,text,text,boolean,timestamp with time zone)'),
                       ('csm.edit_publication(bigint,integer,text,text,text)'), ('csm.address_publication(bigint,text[],bigint[],text[])'),
                       ('csm.publication_actions(bigint)'), ('csm.act_on_publication(bigint,text,text,timestamp with time zone,integer)'), ('csm.publication_reach(bigint)'),
                       ('csm.survey_by_token(text)'), ('csm.answer_survey(text,jsonb)'), ('csm.my_surveys()'), ('csm.answer_my_survey(bigint,jsonb)'),
                       ('csm.receive_email(jsonb)'), ('csm.settle_email(bigint,bigint)'), ('csm.on_behalf_of(bigint)'), ('csm.upsert_users(jsonb,boolean)'),
                       ('csm.licence_usage(tstzrange,text)'), ('csm.licence_preview(text,text,integer)'),
                       ('csm.place_hold(text,bigint,bigint,bigint)'), ('csm.release_hold(bigint)'), ('csm.request_erasure(bigint,text)'),
                       ('csm.erase_person(bigint,text)'), ('csm.find_mentions(bigint)'), ('csm.redact_mention(bigint,text,text,bigint)'),
                       ('csm.run_retention(timestamp with time zone,integer)'), ('csm.export_person_in_full(bigint)'),
                       ('csm.ask(text,text,text,text)'), ('csm.answer_question(bigint,text)'), ('csm.comment_post(text,bigint,text)'), ('csm.edit_post(text,bigint,text,text)'),
                       ('csm.delete_post(text,bigint)'), ('csm.accept_answer(bigint,boolean)'), ('csm.vote(text,bigint,integer)'), ('csm.report_post(text,bigint,text)'),
                       ('csm.moderate(text,bigint,text,text,text)'), ('csm_private.question_for_case(bigint)'), ('csm_private.link_question(csm.cases,bigint)'),
                       ('csm.question_from_case(bigint,text,text,text)'),
                       ('csm.open_interaction(text,text,bigint,bigint,text,boolean)'), ('csm.open_guest_interaction(text,text,text,boolean)'),
                       ('csm.say(bigint,text,text)'), ('csm.guest_say(text,text)'), ('csm.guest_transcript(text)'), ('csm.act_on_interaction(bigint,text,bigint)'),
                       ('csm.verify_interaction(bigint,text,text,bigint,bigint)'),
                       ('csm_private.interaction_for_case(bigint)'), ('csm_private.link_interaction(csm.cases,bigint)'),
                       ('csm.next_mail(integer,interval)'), ('csm.acknowledge_mail(bigint[])'),
                       ('csm.next_notifications(text,integer,interval)'), ('csm.acknowledge_notifications(bigint[],text)'), ('csm.unsubscribe(text,boolean)'), ('csm.notification_status()'),
                       ('csm.mark_read(bigint[])'), ('csm_private.notification_template(text,text)'),
                       ('csm_private.search_languages()')$$, 'catalogue: SECURITY DEFINER functions that somebody may call');

-- Privileges
SELECT set_eq($$SELECT t.relname::text FROM pg_temp.csm_tables t WHERE has_any_column_privilege('csm_guest', t.oid, 'SELECT, INSERT, UPDATE') OR has_table_privilege('csm_guest', t.oid, 'DELETE')$$,
              '{knowledge_bases,knowledge_categories,articles,forums,questions,answers,post_comments}'::text[], 'V14 catalogue: csm_guest has a privilege on tables of public knowledge and community alone');
SELECT is_empty($$SELECT t.name FROM pg_temp.csm_tables t WHERE has_any_column_privilege('csm_guest', t.oid, 'INSERT, UPDATE')$$, 'V14 catalogue: csm_guest writes no table');
SELECT is_empty($$SELECT t.name FROM pg_temp.csm_tables t WHERE has_any_column_privilege('csm_reporter', t.oid, 'INSERT, UPDATE') OR has_table_privilege('csm_reporter', t.oid, 'DELETE')$$,
                'catalogue: csm_reporter writes nowhere');
SELECT is_empty($$SELECT t.name, r FROM pg_temp.csm_tables t, unnest('{csm_portal,csm_agent,csm_admin}'::text[]) r
                  WHERE relname IN ('cases', 'case_entries', 'tenants', 'users', 'accounts') AND has_table_privilege(r, t.oid, 'DELETE')$$,
                'catalogue: nobody deletes cases, entries, tenants, people or accounts');
SELECT ok(NOT has_any_column_privilege('csm_portal', 'csm.cases', 'UPDATE'), 'catalogue: csm_portal has no UPDATE on cases');
SELECT set_eq($$SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = 'csm.cases'::regclass AND a.attnum > 0 AND NOT a.attisdropped
                AND has_column_privilege('csm_portal', a.attrelid, a.attnum, 'INSERT')$$,
              '{case_type,subject,description,priority,channel,requester_id,account_id,counterparty_account_id,partner_account_id,partner_contact_id,product_id,asset_id,attributes}'::text[],
              'catalogue: columns of cases that csm_portal may give');
SELECT set_eq($$SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = 'csm.case_entries'::regclass AND a.attnum > 0 AND NOT a.attisdropped
                AND has_column_privilege('csm_portal', a.attrelid, a.attnum, 'INSERT')$$,
              '{case_id,body,visibility,idempotency_key}'::text[], 'catalogue: columns of case_entries that csm_portal may give');
SELECT ok(NOT has_column_privilege('csm_reporter', 'csm.users', c, 'SELECT'), 'catalogue: csm_reporter does not read users.' || c)
FROM unnest('{display_name,email,email_key,phone,title,login_role,external_id,location}'::text[]) c;
SELECT ok(NOT has_column_privilege('csm_reporter', 'csm.cases', c, 'SELECT'), 'catalogue: csm_reporter does not read cases.' || c)
FROM unnest('{subject,description,resolution_notes,attributes,search,requester_id,opened_by}'::text[]) c;
SELECT ok(NOT has_any_column_privilege('csm_reporter', 'csm.case_entries', 'SELECT'), 'catalogue: csm_reporter reads no entry');
CREATE FUNCTION pg_temp.reads(role_name text, relation text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role_name);
    EXECUTE format('SELECT count(*) FROM (SELECT * FROM %s) v', relation);
    EXECUTE format('SELECT * FROM %s', relation);
    RESET ROLE;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
SELECT is(pg_temp.reads(r, v.oid::regclass::text), NULL, format('catalogue: SELECT * FROM %s works for %s', v.oid::regclass, r))
FROM pg_class v, unnest('{csm_agent,csm_reporter,csm_admin}'::text[]) r
WHERE v.relnamespace = 'csm_report'::regnamespace AND v.relkind = 'v' AND v.relname <> 'of_the_dba';
SELECT is(pg_temp.reads(r, t.name), NULL, format('catalogue: SELECT * FROM %s works for %s', t.name, r))
FROM pg_temp.csm_tables t, unnest('{csm_portal,csm_agent}'::text[]) r WHERE has_any_column_privilege(r, t.oid, 'SELECT')
  -- gaps in seq would count the links that the portal may not see
  AND (r, t.name) <> ('csm_portal', 'csm.case_history');

SELECT * FROM finish();
ROLLBACK;
