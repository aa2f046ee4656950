-- From 0.3 to 0.4.  "-- @part NAME" stands for sql/install/NAME, with functions
-- as CREATE OR REPLACE; "-- @function NAME PART" for one of its functions;
-- "-- @comments" for the comments of all parts.
\echo Use "ALTER EXTENSION csm UPDATE TO '0.4'" to load this file. \quit
SET LOCAL search_path = pg_catalog, pg_temp;

-- Search: accents make no difference, language tags count.  What holds either is
-- computed anew; one reading of csm.cases finds it.
-- Search that may run below row-level security (src/csm_text.c, where the
-- argument for LEAKPROOF stands).

CREATE OR REPLACE FUNCTION csm_private.text_support(internal) RETURNS internal
AS 'MODULE_PATHNAME', 'csm_text_support' LANGUAGE c STRICT;
ALTER FUNCTION csm_private.text_support(internal) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.text_support(internal) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.text_support(internal) IS
'Planner support of csm.matches and csm.contains: index condition, selectivity';

-- Evaluated in index conditions, with the rights of whoever searches.
CREATE OR REPLACE FUNCTION csm_private.like_pattern(needle text) RETURNS text
AS 'MODULE_PATHNAME', 'csm_like_pattern' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1;
ALTER FUNCTION csm_private.like_pattern(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.like_pattern(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.like_pattern(text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.like_pattern(text) IS
'LIKE pattern for a literal substring: %needle% with %, _ and \ escaped; NULL for NULL';

CREATE OR REPLACE FUNCTION csm.matches(document tsvector, query tsquery) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_matches' LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 4
SUPPORT csm_private.text_support;
ALTER FUNCTION csm.matches(tsvector, tsquery) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.matches(tsvector, tsquery) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.matches(tsvector, tsquery) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.matches(tsvector, tsquery) IS
'document @@ query, but able to use a GIN or GiST index below row-level security; NULL if either is NULL';

CREATE OR REPLACE FUNCTION csm.contains(haystack text, needle text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_contains' LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 8
SUPPORT csm_private.text_support;
ALTER FUNCTION csm.contains(text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.contains(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.contains(text, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.contains(text, text) IS
'Whether needle stands literally in haystack, case folded as the database''s collation does; no wildcards, an empty needle is everywhere, NULL if either is NULL. Uses a pg_trgm index when the needle is known and has three letters or digits in a row';

-- The one way in which search columns are filled (src/csm_words.c).
CREATE OR REPLACE FUNCTION csm_private.search_vector(language text, a text, b text DEFAULT NULL, d text DEFAULT NULL) RETURNS tsvector
AS 'MODULE_PATHNAME', 'csm_search_vector' LANGUAGE c STABLE PARALLEL SAFE COST 100;
ALTER FUNCTION csm_private.search_vector(text, text, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_vector(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.search_vector(text, text, text, text) IS
'A search column: words of up to three texts with weights A, B and D, stemmed for a language (a text search configuration, or a language tag such as de or pt-BR; unknown and NULL count as simple), with and without accents. NULL texts have no words; 100,000 characters of each text count';

CREATE OR REPLACE FUNCTION csm.search_query(query text, language text) RETURNS tsquery
AS 'MODULE_PATHNAME', 'csm_search_query' LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20;
ALTER FUNCTION csm.search_query(text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.search_query(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.search_query(text, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.search_query(text, text) IS
'What somebody typed (words, "a phrase", or, -not) as a query for csm.matches(), for texts of a language (a text search configuration or a language tag); accents make no difference. No input is an error; 1,000 characters count; NULL if either is NULL';

CREATE OR REPLACE FUNCTION csm_private.search_query_in(query text, languages text[], loose boolean) RETURNS tsquery
AS 'MODULE_PATHNAME', 'csm_search_query_in' LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100;
ALTER FUNCTION csm_private.search_query_in(text, text[], boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_query_in(text, text[], boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.search_query_in(text, text[], boolean) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.search_query_in(text, text[], boolean) IS
'What somebody typed as a query in several languages (up to 8), joined by OR; loose: any two of its five longest words, one of them where it has two, nothing where it has one';

CREATE OR REPLACE FUNCTION csm.search_score(document tsvector, query tsquery) RETURNS real
AS 'MODULE_PATHNAME', 'csm_search_score' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50;
ALTER FUNCTION csm.search_score(tsvector, tsquery) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.search_score(tsvector, tsquery) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.search_score(tsvector, tsquery) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.search_score(tsvector, tsquery) IS
'How well a document answers a query, 0 to 1, from these two alone, so that no other row has a say: the share of the query that it holds, where a long word weighs more than a short one and a title (weight A) more than a text, and how close together the words stand';

-- Names in spite of typing errors (src/csm_resembles.c).
CREATE OR REPLACE FUNCTION csm_private.resembles_support(internal) RETURNS internal
AS 'MODULE_PATHNAME', 'csm_resembles_support' LANGUAGE c STRICT;
ALTER FUNCTION csm_private.resembles_support(internal) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.resembles_support(internal) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.resembles_support(internal) IS 'Planner support of csm.resembles: index condition, selectivity';

CREATE OR REPLACE FUNCTION csm.resembles(haystack text, needle text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_resembles' LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 20
SUPPORT csm_private.resembles_support;
ALTER FUNCTION csm.resembles(text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.resembles(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.resembles(text, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.resembles(text, text) IS
'Whether haystack, a name or title, holds at least half of the trigrams of needle, so that a typing error does no harm; case makes no difference, NULL if either is NULL. Uses a pg_trgm index below row-level security where pg_trgm.word_similarity_threshold is 0.5 or less';

CREATE OR REPLACE FUNCTION csm.resemblance(haystack text, needle text) RETURNS real
AS 'MODULE_PATHNAME', 'csm_resemblance' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20;
ALTER FUNCTION csm.resemblance(text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.resemblance(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.resemblance(text, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.resemblance(text, text) IS
'How much a name or title is like what was typed, 0 to 1: three quarters the share of needle''s trigrams that it holds, one quarter the share of its own that needle holds; NULL if either is NULL';

CREATE OR REPLACE FUNCTION csm.highlight(language text, document text, query text, words integer DEFAULT 30) RETURNS text
AS 'MODULE_PATHNAME', 'csm_highlight' LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000;
ALTER FUNCTION csm.highlight(text, text, text, integer) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.highlight(text, text, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.highlight(text, text, text, integer) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.highlight(text, text, text, integer) IS
'The passage of a document that answers best what was typed, of about so many words (5 to 200), as HTML: everything the document holds is escaped, words that were found stand in <mark>. The first 50,000 characters count; NULL if any argument is NULL';
SET LOCAL csm.restoring = on;
UPDATE csm.cases c SET search = csm_private.case_words(c)
WHERE (concat_ws(' ', c.number, c.subject, c.description) ~ '[^\x01-\x7f]' OR c.language ~ '^[A-Za-z]{2}([-_]|$)')
  AND c.search IS DISTINCT FROM csm_private.case_words(c);
SET LOCAL csm.restoring = auto;
CREATE INDEX cases_major_idx ON csm.cases (tenant_id, opened_at) WHERE major_state = 'accepted';

-- Where a person is
ALTER TABLE csm.users ADD COLUMN location text,
    ADD CONSTRAINT users_location_check CHECK (length(location) <= 64 AND location ~ '^[A-Z0-9]+(-[A-Z0-9]+)*$');
DROP TRIGGER users_signal ON csm.users;
DROP TRIGGER users_signal_update ON csm.users;
DROP TRIGGER users_signal_truncate ON csm.users;
SELECT csm_private.signal_on('csm.users', '{id,tenant_id,enabled,login_role,location,language}', 'user', 'id', 'login', 'login_role');
GRANT INSERT (location), UPDATE (location) ON csm.users TO csm_agent, csm_admin;
CREATE OR REPLACE FUNCTION csm_private.directory_fault(r jsonb) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    texts CONSTANT text[] := '{external_id,display_name,email,language,time_zone,phone,title,department,location}'::text[];
    fault text;
BEGIN
    IF jsonb_typeof(r) IS DISTINCT FROM 'object' THEN
        RETURN 'not an object';
    END IF;
    SELECT format('unknown key "%s"', left(k, 63)) INTO fault FROM jsonb_object_keys(r) k
    WHERE k <> ALL (texts || '{enabled,employee}'::text[]) ORDER BY k LIMIT 1;
    IF fault IS NULL THEN
        SELECT format('%s is no text', e.key) INTO fault FROM jsonb_each(r) e
        WHERE e.key = ANY (texts) AND jsonb_typeof(e.value) NOT IN ('string', 'null') ORDER BY e.key LIMIT 1;
    END IF;
    IF fault IS NULL THEN
        SELECT format('%s is neither true nor false', e.key) INTO fault FROM jsonb_each(r) e
        WHERE e.key IN ('enabled', 'employee') AND jsonb_typeof(e.value) <> 'boolean' ORDER BY e.key LIMIT 1;
    END IF;
    RETURN CASE
        WHEN fault IS NOT NULL THEN fault
        WHEN coalesce(length(r ->> 'external_id') NOT BETWEEN 1 AND 400, true) THEN 'external_id is missing, or longer than 400 characters'
        WHEN r ? 'display_name' AND coalesce(length(r ->> 'display_name') NOT BETWEEN 1 AND 200, true)
            THEN 'display_name has 1 to 200 characters'
        WHEN length(r ->> 'email') > 320 OR r ->> 'email' !~ '^[^@[:space:]]+@[^@[:space:]]+$' THEN 'email is not an address'
        WHEN r ? 'language' AND coalesce(r ->> 'language' !~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$', true)
            THEN 'language is not a language tag'
        WHEN r ? 'time_zone' AND r ->> 'time_zone' IS NULL THEN 'time_zone is null'
        WHEN length(r ->> 'phone') > 64 THEN 'phone has at most 64 characters'
        WHEN length(r ->> 'location') > 64 OR r ->> 'location' !~ '^[A-Z0-9]+(-[A-Z0-9]+)*$' THEN 'location is no place such as DE or DE-BY'
        WHEN length(r ->> 'title') > 200 THEN 'title has at most 200 characters'
        WHEN r -> 'employee' = 'false' AND r ->> 'department' IS NOT NULL THEN 'department of somebody who is no employee'
    END;
END $$;
CREATE OR REPLACE FUNCTION csm_private.upsert_user(tenant_id bigint, r jsonb, OUT outcome text, OUT user_id bigint, OUT reason text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    u csm.users;
    wanted csm.users;
    is_new boolean;
    changed integer := 0;
    n integer;
BEGIN
    SELECT * INTO u FROM csm.users x
    WHERE x.tenant_id = tenant_id AND x.external_id = r ->> 'external_id' FOR NO KEY UPDATE;
    is_new := NOT FOUND;
    IF is_new AND NOT r ? 'display_name' THEN
        outcome := 'rejected';
        reason := 'display_name of a new person is missing';
        RETURN;
    END IF;
    user_id := u.id;
    IF EXISTS (SELECT FROM csm.users x
               WHERE x.tenant_id = tenant_id AND x.email_key = lower(btrim(r ->> 'email')) AND x.id IS DISTINCT FROM u.id) THEN
        outcome := 'rejected';
        reason := 'email belongs to another person';
        RETURN;
    END IF;

    IF is_new THEN
        INSERT INTO csm.users AS x (tenant_id, external_id, display_name, email, language, time_zone, phone, title, enabled, location)
        VALUES (tenant_id, r ->> 'external_id', r ->> 'display_name', r ->> 'email', coalesce(r ->> 'language', 'en'),
                coalesce(r ->> 'time_zone', 'UTC'), r ->> 'phone', r ->> 'title', coalesce((r ->> 'enabled')::boolean, true),
                r ->> 'location')
        RETURNING x.id INTO user_id;
    ELSE
        wanted := jsonb_populate_record(u, r - '{employee,department,external_id}'::text[]);
        UPDATE csm.users x
        SET display_name = wanted.display_name, email = wanted.email, language = wanted.language, time_zone = wanted.time_zone,
            phone = wanted.phone, title = wanted.title, enabled = wanted.enabled, location = wanted.location
        WHERE x.id = u.id AND x.tenant_id = tenant_id
          AND (x.display_name, x.email, x.language, x.time_zone, x.phone, x.title, x.enabled, x.location) IS DISTINCT FROM
              (wanted.display_name, wanted.email, wanted.language, wanted.time_zone, wanted.phone, wanted.title, wanted.enabled, wanted.location);
        GET DIAGNOSTICS changed = ROW_COUNT;
    END IF;

    IF r -> 'employee' = 'false' THEN
        DELETE FROM csm.employees e WHERE e.user_id = user_id AND e.tenant_id = tenant_id;
        GET DIAGNOSTICS n = ROW_COUNT;
        changed := changed + n;
    ELSIF r -> 'employee' = 'true' OR r ? 'department' THEN
        INSERT INTO csm.employees AS e (user_id, tenant_id, department)
        VALUES (user_id, tenant_id, r ->> 'department')
        ON CONFLICT ON CONSTRAINT employees_pkey DO UPDATE SET department = excluded.department
        WHERE r ? 'department' AND e.department IS DISTINCT FROM excluded.department;
        GET DIAGNOSTICS n = ROW_COUNT;
        changed := changed + n;
    END IF;
    outcome := CASE WHEN is_new THEN 'created' WHEN changed > 0 THEN 'updated' ELSE 'unchanged' END;
END $$;

-- 32: the map knows the home account
CREATE OR REPLACE TRIGGER contacts_signal_update AFTER UPDATE ON csm.contacts
    FOR EACH ROW WHEN (OLD.id IS DISTINCT FROM NEW.id OR OLD.tenant_id IS DISTINCT FROM NEW.tenant_id OR OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.account_id IS DISTINCT FROM NEW.account_id OR OLD.role IS DISTINCT FROM NEW.role OR OLD.is_home IS DISTINCT FROM NEW.is_home OR OLD.login_enabled IS DISTINCT FROM NEW.login_enabled OR OLD.valid_during IS DISTINCT FROM NEW.valid_during)
    EXECUTE FUNCTION csm_private.signal('user', 'user_id', 'account', 'account_id');
ALTER TABLE csm.contacts ENABLE ALWAYS TRIGGER contacts_signal_update;

-- 37: what a row of csm.cases and csm.case_entries holds, judged in C
CREATE FUNCTION csm_private.case_fits(c csm.cases) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_case_fits' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
ALTER FUNCTION csm_private.case_fits(csm.cases) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.case_fits(csm.cases) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.case_fits(csm.cases) TO csm_portal, csm_agent;
ALTER TABLE csm.cases
    DROP CONSTRAINT cases_branch_check, DROP CONSTRAINT cases_customer_check, DROP CONSTRAINT cases_counterparty_check,
    DROP CONSTRAINT cases_named_contact_check, DROP CONSTRAINT cases_class_check, DROP CONSTRAINT cases_priority_check,
    DROP CONSTRAINT cases_impact_check, DROP CONSTRAINT cases_subject_check, DROP CONSTRAINT cases_text_check,
    DROP CONSTRAINT cases_attributes_check, DROP CONSTRAINT cases_self_check, DROP CONSTRAINT cases_major_check,
    ADD CONSTRAINT cases_check CHECK (csm_private.case_fits(cases));
CREATE FUNCTION csm_private.entry_fits(visibility text, side text, body text, idempotency_key text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_entry_fits' LANGUAGE c IMMUTABLE PARALLEL SAFE;
ALTER FUNCTION csm_private.entry_fits(text, text, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.entry_fits(text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.entry_fits(text, text, text, text) TO csm_portal, csm_agent;
ALTER TABLE csm.case_entries
    DROP CONSTRAINT case_entries_visibility_check, DROP CONSTRAINT case_entries_side_check, DROP CONSTRAINT case_entries_body_check,
    ADD CONSTRAINT case_entries_check CHECK (csm_private.entry_fits(visibility, side, body, idempotency_key));

-- 38: who may open a case, mostly answered by the map
CREATE FUNCTION csm_private.may_open_plainly(c csm.cases) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_may_open_plainly' LANGUAGE c STABLE STRICT;
ALTER FUNCTION csm_private.may_open_plainly(csm.cases) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.may_open_plainly(csm.cases) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.may_open_plainly(csm.cases) TO csm_portal, csm_agent;
ALTER POLICY cases_insert ON csm.cases WITH CHECK (csm_private.may_open_plainly(cases) OR csm_private.may_open(cases));
ALTER POLICY cases_insert_own ON csm.cases WITH CHECK (csm_private.may_open_plainly(cases) OR csm_private.may_open(cases));

-- Acting with the rights of a person who is not signed in
-- What csm does with the rights of a person who is not signed in
-- (src/csm_as_person.c): for mail that comes in and notifications that go out.

CREATE OR REPLACE FUNCTION csm_private.as_person(user_id bigint, role name, act regprocedure, argument jsonb) RETURNS jsonb
AS 'MODULE_PATHNAME', 'csm_as_person' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
ALTER FUNCTION csm_private.as_person(bigint, name, regprocedure, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.as_person(bigint, name, regprocedure, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.as_person(bigint, name, regprocedure, jsonb) IS
'Runs a function (jsonb) returns jsonb of csm_private as this person, under csm_portal or csm_agent and row security, and returns what it returns; NULL where an argument is NULL. The function runs with the rights of its caller and can therefore name nothing in csm_private. A person who is disabled or does not exist is nobody. Its errors pass through; all is restored with the (sub)transaction';

-- Under csm_portal staff reach does not count, under csm_agent it does.
CREATE OR REPLACE FUNCTION csm_private.role_of_person(user_id bigint, tenant_id bigint) RETURNS name
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN EXISTS (
               SELECT FROM csm.user_roles r
               WHERE r.user_id = role_of_person.user_id AND r.tenant_id = role_of_person.tenant_id
                 AND csm_private.is_valid(r.valid_during, statement_timestamp()))
           THEN 'csm_agent' ELSE 'csm_portal' END::name
$$;
ALTER FUNCTION csm_private.role_of_person(bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.role_of_person(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.role_of_person(bigint, bigint) IS
'Role under which csm acts for this person: csm_agent for staff, csm_portal for everybody else';

-- 60: the verbs read the case once
DROP FUNCTION csm_private.take_action(csm.cases, text, text, jsonb, boolean);
CREATE OR REPLACE FUNCTION csm_private.take_action(case_id bigint, action text, note text, fields jsonb, as_system boolean) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    settable CONSTANT text[] := '{subject,description,priority,impact,urgency,assigned_to,assigned_group_id,
        product_id,asset_id,counterparty_contact_id,resolution_code,resolution_notes,reference,amount,currency}'::text[];
    further jsonb;
    c csm.cases;
    f csm.cases;
    said text;
BEGIN
    IF fields IS NULL OR jsonb_typeof(fields) <> 'object' THEN
        RAISE EXCEPTION 'fields is not a JSON object' USING ERRCODE = '22023', HINT = 'Pass {} or leave it out.';
    END IF;

    SELECT * INTO c FROM csm.cases e WHERE e.id = case_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    END IF;
    said := csm_private.begin_act(c, action, nullif(btrim(note, E' \t\r\n'), ''), fields, as_system);
    IF fields = '{}' THEN
        -- The trigger does the rest.
        UPDATE csm.cases e SET updated_at = e.updated_at WHERE e.id = case_id RETURNING * INTO c;
    ELSE
        f := jsonb_populate_record(c, fields);
        further := fields - settable;
        IF further <> '{}' THEN
            f.attributes := csm_private.write_fields(c, further, as_system);
        END IF;
        UPDATE csm.cases e
        SET subject = f.subject, description = f.description, priority = f.priority, impact = f.impact, urgency = f.urgency,
            assigned_to = f.assigned_to, assigned_group_id = f.assigned_group_id, product_id = f.product_id, asset_id = f.asset_id,
            counterparty_contact_id = f.counterparty_contact_id, resolution_code = f.resolution_code, resolution_notes = f.resolution_notes,
            attributes = f.attributes
        WHERE e.id = case_id
        RETURNING * INTO c;
    END IF;
    IF said IS NOT NULL THEN
        PERFORM csm_private.begin_note(c.id, as_system);
        INSERT INTO csm.case_entries (tenant_id, case_id, body) VALUES (c.tenant_id, c.id, said);
    END IF;
    IF c.counterparty_account_id IS NOT NULL AND action = 'reject' THEN
        c := csm_private.limit_rounds(c);
    END IF;
    RETURN c;
END $$;
ALTER FUNCTION csm_private.take_action(bigint, text, text, jsonb, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.take_action(bigint, text, text, jsonb, boolean) FROM PUBLIC;
CREATE OR REPLACE FUNCTION csm_private.open_case_row(announced boolean, subject text, description text, case_type text, account_id bigint,
    requester_id bigint, counterparty_account_id bigint, product_id bigint, asset_id bigint, priority integer,
    channel text, fields jsonb, idempotency_key text) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    further CONSTANT text[] := '{attributes,partner_account_id,partner_contact_id,household_id,internal_contact_id,
        service_organization_id,counterparty_contact_id,impact,urgency,language,assigned_group_id,assigned_to,parent_id}'::text[];
    for_everybody CONSTANT text[] := '{attributes,partner_account_id,partner_contact_id}'::text[];
    me CONSTANT bigint := csm.current_user_id();
    unknown text;
    f csm.cases;
    c csm.cases;
    again boolean;
BEGIN
    IF subject IS NULL THEN
        RAISE EXCEPTION 'subject of the new case is null' USING ERRCODE = '22004', HINT = 'Say in one line what it is about.';
    ELSIF fields IS NULL OR jsonb_typeof(fields) <> 'object' THEN
        RAISE EXCEPTION 'fields is not a JSON object' USING ERRCODE = '22023', HINT = 'Pass {} or leave it out.';
    END IF;
    IF fields - further <> '{}' THEN
        SELECT string_agg(k, ', ') INTO unknown FROM jsonb_object_keys(fields - further) k;
        RAISE EXCEPTION 'a case cannot be opened with the fields given' USING ERRCODE = '22023',
            DETAIL = format('Not among the fields: %s.', unknown),
            HINT = format('Fields are %s; the others have parameters of their own.', array_to_string(further, ', '));
    END IF;

    IF idempotency_key IS NOT NULL THEN
        SELECT * INTO c FROM csm.cases e
        WHERE (e.opened_by = me OR me IS NULL AND e.opened_by IS NULL) AND e.idempotency_key = idempotency_key;
        again := FOUND;
    END IF;
    IF again IS NOT TRUE THEN
        -- Columns are named as far as everybody may write them, else all that
        -- staff may: PostgreSQL asks for the privilege on each that is named.
        -- The trigger fills in what is null.
        IF fields <> '{}' THEN
            f := jsonb_populate_record(NULL::csm.cases, fields);
        END IF;
        IF fields - for_everybody = '{}' THEN
            INSERT INTO csm.cases (subject, description, case_type, account_id, requester_id, counterparty_account_id, product_id,
                asset_id, priority, channel, attributes, partner_account_id, partner_contact_id)
            VALUES (subject, description, case_type, account_id, requester_id, counterparty_account_id, product_id,
                asset_id, priority, channel, f.attributes, f.partner_account_id, f.partner_contact_id)
            ON CONFLICT ON CONSTRAINT cases_idempotency_key DO NOTHING
            RETURNING * INTO c;
        ELSE
            INSERT INTO csm.cases (subject, description, case_type, account_id, requester_id, counterparty_account_id, product_id,
                asset_id, priority, channel, attributes, partner_account_id, partner_contact_id, household_id, internal_contact_id,
                service_organization_id, counterparty_contact_id, impact, urgency, language, assigned_group_id, assigned_to, parent_id)
            VALUES (subject, description, case_type, account_id, requester_id, counterparty_account_id, product_id,
                asset_id, priority, channel, f.attributes, f.partner_account_id, f.partner_contact_id, f.household_id, f.internal_contact_id,
                f.service_organization_id, f.counterparty_contact_id, f.impact, f.urgency, f.language, f.assigned_group_id, f.assigned_to, f.parent_id)
            ON CONFLICT ON CONSTRAINT cases_idempotency_key DO NOTHING
            RETURNING * INTO c;
        END IF;
        IF c.id IS NULL THEN
            -- The same call came through another session a moment ago.
            SELECT * INTO c FROM csm.cases e WHERE e.opened_by = me AND e.idempotency_key = idempotency_key;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'idempotency key belongs to a case that you may not see any more' USING ERRCODE = '42501',
                    HINT = 'Use a new key for a new case.';
            END IF;
            again := true;
        END IF;
    END IF;
    IF again AND (c.subject, c.description, c.case_type) IS DISTINCT FROM (subject, description, coalesce(case_type, 'case')) THEN
        RAISE EXCEPTION 'idempotency key was used for another case' USING ERRCODE = 'SM006',
            DETAIL = format('Case %s has another subject, description or type.', c.number),
            HINT = 'Use a new key for a new case.';
    END IF;
    RETURN c;
END $$;
CREATE OR REPLACE FUNCTION csm_private.act_as_system(case_id bigint, action text, note text DEFAULT NULL, fields jsonb DEFAULT '{}') RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN csm_private.take_action(case_id, action, note, fields, true);
END $$;
CREATE OR REPLACE FUNCTION csm.act(case_id bigint, action text, note text DEFAULT NULL, fields jsonb DEFAULT '{}') RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF case_id IS NULL OR action IS NULL THEN
        RAISE EXCEPTION '% of csm.act() is null', CASE WHEN case_id IS NULL THEN 'case_id' ELSE 'action' END
            USING ERRCODE = '22004', HINT = 'csm.actions(case_id) lists what can be done.';
    END IF;
    IF csm_private.case_allows(case_id, csm.current_tenant_id(), 'case_read') IS NOT TRUE AND NOT csm_private.acts_as_system() THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    END IF;
    RETURN csm_private.take_action(case_id, action, note, fields, false);
END $$;
CREATE OR REPLACE FUNCTION csm.comment(case_id bigint, body text, visibility text DEFAULT 'shared', idempotency_key text DEFAULT NULL)
RETURNS csm.case_entries
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    is_system CONSTANT boolean := csm_private.acts_as_system();
    tenant bigint := csm.current_tenant_id();
    e csm.case_entries;
    again boolean := false;
BEGIN
    IF case_id IS NULL OR body IS NULL THEN
        RAISE EXCEPTION '% of csm.comment() is null', CASE WHEN case_id IS NULL THEN 'case_id' ELSE 'body' END
            USING ERRCODE = '22004', HINT = 'Give the case and the text.';
    ELSIF body !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'body of the comment is empty' USING ERRCODE = '22023', HINT = 'Give a text.';
    ELSIF visibility IS NULL OR visibility NOT IN ('shared', 'internal', 'private') THEN
        RAISE EXCEPTION 'visibility "%" is unknown', visibility USING ERRCODE = '22023',
            HINT = 'Use shared, internal or private.';
    ELSIF length(idempotency_key) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'idempotency_key must have 1 to 200 characters' USING ERRCODE = '22023',
            DETAIL = format('It has %s.', length(idempotency_key)), HINT = 'A random UUID serves well.';
    END IF;
    IF is_system THEN
        tenant := (SELECT x.tenant_id FROM csm.cases x WHERE x.id = case_id);
    END IF;
    IF tenant IS NULL OR NOT (is_system OR csm_private.case_allows(case_id, tenant, 'case_read')) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT (is_system
               OR csm_private.case_allows(case_id, tenant, CASE visibility WHEN 'internal' THEN 'case_work' ELSE 'case_comment' END)) THEN
        RAISE EXCEPTION '% on case % is not permitted', CASE visibility WHEN 'internal' THEN 'a work note' ELSE 'a comment' END,
            (SELECT x.number FROM csm.cases x WHERE x.id = case_id)
            USING ERRCODE = '42501', HINT = 'Comments need case_comment; work notes are for staff who work on the case.';
    END IF;

    IF idempotency_key IS NOT NULL THEN
        SELECT * INTO e FROM csm.case_entries x
        WHERE x.case_id = case_id AND x.idempotency_key = idempotency_key
          AND (x.author_id = me OR me IS NULL AND x.author_id IS NULL);
        again := FOUND;
    END IF;
    IF NOT again THEN
        INSERT INTO csm.case_entries (tenant_id, case_id, body, visibility, idempotency_key)
        VALUES (tenant, case_id, body, visibility, idempotency_key)
        ON CONFLICT ON CONSTRAINT case_entries_idempotency_key DO NOTHING
        RETURNING * INTO e;
        IF NOT FOUND THEN
            SELECT * INTO e FROM csm.case_entries x
            WHERE x.case_id = case_id AND x.idempotency_key = idempotency_key AND x.author_id = me;
            again := true;
        END IF;
    END IF;
    IF again AND (e.body, e.visibility) IS DISTINCT FROM (body, visibility) THEN
        RAISE EXCEPTION 'idempotency key was used for another comment' USING ERRCODE = 'SM006',
            DETAIL = format('Entry %s on case %s has another text or visibility.', e.id,
                            (SELECT x.number FROM csm.cases x WHERE x.id = case_id)),
            HINT = 'Use a new key for a new comment.';
    END IF;
    RETURN e;
END $$;

-- 65, 67, 72, 75, 79: triggers of csm.cases decide in C what concerns them; the clocks of a dispute are set by case_follows()
DROP TRIGGER cases_40_events_opened ON csm.cases;
DROP TRIGGER cases_60_follows_parent ON csm.cases;
DROP TRIGGER cases_60_dispute_opened ON csm.cases;
DROP TRIGGER cases_60_dispute_timers ON csm.cases;
DROP FUNCTION csm_private.dispute_timers();
COMMENT ON FUNCTION csm_private.case_follows() IS
'AFTER trigger of csm.cases: timers of the state and of follow_up_at, the clocks of a dispute, the end of an open escalation, what children of a major case follow, the link to a parent';
CREATE OR REPLACE TRIGGER cases_35_proposals AFTER UPDATE ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.proposals_follow();
CREATE OR REPLACE TRIGGER cases_40_events AFTER INSERT OR UPDATE ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.case_events();
CREATE OR REPLACE TRIGGER cases_45_dependents AFTER UPDATE ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.case_dependents();
CREATE OR REPLACE TRIGGER cases_60_follows AFTER INSERT OR UPDATE ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.case_follows();
CREATE OR REPLACE TRIGGER cases_70_entitlement AFTER UPDATE ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.use_entitlement();

-- User criteria
-- User criteria; their products are looked up by who owns them
DROP INDEX csm.sold_products_account_idx, csm.assets_account_idx;
CREATE INDEX sold_products_account_idx ON csm.sold_products (account_id, product_id) WHERE account_id IS NOT NULL;
CREATE INDEX assets_account_idx ON csm.assets (account_id, product_id) WHERE account_id IS NOT NULL;
-- User criteria and audiences: who reads, contributes to, asks in, answers in,
-- moderates and manages a knowledge base, an article, a forum.
--
-- A criterion is reusable data: parts that are each true of a person or not,
-- all or any of which must be.  One without parts, or an inactive one, is true
-- of nobody.  An audience is what criteria grant on something, action by
-- action.  What decides, in this order:
--	1. the audience's staff (its owner, the members of its group, on a staff
--	   connection) may do everything;
--	2. who satisfies a criterion that denies the action may not do it.  Denials
--	   look at everything that the person is, whatever persona he has narrowed
--	   himself to, because narrowing must not open anything;
--	3. who satisfies a criterion that grants the action, or grants manage, may;
--	4. nobody else: no grant, no access.
-- No action implies another, but manage all.  An audience within another one
-- narrows it: both must allow the action, and an action for which the inner one
-- has no grant of its own is left as the outer one says.  Who manages the outer
-- one passes the grants of the inner one, but not its denials, unless he is
-- staff of the outer one.
--
-- The access map holds the answer (src/csm_map_audience.c); the same rules stand
-- below once more in plain SQL, in csm_private.audience_rights(), which must not
-- call a predicate of the map.

CREATE TABLE csm.user_criteria (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    key text NOT NULL,
    label text NOT NULL,
    match text NOT NULL DEFAULT 'all',
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT user_criteria_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT user_criteria_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT user_criteria_key_key UNIQUE (tenant_id, key),
    CONSTRAINT user_criteria_key_check CHECK (key ~ '^[a-z][a-z0-9_-]{0,62}$'),
    CONSTRAINT user_criteria_label_check CHECK (length(label) BETWEEN 1 AND 200),
    CONSTRAINT user_criteria_match_check CHECK (match IN ('all', 'any'))
);
SELECT csm_private.adopt_table('csm.user_criteria');
SELECT csm_private.signal_on('csm.user_criteria', '{tenant_id,match,active}', 'audience', 'tenant_id');

CREATE TABLE csm.user_criteria_parts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    criteria_id bigint NOT NULL,
    kind text NOT NULL,
    user_id bigint,
    group_id bigint,
    role text,
    account_id bigint,
    include_descendants boolean NOT NULL DEFAULT false,
    persona text,
    product_id bigint,
    location text,
    language text,
    CONSTRAINT user_criteria_parts_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT user_criteria_parts_criteria_fkey FOREIGN KEY (criteria_id, tenant_id)
        REFERENCES csm.user_criteria (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT user_criteria_parts_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT user_criteria_parts_group_fkey FOREIGN KEY (group_id, tenant_id) REFERENCES csm.groups (id, tenant_id),
    CONSTRAINT user_criteria_parts_role_fkey FOREIGN KEY (role, tenant_id) REFERENCES csm.roles (role, tenant_id),
    CONSTRAINT user_criteria_parts_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT user_criteria_parts_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT user_criteria_parts_kind_check CHECK (
        num_nonnulls(user_id, group_id, role, account_id, persona, product_id, location, language) = 1
        AND CASE kind WHEN 'user' THEN user_id IS NOT NULL WHEN 'group' THEN group_id IS NOT NULL
                      WHEN 'role' THEN role IS NOT NULL WHEN 'account' THEN account_id IS NOT NULL
                      WHEN 'persona' THEN persona IS NOT NULL WHEN 'product' THEN product_id IS NOT NULL
                      WHEN 'location' THEN location IS NOT NULL WHEN 'language' THEN language IS NOT NULL
                      ELSE false END),
    CONSTRAINT user_criteria_parts_descendants_check CHECK (NOT include_descendants OR kind = 'account'),
    CONSTRAINT user_criteria_parts_persona_check CHECK (persona IN ('employee', 'consumer', 'contact', 'staff')),
    CONSTRAINT user_criteria_parts_location_check CHECK (length(location) <= 64 AND location ~ '^[A-Z0-9]+(-[A-Z0-9]+)*$'),
    CONSTRAINT user_criteria_parts_language_check CHECK (length(language) <= 35 AND language ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$')
);
CREATE INDEX user_criteria_parts_criteria_idx ON csm.user_criteria_parts (criteria_id);
SELECT csm_private.adopt_table('csm.user_criteria_parts');
SELECT csm_private.signal_on('csm.user_criteria_parts',
    '{tenant_id,criteria_id,kind,user_id,group_id,role,account_id,include_descendants,persona,product_id,location,language}',
    'audience', 'tenant_id');

-- Criteria know roles of contacts and of staff; everybody else is named by his persona.
CREATE OR REPLACE FUNCTION csm_private.check_criteria_role() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring()
       AND EXISTS (SELECT FROM csm.roles r
                   WHERE r.role = NEW.role AND r.tenant_id = NEW.tenant_id AND r.kind NOT IN ('contact', 'staff')) THEN
        RAISE EXCEPTION 'role "%" is neither a role of contacts nor one of staff', NEW.role
            USING ERRCODE = '23514', HINT = 'Name the persona instead, for example consumer.';
    END IF;
    RETURN NEW;
END $$;
ALTER FUNCTION csm_private.check_criteria_role() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.check_criteria_role() FROM PUBLIC;
CREATE TRIGGER user_criteria_parts_10_role BEFORE INSERT OR UPDATE OF role ON csm.user_criteria_parts
    FOR EACH ROW WHEN (NEW.role IS NOT NULL) EXECUTE FUNCTION csm_private.check_criteria_role();

-- within_id < id: no circle, and whoever reads audiences in the order of their
-- ids has met the outer one before.
CREATE TABLE csm.audiences (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    within_id bigint,
    owner_id bigint,
    group_id bigint,
    grants_key text,
    CONSTRAINT audiences_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT audiences_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT audiences_within_fkey FOREIGN KEY (within_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT audiences_owner_fkey FOREIGN KEY (owner_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT audiences_group_fkey FOREIGN KEY (group_id, tenant_id) REFERENCES csm.groups (id, tenant_id),
    CONSTRAINT audiences_within_check CHECK (within_id < id),
    CONSTRAINT audiences_made_check CHECK (grants_key IS NULL OR within_id IS NOT NULL AND num_nonnulls(owner_id, group_id) = 0),
    CONSTRAINT audiences_grants_key UNIQUE (within_id, grants_key)
);
CREATE INDEX audiences_tenant_idx ON csm.audiences (tenant_id);
SELECT csm_private.adopt_table('csm.audiences');
SELECT csm_private.signal_on('csm.audiences', '{id,tenant_id,within_id,owner_id,group_id}', 'audience', 'tenant_id');

CREATE TABLE csm.audience_grants (
    audience_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    action text NOT NULL,
    criteria_id bigint NOT NULL,
    denies boolean NOT NULL DEFAULT false,
    CONSTRAINT audience_grants_pkey PRIMARY KEY (audience_id, criteria_id, action, tenant_id),
    CONSTRAINT audience_grants_audience_fkey FOREIGN KEY (audience_id, tenant_id)
        REFERENCES csm.audiences (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT audience_grants_criteria_fkey FOREIGN KEY (criteria_id, tenant_id) REFERENCES csm.user_criteria (id, tenant_id),
    CONSTRAINT audience_grants_action_check CHECK (action IN ('read', 'contribute', 'ask', 'answer', 'moderate', 'manage'))
);
CREATE INDEX audience_grants_criteria_idx ON csm.audience_grants (criteria_id);
SELECT csm_private.adopt_table('csm.audience_grants');
SELECT csm_private.signal_on('csm.audience_grants', '{audience_id,tenant_id,action,criteria_id,denies}', 'audience', 'tenant_id');

-- What criteria depend on beside the edges of the access map.  A person's
-- groups and what he or his account owns concern those who have them; the trees
-- of groups and products the whole tenant.
SELECT csm_private.signal_on('csm.groups', '{id,tenant_id,parent_id}', 'audience', 'tenant_id');
SELECT csm_private.signal_on('csm.group_members', '{group_id,user_id,tenant_id}', 'member', 'user_id');
SELECT csm_private.signal_on('csm.products', '{id,tenant_id,parent_id}', 'audience', 'tenant_id');
SELECT csm_private.signal_on('csm.sold_products', '{tenant_id,account_id,user_id,product_id,valid_during}',
    'owned', 'account_id', 'owned', 'user_id');
SELECT csm_private.signal_on('csm.assets', '{tenant_id,account_id,user_id,product_id,removed_at}',
    'owned', 'account_id', 'owned', 'user_id');

-- The definition.  A fact is something that is true of the person; it counts
-- where his connection and the persona he narrowed himself to let it.
CREATE OR REPLACE FUNCTION csm_private.audience_rights(tenant bigint, person bigint, about bigint, staff_side boolean, narrowed text,
    at_time timestamptz)
RETURNS TABLE (action text, granted boolean, criteria text[], via text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 6
BEGIN ATOMIC
    WITH RECURSIVE me AS (
        SELECT u.id, u.location, u.language
        FROM csm.users u JOIN csm.tenants t ON t.id = u.tenant_id
        WHERE u.id = person AND u.tenant_id = tenant AND u.enabled AND t.enabled
    ),
    k AS (
        SELECT k.id, k.account_id, k.role, narrowed IS NULL OR narrowed = 'contact:' || k.id AS counts
        FROM csm.contacts k JOIN me ON me.id = k.user_id
        WHERE k.tenant_id = tenant AND k.login_enabled AND (k.valid_during IS NULL OR k.valid_during @> at_time)
    ),
    s AS (
        SELECT a.role, staff_side AND (narrowed IS NULL OR narrowed = 'staff:' || a.role) AS counts
        FROM csm.user_roles a
        JOIN me ON me.id = a.user_id
        JOIN csm.roles r ON r.role = a.role AND r.tenant_id = a.tenant_id AND r.kind = 'staff'
        WHERE a.tenant_id = tenant AND (a.valid_during IS NULL OR a.valid_during @> at_time)
    ),
    persona AS (
        SELECT 'contact' AS persona, k.counts FROM k
      UNION ALL
        SELECT 'staff', s.counts FROM s
      UNION ALL
        SELECT 'consumer', narrowed IS NULL OR narrowed = 'consumer'
        FROM csm.consumers c JOIN me ON me.id = c.user_id WHERE c.tenant_id = tenant
      UNION ALL
        SELECT 'employee', narrowed IS NULL OR narrowed = 'employee'
        FROM csm.employees e JOIN me ON me.id = e.user_id WHERE e.tenant_id = tenant
    ),
    -- What is true of the person counts through every persona that he has, the
    -- internal requester included, who needs no row; his groups and what he
    -- owns as staff on a staff connection alone.
    self AS (
        SELECT narrowed IS NULL OR narrowed = 'employee' OR EXISTS (SELECT FROM persona p WHERE p.counts) AS counts,
               staff_side AND (narrowed IS NULL OR narrowed LIKE 'staff:%' AND EXISTS (SELECT FROM persona p WHERE p.counts))
                   AS counts_as_staff
    ),
    account_up(account_id, parent_id, counts) AS (
        SELECT a.id, a.parent_id, k.counts FROM k JOIN csm.accounts a ON a.id = k.account_id AND a.tenant_id = tenant
      UNION
        SELECT a.id, a.parent_id, up.counts
        FROM account_up up JOIN csm.accounts a ON a.id = up.parent_id AND a.tenant_id = tenant
    ),
    group_up(group_id, parent_id) AS (
        SELECT g.id, g.parent_id
        FROM csm.group_members m JOIN me ON me.id = m.user_id
        JOIN csm.groups g ON g.id = m.group_id AND g.tenant_id = m.tenant_id
        WHERE m.tenant_id = tenant
      UNION
        SELECT g.id, g.parent_id
        FROM group_up up JOIN csm.groups g ON g.id = up.parent_id AND g.tenant_id = tenant
    ),
    product_up(product_id, counts) AS (
        SELECT o.product_id, h.counts
        FROM (SELECT sp.account_id, sp.user_id, sp.product_id FROM csm.sold_products sp
              WHERE sp.tenant_id = tenant AND (sp.valid_during IS NULL OR sp.valid_during @> at_time)
            UNION ALL
              SELECT a.account_id, a.user_id, a.product_id FROM csm.assets a
              WHERE a.tenant_id = tenant AND (a.removed_at IS NULL OR a.removed_at > at_time)) o
        JOIN (SELECT k.account_id, NULL::bigint AS user_id, k.counts FROM k
            UNION ALL
              SELECT NULL, me.id, p.counts FROM me CROSS JOIN persona p WHERE p.persona = 'consumer') h
          ON h.account_id = o.account_id OR h.user_id = o.user_id
      UNION
        SELECT p.parent_id, up.counts
        FROM product_up up JOIN csm.products p ON p.id = up.product_id AND p.tenant_id = tenant
        WHERE p.parent_id IS NOT NULL
    ),
    fact AS (
        SELECT p.id AS part_id, self.counts
        FROM csm.user_criteria_parts p CROSS JOIN self JOIN me ON me.id = p.user_id WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, self.counts_as_staff
        FROM csm.user_criteria_parts p CROSS JOIN self JOIN group_up g ON g.group_id = p.group_id WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, r.counts
        FROM csm.user_criteria_parts p
        JOIN (SELECT k.role, k.counts FROM k JOIN csm.roles r ON r.role = k.role AND r.tenant_id = tenant AND r.kind = 'contact'
              UNION ALL SELECT s.role, s.counts FROM s) r ON r.role = p.role
        WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, k.counts
        FROM csm.user_criteria_parts p JOIN k ON k.account_id = p.account_id WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, up.counts
        FROM csm.user_criteria_parts p JOIN account_up up ON up.account_id = p.account_id
        WHERE p.tenant_id = tenant AND p.include_descendants
      UNION ALL
        SELECT p.id, h.counts
        FROM csm.user_criteria_parts p JOIN persona h ON h.persona = p.persona WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, o.counts
        FROM csm.user_criteria_parts p JOIN product_up o ON o.product_id = p.product_id WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, self.counts
        FROM csm.user_criteria_parts p CROSS JOIN self JOIN me ON me.location || '-' LIKE p.location || '-%' WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, self.counts
        FROM csm.user_criteria_parts p CROSS JOIN self JOIN me ON lower(me.language) || '-' LIKE lower(p.language) || '-%'
        WHERE p.tenant_id = tenant
    ),
    part AS (
        SELECT p.criteria_id, count(f.part_id) > 0 AS met, coalesce(bool_or(f.counts), false) AS counts
        FROM csm.user_criteria_parts p LEFT JOIN fact f ON f.part_id = p.id
        WHERE p.tenant_id = tenant
        GROUP BY p.id, p.criteria_id
    ),
    criterion AS (
        SELECT c.id, c.key,
               CASE c.match WHEN 'all' THEN bool_and(p.met) ELSE bool_or(p.met) END AS met,
               CASE c.match WHEN 'all' THEN bool_and(p.counts) ELSE bool_or(p.counts) END AS counts
        FROM csm.user_criteria c JOIN part p ON p.criteria_id = c.id
        WHERE c.tenant_id = tenant AND c.active
        GROUP BY c.id, c.key, c.match
    ),
    chain(n, id, within_id, staff_of) AS (
        SELECT 0, a.id, a.within_id,
               CASE WHEN self.counts_as_staff THEN CASE WHEN a.owner_id = person THEN 'owner of audience ' || a.id
                    WHEN a.group_id IN (SELECT g.group_id FROM group_up g) THEN 'group of audience ' || a.id END END
        FROM csm.audiences a CROSS JOIN self
        WHERE a.id = about AND a.tenant_id = tenant AND EXISTS (SELECT FROM me)
      UNION ALL
        SELECT c.n + 1, a.id, a.within_id,
               CASE WHEN self.counts_as_staff THEN CASE WHEN a.owner_id = person THEN 'owner of audience ' || a.id
                    WHEN a.group_id IN (SELECT g.group_id FROM group_up g) THEN 'group of audience ' || a.id END END
        FROM chain c JOIN csm.audiences a ON a.id = c.within_id AND a.tenant_id = tenant CROSS JOIN self
    ),
    -- what each audience of the chain says by itself
    level AS (
        SELECT c.n, c.staff_of,
               coalesce(array_agg(DISTINCT g.action) FILTER (WHERE NOT g.denies), '{}') AS ruled,
               coalesce(array_agg(DISTINCT g.action) FILTER (WHERE NOT g.denies AND r.counts), '{}') AS granted,
               coalesce(array_agg(DISTINCT g.action) FILTER (WHERE g.denies AND r.met), '{}') AS denied,
               coalesce(array_agg(g.action || ' ' || r.key) FILTER (WHERE NOT g.denies AND r.counts), '{}') AS granted_by,
               coalesce(array_agg(g.action || ' ' || r.key) FILTER (WHERE g.denies AND r.met), '{}') AS denied_by
        FROM chain c
        LEFT JOIN csm.audience_grants g ON g.audience_id = c.id AND g.tenant_id = tenant
        LEFT JOIN criterion r ON r.id = g.criteria_id
        GROUP BY c.n, c.staff_of
    ),
    -- from the outermost to the one that was asked about
    state(n, staff, actions) AS (
        SELECT l.n, l.staff_of IS NOT NULL,
               ARRAY(SELECT a.action FROM unnest('{read,contribute,ask,answer,moderate,manage}'::text[]) a(action)
                     WHERE l.staff_of IS NOT NULL
                        OR NOT a.action = ANY (l.denied)
                           AND (a.action = ANY (l.granted) OR 'manage' = ANY (l.granted) AND NOT 'manage' = ANY (l.denied)))
        FROM level l WHERE l.n = (SELECT max(x.n) FROM level x)
      UNION ALL
        SELECT l.n, s.staff OR l.staff_of IS NOT NULL AND 'read' = ANY (s.actions),
               ARRAY(SELECT a.action FROM unnest('{read,contribute,ask,answer,moderate,manage}'::text[]) a(action)
                     WHERE s.staff OR l.staff_of IS NOT NULL AND 'read' = ANY (s.actions)
                        OR a.action = ANY (s.actions) AND NOT a.action = ANY (l.denied)
                           AND (NOT a.action = ANY (l.ruled) OR a.action = ANY (l.granted) OR 'manage' = ANY (s.actions)))
        FROM state s JOIN level l ON l.n = s.n - 1
    )
    SELECT a.action, coalesce(a.action = ANY (s.actions), false),
           CASE WHEN s.staff THEN '{}'
                WHEN a.action = ANY (s.actions) THEN ARRAY(
                    SELECT DISTINCT split_part(b.entry, ' ', 2) FROM level l CROSS JOIN unnest(l.granted_by) b(entry)
                    WHERE split_part(b.entry, ' ', 1) IN (a.action, 'manage') ORDER BY 1)
                ELSE ARRAY(
                    SELECT DISTINCT split_part(b.entry, ' ', 2) FROM level l CROSS JOIN unnest(l.denied_by) b(entry)
                    WHERE split_part(b.entry, ' ', 1) = a.action ORDER BY 1) END,
           CASE WHEN s.n IS NULL THEN 'no such audience, or no such person'
                WHEN s.staff THEN (SELECT min(l.staff_of) FROM level l)
                WHEN a.action = ANY (s.actions) THEN 'granted'
                WHEN EXISTS (SELECT FROM level l WHERE a.action = ANY (l.denied)) THEN 'denied'
                ELSE 'no grant' END
    FROM unnest('{read,contribute,ask,answer,moderate,manage}'::text[]) WITH ORDINALITY a(action, n)
    LEFT JOIN state s ON s.n = 0
    ORDER BY a.n;
END;
ALTER FUNCTION csm_private.audience_rights(bigint, bigint, bigint, boolean, text, timestamptz) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.audience_rights(bigint, bigint, bigint, boolean, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.audience_rights(bigint, bigint, bigint, boolean, text, timestamptz) IS
'What a person may do as one of an audience, in plain SQL: a row an action. On a staff connection or not, narrowed to a persona (NULL: to none), at an instant. criteria: keys of those that grant it, or deny it';

-- Answered from the access map, as 21_access.sql says of the other predicates.
CREATE OR REPLACE FUNCTION csm.audience_allows(audience_id bigint, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_audience_allows' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.audience_allows(bigint, text) IS
'True where the person may do the action (read, contribute, ask, answer, moderate, manage) as one of the audience; false for nobody and for an unknown action';
CREATE OR REPLACE FUNCTION csm.audiences_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_audiences_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.audiences_allowing(text) IS
'Sorted ids: audiences as one of which the person may do the action; empty for nobody and for an unknown action';
ALTER FUNCTION csm.audience_allows(bigint, text) OWNER TO csm_owner;
ALTER FUNCTION csm.audiences_allowing(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.audience_allows(bigint, text), csm.audiences_allowing(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.audience_allows(bigint, text), csm.audiences_allowing(text)
    TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;

-- Found or made: what has the same grants within the same audience shares one
-- row, so that a million articles need no more audiences than there are rules.
CREATE OR REPLACE FUNCTION csm_private.audience_within(outer_id bigint, grants jsonb) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint;
    wanted_key text;
    found bigint;
    unknown text;
BEGIN
    SELECT a.tenant_id INTO tenant FROM csm.audiences a WHERE a.id = outer_id;
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'audience % does not exist', coalesce(outer_id::text, 'NULL') USING ERRCODE = '22023';
    ELSIF jsonb_typeof(grants) IS DISTINCT FROM 'array' OR EXISTS (
            SELECT FROM jsonb_array_elements(CASE WHEN jsonb_typeof(grants) = 'array' THEN grants END) e
            WHERE jsonb_typeof(e) <> 'object' OR jsonb_typeof(e -> 'criteria') IS DISTINCT FROM 'string'
               OR coalesce(e ->> 'action', '') NOT IN ('read', 'contribute', 'ask', 'answer', 'moderate', 'manage')
               OR jsonb_typeof(coalesce(e -> 'denies', 'false')) <> 'boolean') THEN
        RAISE EXCEPTION 'grants are a JSON array of objects with criteria, action and denies' USING ERRCODE = '22023',
            HINT = 'For example [{"criteria": "pump-owners", "action": "read"}].';
    END IF;
    SELECT e ->> 'criteria' INTO unknown FROM jsonb_array_elements(grants) e
    WHERE NOT EXISTS (SELECT FROM csm.user_criteria c WHERE c.tenant_id = tenant AND c.key = e ->> 'criteria') LIMIT 1;
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'there are no criteria %', quote_literal(unknown) USING ERRCODE = '22023',
            HINT = 'csm.user_criteria has those of the tenant.';
    END IF;
    -- named twice for one action, criteria deny
    SELECT string_agg(g.action || CASE WHEN g.denies THEN '-' ELSE '+' END || g.id, ' ' ORDER BY g.action, g.id)
      INTO wanted_key
    FROM (SELECT e ->> 'action' AS action, c.id, bool_or(coalesce((e ->> 'denies')::boolean, false)) AS denies
          FROM jsonb_array_elements(grants) e JOIN csm.user_criteria c ON c.tenant_id = tenant AND c.key = e ->> 'criteria'
          GROUP BY 1, 2) g;
    IF wanted_key IS NULL THEN
        RETURN outer_id;
    END IF;
    SELECT a.id INTO found FROM csm.audiences a WHERE a.within_id = outer_id AND a.grants_key = wanted_key;
    IF found IS NOT NULL THEN
        RETURN found;
    END IF;
    INSERT INTO csm.audiences (tenant_id, within_id, grants_key) VALUES (tenant, outer_id, wanted_key)
    ON CONFLICT (within_id, grants_key) DO NOTHING RETURNING id INTO found;
    IF found IS NULL THEN
        SELECT a.id INTO STRICT found FROM csm.audiences a WHERE a.within_id = outer_id AND a.grants_key = wanted_key;
        RETURN found;
    END IF;
    INSERT INTO csm.audience_grants (audience_id, tenant_id, action, criteria_id, denies)
    SELECT found, tenant, m[1], m[3]::bigint, m[2] = '-'
    FROM string_to_table(wanted_key, ' ') g(entry), regexp_match(g.entry, '^([a-z]+)([+-])(\d+)$') m;
    RETURN found;
END $$;
ALTER FUNCTION csm_private.audience_within(bigint, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.audience_within(bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.audience_within(bigint, jsonb) IS
'The audience within another that has exactly these grants, a JSON array of {"criteria": key, "action": …, "denies": boolean}; made where there is none, the outer one itself for an empty array. Errors 22023: no such audience, no such criteria, another form. No check of the caller';

CREATE OR REPLACE FUNCTION csm.explain_audience(user_id bigint, audience_id bigint)
RETURNS TABLE (action text, granted boolean, criteria text[], via text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 6
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := csm.current_tenant_id();
    at_time CONSTANT timestamptz := statement_timestamp();
BEGIN
    -- Whoever keeps persons, the tenant or the audience asks about anybody.
    IF me IS NULL OR explain_audience.user_id IS DISTINCT FROM me
                     AND NOT coalesce(csm.all_in(tenant, 'internal', 'person_manage') OR csm.all_in(tenant, 'internal', 'configure')
                                      OR csm_private.staff_side() AND csm.audience_allows(explain_audience.audience_id, 'manage'), false) THEN
        RAISE EXCEPTION 'permission denied to explain the access of another person' USING ERRCODE = '42501',
            HINT = 'Ask about yourself; staff who manage the audience, persons or the tenant ask about anybody.';
    END IF;
    RETURN QUERY
        SELECT s.action, s.granted, s.criteria,
               s.via || CASE WHEN s.granted AND NOT c.granted THEN ', counts under staff roles only' ELSE '' END
        FROM csm_private.audience_rights(tenant, explain_audience.user_id, explain_audience.audience_id, true, NULL, at_time)
             WITH ORDINALITY s(action, granted, criteria, via, n)
        JOIN csm_private.audience_rights(tenant, explain_audience.user_id, explain_audience.audience_id, false, NULL, at_time) c
          ON c.action = s.action
        ORDER BY s.n;
END $$;
ALTER FUNCTION csm.explain_audience(bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.explain_audience(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.explain_audience(bigint, bigint) TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.explain_audience(bigint, bigint) IS
'What a person may do as one of an audience and why: a row an action, with the keys of the criteria that grant it, or deny it. Personas are not narrowed. Everybody asks about himself; staff who manage the audience, persons or the tenant about anybody (42501 else). A missing audience, a missing person and one of another tenant: nothing is granted';

-- What audience_within() made stands for its grants: others may share it.
CREATE OR REPLACE FUNCTION csm_private.check_audience_grant() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_audience CONSTANT bigint := CASE WHEN TG_OP = 'DELETE' THEN OLD.audience_id ELSE NEW.audience_id END;
    made_of text;
BEGIN
    IF NOT csm_private.restoring() THEN
        SELECT a.grants_key INTO made_of FROM csm.audiences a WHERE a.id = of_audience;
        IF made_of IS NOT NULL
           AND (TG_OP <> 'INSERT' OR NOT NEW.action || CASE WHEN NEW.denies THEN '-' ELSE '+' END || NEW.criteria_id
                                         = ANY (string_to_array(made_of, ' '))) THEN
            RAISE EXCEPTION 'the grants of audience % cannot change', of_audience USING ERRCODE = '42501',
                DETAIL = 'It was made for these grants, and everything that has them shares it.',
                HINT = 'Choose other grants for the article instead.';
        END IF;
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
ALTER FUNCTION csm_private.check_audience_grant() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.check_audience_grant() FROM PUBLIC;
CREATE TRIGGER audience_grants_10_made BEFORE INSERT OR UPDATE OR DELETE ON csm.audience_grants
    FOR EACH ROW EXECUTE FUNCTION csm_private.check_audience_grant();

-- Configuration of the desk: staff connections read it.  A portal role has no
-- grant here; what it may read says the policy of the article.
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{user_criteria,user_criteria_parts,audiences,audience_grants}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_agent, csm_reporter, csm_admin '
                       'USING (tenant_id = csm.current_tenant_id())', t);
        EXECUTE format('CREATE POLICY %1$s_write ON csm.%1$s FOR ALL TO csm_admin '
                       'USING (csm.all_in(tenant_id, ''internal'', ''configure''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS ''Staff connections read the desk of their tenant''', t);
        EXECUTE format('COMMENT ON POLICY %1$s_write ON csm.%1$s IS ''Administrators keep it''', t);
        EXECUTE format('GRANT SELECT ON csm.%1$s TO csm_agent, csm_reporter, csm_admin', t);
        EXECUTE format('GRANT DELETE ON csm.%1$s TO csm_admin', t);
    END LOOP;
END $$;
CREATE POLICY audience_grants_insert ON csm.audience_grants FOR INSERT TO csm_agent, csm_admin
    WITH CHECK (csm.audience_allows(audience_id, 'manage'));
CREATE POLICY audience_grants_update ON csm.audience_grants FOR UPDATE TO csm_agent, csm_admin
    USING (csm.audience_allows(audience_id, 'manage'));
CREATE POLICY audience_grants_delete ON csm.audience_grants FOR DELETE TO csm_agent, csm_admin
    USING (csm.audience_allows(audience_id, 'manage'));
GRANT INSERT (key, label, match, active), UPDATE (key, label, match, active) ON csm.user_criteria TO csm_admin;
GRANT INSERT (criteria_id, kind, user_id, group_id, role, account_id, include_descendants, persona, product_id, location, language),
      UPDATE (kind, user_id, group_id, role, account_id, include_descendants, persona, product_id, location, language)
    ON csm.user_criteria_parts TO csm_admin;
GRANT INSERT (within_id, owner_id, group_id), UPDATE (owner_id, group_id) ON csm.audiences TO csm_admin;
GRANT INSERT (audience_id, action, criteria_id, denies), UPDATE (denies) ON csm.audience_grants TO csm_agent, csm_admin;
GRANT DELETE ON csm.audience_grants TO csm_agent;

COMMENT ON TABLE csm.user_criteria IS 'Whom something is for: a reusable rule about people';
COMMENT ON COLUMN csm.user_criteria.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.user_criteria.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_criteria.key IS 'Short name, unique in the tenant: lower-case letters, digits, - and _';
COMMENT ON COLUMN csm.user_criteria.label IS 'Name that people read';
COMMENT ON COLUMN csm.user_criteria.match IS 'all: every part must be true of the person; any: one. Without parts: nobody';
COMMENT ON COLUMN csm.user_criteria.active IS 'False: nobody satisfies them, neither where they grant nor where they deny';
COMMENT ON TABLE csm.user_criteria_parts IS 'One thing that is true of a person or not; the kind says which column is set, and only that one is';
COMMENT ON COLUMN csm.user_criteria_parts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.user_criteria_parts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_criteria_parts.criteria_id IS 'The criteria it is part of';
COMMENT ON COLUMN csm.user_criteria_parts.kind IS 'user, group, role, account, persona, product, location or language';
COMMENT ON COLUMN csm.user_criteria_parts.user_id IS 'This person';
COMMENT ON COLUMN csm.user_criteria_parts.group_id IS 'Members of this group and of the groups below it; on a staff connection only';
COMMENT ON COLUMN csm.user_criteria_parts.role IS 'Who has this role now: a role of contacts, or (on a staff connection only) one of staff; 23514 for another kind';
COMMENT ON COLUMN csm.user_criteria_parts.account_id IS 'Current contacts of this account who may log in';
COMMENT ON COLUMN csm.user_criteria_parts.include_descendants IS 'With an account: contacts of the accounts below it as well';
COMMENT ON COLUMN csm.user_criteria_parts.persona IS 'Who has it now: employee (a row in csm.employees), consumer, contact of any account, or (on a staff connection only) staff of any role';
COMMENT ON COLUMN csm.user_criteria_parts.product_id IS 'Who owns this product or one below it: a consumer himself, a contact through his account. Sold products count while they are valid, install-base items until they are removed';
COMMENT ON COLUMN csm.user_criteria_parts.location IS 'Whose csm.users.location is this one or below it: DE is true of DE-BY';
COMMENT ON COLUMN csm.user_criteria_parts.language IS 'Whose csm.users.language is this one or narrower, in any case of letters: de is true of de-AT. Everybody chooses his language himself, so it sorts and does not protect';
COMMENT ON TABLE csm.audiences IS 'What criteria grant on something: a knowledge base, some of its articles, a forum. Everything with the same rules can share one';
COMMENT ON COLUMN csm.audiences.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.audiences.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.audiences.within_id IS 'The audience that this one narrows; NULL: it stands by itself';
COMMENT ON COLUMN csm.audiences.owner_id IS 'May do everything, on a staff connection only; within another audience only while that one lets him read. NULL: nobody';
COMMENT ON COLUMN csm.audiences.group_id IS 'Whose members, those of the groups below it included, may do the same; NULL: none';
COMMENT ON COLUMN csm.audiences.grants_key IS 'Grants for which csm made it, as text; they cannot change. NULL: its grants are kept by hand';
COMMENT ON TABLE csm.audience_grants IS 'Which criteria may, or may not, do what; no grant means nobody but the audience''s staff';
COMMENT ON COLUMN csm.audience_grants.audience_id IS 'The audience';
COMMENT ON COLUMN csm.audience_grants.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.audience_grants.action IS 'read, contribute (write articles; does not imply read), ask, answer, moderate, or manage, which is all of them';
COMMENT ON COLUMN csm.audience_grants.criteria_id IS 'Whom it is for';
COMMENT ON COLUMN csm.audience_grants.denies IS 'True: who satisfies the criteria may not, whatever else grants it to him';
COMMENT ON POLICY audience_grants_insert ON csm.audience_grants IS 'Who manages the audience';
COMMENT ON POLICY audience_grants_update ON csm.audience_grants IS 'Who manages the audience';
COMMENT ON POLICY audience_grants_delete ON csm.audience_grants IS 'Who manages the audience';
COMMENT ON FUNCTION csm_private.check_criteria_role() IS 'Trigger of csm.user_criteria_parts: refuses a role that is neither of contacts nor of staff (23514)';
COMMENT ON FUNCTION csm_private.check_audience_grant() IS 'Trigger of csm.audience_grants: those of an audience that csm made cannot change (42501)';

-- Knowledge
-- Knowledge (R A28, B40): bases, categories, articles and their versions.
--
-- csm.articles holds what people read: the text that stands published, or, until
-- something of it was published, the text being written. What is being written
-- about a published article, and what was published before, stands in
-- csm.article_versions.
--
-- Who reads, contributes and manages, the audience says (86_criteria.sql): an
-- article carries that of its base or one within it. A visitor who is not signed
-- in reads what is flagged, never by criteria.

CREATE TABLE csm.knowledge_bases (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    is_public boolean NOT NULL DEFAULT false,
    self_publish boolean NOT NULL DEFAULT false,
    key text NOT NULL,
    title text NOT NULL,
    description text,
    language text NOT NULL DEFAULT 'en',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT knowledge_bases_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT knowledge_bases_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT knowledge_bases_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT knowledge_bases_key_key UNIQUE (tenant_id, key),
    CONSTRAINT knowledge_bases_key_check CHECK (key ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT knowledge_bases_text_check CHECK (length(title) BETWEEN 1 AND 200 AND length(description) <= 10000),
    CONSTRAINT knowledge_bases_language_check CHECK (language ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$' AND length(language) <= 35)
);
CREATE INDEX knowledge_bases_audience_idx ON csm.knowledge_bases (audience_id);
SELECT csm_private.adopt_table('csm.knowledge_bases');

CREATE TABLE csm.knowledge_categories (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    base_id bigint NOT NULL,
    parent_id bigint,
    title text NOT NULL,
    CONSTRAINT knowledge_categories_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT knowledge_categories_base_key UNIQUE (id, base_id, tenant_id),
    CONSTRAINT knowledge_categories_base_fkey FOREIGN KEY (base_id, tenant_id) REFERENCES csm.knowledge_bases (id, tenant_id),
    CONSTRAINT knowledge_categories_parent_fkey FOREIGN KEY (parent_id, base_id, tenant_id)
        REFERENCES csm.knowledge_categories (id, base_id, tenant_id),
    CONSTRAINT knowledge_categories_self_check CHECK (parent_id <> id),
    CONSTRAINT knowledge_categories_title_key UNIQUE NULLS NOT DISTINCT (base_id, parent_id, title),
    CONSTRAINT knowledge_categories_title_check CHECK (length(title) BETWEEN 1 AND 200)
);
CREATE INDEX knowledge_categories_parent_idx ON csm.knowledge_categories (parent_id) WHERE parent_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.knowledge_categories');

-- What policies and lists read stands first, as in csm.cases.
CREATE TABLE csm.articles (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    base_id bigint NOT NULL,
    is_public boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'draft',
    published_at timestamptz,
    expires_at timestamptz,
    author_id bigint DEFAULT csm.current_user_id(),
    category_id bigint,
    product_id bigint,
    translation_of bigint,
    version integer,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    number text NOT NULL,
    language text NOT NULL,
    title text NOT NULL,
    keywords text,
    body text NOT NULL,
    search tsvector,
    CONSTRAINT articles_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT articles_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT articles_base_fkey FOREIGN KEY (base_id, tenant_id) REFERENCES csm.knowledge_bases (id, tenant_id),
    CONSTRAINT articles_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT articles_category_fkey FOREIGN KEY (category_id, base_id, tenant_id)
        REFERENCES csm.knowledge_categories (id, base_id, tenant_id),
    CONSTRAINT articles_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT articles_translation_fkey FOREIGN KEY (translation_of, tenant_id) REFERENCES csm.articles (id, tenant_id),
    CONSTRAINT articles_number_key UNIQUE (tenant_id, number),
    CONSTRAINT articles_state_check CHECK (state IN ('draft', 'review', 'published', 'retired')),
    CONSTRAINT articles_published_check CHECK (state <> 'published' OR published_at IS NOT NULL),
    CONSTRAINT articles_self_check CHECK (translation_of <> id),
    CONSTRAINT articles_language_check CHECK (language ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$' AND length(language) <= 35),
    CONSTRAINT articles_text_check CHECK (length(title) BETWEEN 1 AND 400 AND title !~ '^[[:space:]]*$'
        AND length(keywords) <= 2000 AND length(body) BETWEEN 1 AND 1000000 AND length(number) BETWEEN 1 AND 40)
);
-- One index an arm of the rule below, the orders in which lists are read, and
-- the words.
CREATE INDEX articles_audience_idx ON csm.articles (audience_id, published_at);
CREATE INDEX articles_public_idx ON csm.articles (tenant_id, published_at DESC, id DESC) WHERE is_public AND state = 'published';
CREATE INDEX articles_draft_idx ON csm.articles (author_id) WHERE state IN ('draft', 'review');
CREATE INDEX articles_newest_idx ON csm.articles (tenant_id, published_at DESC, id DESC);
CREATE INDEX articles_base_idx ON csm.articles (base_id, published_at DESC, id DESC);
CREATE INDEX articles_category_idx ON csm.articles (category_id) WHERE category_id IS NOT NULL;
CREATE INDEX articles_product_idx ON csm.articles (product_id) WHERE product_id IS NOT NULL;
CREATE UNIQUE INDEX articles_language_idx ON csm.articles (coalesce(translation_of, id), lower(language), tenant_id) WHERE state <> 'retired';
CREATE INDEX articles_search_idx ON csm.articles USING gin (search);
DO $$
BEGIN
    EXECUTE format('CREATE INDEX articles_title_trgm_idx ON csm.articles USING gin (title %s.gin_trgm_ops)',
                   csm_private.schema_of('pg_trgm'));
END $$;
SELECT csm_private.adopt_table('csm.articles');
-- Words stay in the row while the text moves out: a search looks at them in every row that its index finds.
ALTER TABLE csm.articles ALTER COLUMN search SET STORAGE MAIN;

CREATE TABLE csm.article_versions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    article_id bigint NOT NULL,
    version integer NOT NULL,
    revision integer NOT NULL DEFAULT 1,
    state text NOT NULL DEFAULT 'draft',
    author_id bigint DEFAULT csm.current_user_id(),
    edited_by bigint DEFAULT csm.current_user_id(),
    approved_by bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    edited_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    publish_at timestamptz,
    published_at timestamptz,
    ended_at timestamptz,
    title text NOT NULL,
    keywords text,
    body text NOT NULL,
    note text,
    CONSTRAINT article_versions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT article_versions_article_fkey FOREIGN KEY (article_id, tenant_id) REFERENCES csm.articles (id, tenant_id),
    CONSTRAINT article_versions_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT article_versions_edited_by_fkey FOREIGN KEY (edited_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT article_versions_approved_by_fkey FOREIGN KEY (approved_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT article_versions_version_key UNIQUE (article_id, version),
    CONSTRAINT article_versions_state_check CHECK (state IN ('draft', 'review', 'published', 'retired', 'replaced', 'discarded')),
    CONSTRAINT article_versions_publish_check CHECK (publish_at IS NULL OR state = 'review'),
    CONSTRAINT article_versions_text_check CHECK (length(title) BETWEEN 1 AND 400 AND title !~ '^[[:space:]]*$'
        AND length(keywords) <= 2000 AND length(body) BETWEEN 1 AND 1000000 AND length(note) <= 10000),
    CONSTRAINT article_versions_counters_check CHECK (version > 0 AND revision > 0)
);
-- One version is being written, and one stands, whoever writes at once.
CREATE UNIQUE INDEX article_versions_working_idx ON csm.article_versions (article_id) WHERE state IN ('draft', 'review');
CREATE UNIQUE INDEX article_versions_shown_idx ON csm.article_versions (article_id) WHERE state IN ('published', 'retired');
CREATE INDEX article_versions_author_idx ON csm.article_versions (author_id) WHERE state IN ('draft', 'review');
SELECT csm_private.adopt_table('csm.article_versions');

-- ---- who reads ----

-- Written once: a policy stores a parsed expression, and children ask the same
-- of the row in hand.
CREATE OR REPLACE FUNCTION csm_private.article_arms(arms text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stands CONSTANT text := $e$state = 'published' AND (expires_at IS NULL OR expires_at > statement_timestamp())$e$;
BEGIN
    RETURN CASE arms
        WHEN 'guest' THEN stands || ' AND is_public AND tenant_id = csm.guest_tenant_id()'
        WHEN 'person' THEN stands || $e$ AND (is_public OR csm.audience_allows(audience_id, 'read'))
            OR author_id = csm.current_user_id() AND state IN ('draft', 'review') AND csm.audience_allows(audience_id, 'contribute')
            OR csm.audience_allows(audience_id, 'manage')$e$
    END;
END $$;
ALTER FUNCTION csm_private.article_arms(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.article_arms(text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.article_arms(text) IS
'Install scripts only: text of the rule who reads an article; arms guest (nobody is signed in) or person';

-- For children, whose policies have no sub-select either, and for functions that
-- run as csm_owner.
DO $$
BEGIN
    EXECUTE format($f$
        CREATE FUNCTION csm_private.article_allows(article_id bigint, tenant_id bigint, action text) RETURNS boolean
        LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER PARALLEL SAFE COST 100
        SET search_path = pg_catalog, pg_temp
        AS $b$
        #variable_conflict use_column
        BEGIN
            RETURN EXISTS (SELECT FROM csm.articles a
                           WHERE a.id = article_allows.article_id AND a.tenant_id = article_allows.tenant_id
                             AND CASE WHEN article_allows.action <> 'read' THEN csm.audience_allows(audience_id, article_allows.action)
                                      WHEN csm.current_user_id() IS NULL THEN %s
                                      ELSE a.tenant_id = csm.current_tenant_id() AND (%s) END);
        END $b$ $f$, csm_private.article_arms('guest'), csm_private.article_arms('person'));
    EXECUTE format('CREATE POLICY articles_select_guest ON csm.articles FOR SELECT TO csm_guest USING (%s)', csm_private.article_arms('guest'));
    EXECUTE format('CREATE POLICY articles_select ON csm.articles FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin USING (%s)',
                   csm_private.article_arms('person'));
END $$;
ALTER FUNCTION csm_private.article_allows(bigint, bigint, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.article_allows(bigint, bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.article_allows(bigint, bigint, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.article_allows(bigint, bigint, text) IS
'Whether the caller reads the article (read, as the policies say; also for a visitor who is not signed in), or its audience gives him contribute or manage; false for a missing article';

CREATE OR REPLACE FUNCTION csm_private.base_allows(base_id bigint, tenant_id bigint, action text) RETURNS boolean
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER PARALLEL SAFE COST 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN EXISTS (SELECT FROM csm.knowledge_bases b
                   WHERE b.id = base_id AND b.tenant_id = tenant_id
                     AND CASE WHEN action <> 'read' THEN csm.audience_allows(b.audience_id, action)
                              WHEN csm.current_user_id() IS NULL THEN b.is_public AND b.tenant_id = csm.guest_tenant_id()
                              ELSE b.tenant_id = csm.current_tenant_id()
                                   AND (b.is_public OR csm.audience_allows(b.audience_id, 'read')
                                        OR csm.audience_allows(b.audience_id, 'contribute')) END);
END $$;
ALTER FUNCTION csm_private.base_allows(bigint, bigint, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.base_allows(bigint, bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.base_allows(bigint, bigint, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.base_allows(bigint, bigint, text) IS
'Whether the caller sees the base (read: public, or read or contribute by its audience), or its audience gives him another action; false for a missing base';

CREATE POLICY knowledge_bases_select_guest ON csm.knowledge_bases FOR SELECT TO csm_guest
    USING (is_public AND tenant_id = csm.guest_tenant_id());
CREATE POLICY knowledge_bases_select ON csm.knowledge_bases FOR SELECT TO csm_portal
    USING (is_public OR csm.audience_allows(audience_id, 'read') OR csm.audience_allows(audience_id, 'contribute'));
CREATE POLICY knowledge_bases_select_staff ON csm.knowledge_bases FOR SELECT TO csm_agent, csm_reporter, csm_admin
    USING (is_public OR csm.audience_allows(audience_id, 'read') OR csm.audience_allows(audience_id, 'contribute')
        OR csm.all_in(tenant_id, 'internal', 'configure'));
CREATE POLICY knowledge_bases_write ON csm.knowledge_bases FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
CREATE POLICY knowledge_bases_update ON csm.knowledge_bases FOR UPDATE TO csm_agent
    USING (csm.audience_allows(audience_id, 'manage'));
CREATE POLICY knowledge_categories_select ON csm.knowledge_categories FOR SELECT
    TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin
    USING (csm_private.base_allows(base_id, tenant_id, 'read'));
CREATE POLICY knowledge_categories_write ON csm.knowledge_categories FOR ALL TO csm_agent
    USING (csm_private.base_allows(base_id, tenant_id, 'manage'));

CREATE POLICY article_versions_select ON csm.article_versions FOR SELECT TO csm_portal, csm_agent
    USING (author_id = csm.current_user_id() AND csm_private.article_allows(article_id, tenant_id, 'contribute')
        OR csm_private.article_allows(article_id, tenant_id, 'manage'));

GRANT SELECT ON csm.knowledge_bases, csm.knowledge_categories, csm.articles TO csm_guest, csm_portal, csm_agent, csm_admin;
GRANT SELECT (id, tenant_id, audience_id, is_public, self_publish, key, title, language, created_at) ON csm.knowledge_bases TO csm_reporter;
GRANT SELECT ON csm.knowledge_categories TO csm_reporter;
GRANT SELECT (id, tenant_id, audience_id, base_id, is_public, state, published_at, expires_at, category_id, product_id, translation_of,
              version, updated_at, number, language) ON csm.articles TO csm_reporter;
GRANT SELECT ON csm.article_versions TO csm_portal, csm_agent;
GRANT INSERT (audience_id, is_public, self_publish, key, title, description, language),
      UPDATE (is_public, self_publish, key, title, description, language) ON csm.knowledge_bases TO csm_admin;
GRANT UPDATE (title, description, language) ON csm.knowledge_bases TO csm_agent;
GRANT INSERT (base_id, parent_id, title), UPDATE (parent_id, title), DELETE ON csm.knowledge_categories TO csm_agent;

COMMENT ON TABLE csm.knowledge_bases IS 'Bases of knowledge, each with its audience';
COMMENT ON COLUMN csm.knowledge_bases.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.knowledge_bases.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.knowledge_bases.audience_id IS 'Who reads, contributes and manages; never changes. A new base without one gets an audience of its own, whose owner is who made it';
COMMENT ON COLUMN csm.knowledge_bases.is_public IS 'Its articles may be public; taken back, every article of it ceases to be';
COMMENT ON COLUMN csm.knowledge_bases.self_publish IS 'True: who wrote a text may publish it himself, without review';
COMMENT ON COLUMN csm.knowledge_bases.key IS 'Key, unique in the tenant';
COMMENT ON COLUMN csm.knowledge_bases.title IS 'Name that people read';
COMMENT ON COLUMN csm.knowledge_bases.description IS 'What it is about; NULL for nothing said';
COMMENT ON COLUMN csm.knowledge_bases.language IS 'Language tag (BCP 47) of an article that names none';
COMMENT ON COLUMN csm.knowledge_bases.created_at IS 'When it was made';
COMMENT ON TABLE csm.knowledge_categories IS 'Categories of a base, a tree';
COMMENT ON COLUMN csm.knowledge_categories.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.knowledge_categories.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.knowledge_categories.base_id IS 'The base';
COMMENT ON COLUMN csm.knowledge_categories.parent_id IS 'Category above, of the same base; NULL at the top';
COMMENT ON COLUMN csm.knowledge_categories.title IS 'Name that people read, unique below its parent';
COMMENT ON TABLE csm.articles IS 'Articles as people read them: the published text, and until there is one, the text being written. State and text follow csm.article_versions; rows are never deleted';
COMMENT ON COLUMN csm.articles.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.articles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.articles.audience_id IS 'Who reads, contributes and manages: the audience of the base, or one within it';
COMMENT ON COLUMN csm.articles.base_id IS 'The base; never changes';
COMMENT ON COLUMN csm.articles.is_public IS 'Read by everybody, signed in or not, once published; only in a public base';
COMMENT ON COLUMN csm.articles.state IS 'draft or review: never published; published; retired: published no more, or given up';
COMMENT ON COLUMN csm.articles.published_at IS 'When the text that stands was published; NULL before';
COMMENT ON COLUMN csm.articles.expires_at IS 'From when on it is not read any more; csm.run_due() then retires it. NULL for never';
COMMENT ON COLUMN csm.articles.author_id IS 'Who wrote it first; NULL for the system';
COMMENT ON COLUMN csm.articles.category_id IS 'Category of the base; NULL for none';
COMMENT ON COLUMN csm.articles.product_id IS 'Product that it is about; restricts nothing by itself';
COMMENT ON COLUMN csm.articles.translation_of IS 'Article of the same base that it translates, itself no translation; NULL for none. One article a language, retired ones aside';
COMMENT ON COLUMN csm.articles.version IS 'Number of the version that stands; NULL before the first was published';
COMMENT ON COLUMN csm.articles.updated_at IS 'Last change of the row';
COMMENT ON COLUMN csm.articles.number IS 'Human-facing number, unique in the tenant; made from the id (KB0000042) when not given';
COMMENT ON COLUMN csm.articles.language IS 'Language tag (BCP 47), and with it how search reads the words; that of the base by default';
COMMENT ON COLUMN csm.articles.title IS 'One line, up to 400 characters';
COMMENT ON COLUMN csm.articles.keywords IS 'Words by which it is to be found beside its own; NULL for none';
COMMENT ON COLUMN csm.articles.body IS 'The text, up to 1,000,000 characters';
COMMENT ON COLUMN csm.articles.search IS 'Words for csm.matches(): number and title weigh A, keywords B, body D';
COMMENT ON TABLE csm.article_versions IS 'What was, is and shall be the text of an article. Immutable once published; never deleted';
COMMENT ON COLUMN csm.article_versions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.article_versions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.article_versions.article_id IS 'The article';
COMMENT ON COLUMN csm.article_versions.version IS '1, 2, ... within the article';
COMMENT ON COLUMN csm.article_versions.revision IS 'Counts the changes of its text; csm.edit_article() wants the one that the writer has read';
COMMENT ON COLUMN csm.article_versions.state IS 'draft, review, published, retired, replaced (by a later version) or discarded; csm_private.article_transitions() says what follows what';
COMMENT ON COLUMN csm.article_versions.author_id IS 'Who began it; NULL for the system';
COMMENT ON COLUMN csm.article_versions.edited_by IS 'Who changed its text last, and so does not publish it, unless the base lets him; NULL for the system';
COMMENT ON COLUMN csm.article_versions.approved_by IS 'Who published it, or said when it is to be published; NULL for the system';
COMMENT ON COLUMN csm.article_versions.created_at IS 'When it was begun';
COMMENT ON COLUMN csm.article_versions.edited_at IS 'When its text was changed last';
COMMENT ON COLUMN csm.article_versions.publish_at IS 'When csm.run_due() publishes what was approved; NULL where nothing is planned';
COMMENT ON COLUMN csm.article_versions.published_at IS 'When it was published; NULL before';
COMMENT ON COLUMN csm.article_versions.ended_at IS 'When it was retired, replaced or discarded; NULL before';
COMMENT ON COLUMN csm.article_versions.title IS 'One line, up to 400 characters';
COMMENT ON COLUMN csm.article_versions.keywords IS 'Words by which it is to be found beside its own; NULL for none';
COMMENT ON COLUMN csm.article_versions.body IS 'The text, up to 1,000,000 characters';
COMMENT ON COLUMN csm.article_versions.note IS 'What was said with the last action, such as why it was rejected; NULL for nothing';
COMMENT ON POLICY articles_select_guest ON csm.articles IS 'Not signed in: what is published and flagged, in the tenant that csm.tenant names';
COMMENT ON POLICY articles_select ON csm.articles IS 'What is published and flagged or read by its audience; one''s own before it is published, while one may contribute; all for who manages the audience';
COMMENT ON POLICY knowledge_bases_select_guest ON csm.knowledge_bases IS 'Not signed in: public ones';
COMMENT ON POLICY knowledge_bases_select ON csm.knowledge_bases IS 'Public ones, and where one reads or contributes';
COMMENT ON POLICY knowledge_bases_select_staff ON csm.knowledge_bases IS 'The same; administrators all of the tenant';
COMMENT ON POLICY knowledge_bases_write ON csm.knowledge_bases IS 'Administrators';
COMMENT ON POLICY knowledge_bases_update ON csm.knowledge_bases IS 'Staff of the base';
COMMENT ON POLICY knowledge_categories_select ON csm.knowledge_categories IS 'Who sees the base';
COMMENT ON POLICY knowledge_categories_write ON csm.knowledge_categories IS 'Staff of the base';
COMMENT ON POLICY article_versions_select ON csm.article_versions IS 'One''s own, while one may contribute; all for who manages the audience';

-- ---- bases and categories ----

CREATE OR REPLACE FUNCTION csm_private.base_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.audience_id IS NULL THEN
            INSERT INTO csm.audiences (tenant_id, owner_id) VALUES (NEW.tenant_id, csm.current_user_id()) RETURNING id INTO NEW.audience_id;
        END IF;
    ELSIF (NEW.id, NEW.tenant_id, NEW.audience_id) IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.audience_id) THEN
        RAISE EXCEPTION 'id, tenant and audience of knowledge base "%" cannot change', OLD.key USING ERRCODE = '42501',
            HINT = 'Change what the audience grants.';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION csm_private.base_follow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        UPDATE csm.articles a SET is_public = false WHERE a.base_id = NEW.id AND a.tenant_id = NEW.tenant_id AND a.is_public;
    END IF;
    RETURN NULL;
END $$;

-- A move locks the base, so that two of them cannot close a circle unseen.
CREATE OR REPLACE FUNCTION csm_private.category_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    ELSIF (NEW.id, NEW.tenant_id, NEW.base_id) IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.base_id) THEN
        RAISE EXCEPTION 'id, tenant and base of category "%" cannot change', OLD.title USING ERRCODE = '42501',
            HINT = 'Make one in the other base.';
    ELSIF NEW.parent_id IS NOT NULL THEN
        PERFORM FROM csm.knowledge_bases b WHERE b.id = NEW.base_id FOR NO KEY UPDATE;
        IF EXISTS (WITH RECURSIVE above(id) AS (
                       SELECT NEW.parent_id
                     UNION
                       SELECT c.parent_id FROM above JOIN csm.knowledge_categories c ON c.id = above.id WHERE c.parent_id IS NOT NULL)
                   SELECT FROM above WHERE above.id = NEW.id) THEN
            RAISE EXCEPTION 'category "%" cannot stand below itself', NEW.title USING ERRCODE = '23514',
                HINT = 'Choose a category that is not below it, or none.';
        END IF;
    END IF;
    RETURN NEW;
END $$;

-- ---- articles ----

-- What an author may refer to: the same refusal for what is hidden and what is
-- missing.
CREATE OR REPLACE FUNCTION csm_private.may_place_article(a csm.articles, action text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm.audience_allows(b.audience_id, action) AND csm.audience_allows(a.audience_id, action)
       AND (a.category_id IS NULL OR EXISTS (SELECT FROM csm.knowledge_categories c
                                             WHERE c.id = a.category_id AND c.base_id = a.base_id AND c.tenant_id = a.tenant_id))
       AND (a.product_id IS NULL OR EXISTS (SELECT FROM csm.products p WHERE p.id = a.product_id AND p.tenant_id = a.tenant_id))
       AND (a.translation_of IS NULL
            OR csm_private.article_allows(a.translation_of, a.tenant_id, 'read')
               AND EXISTS (SELECT FROM csm.articles t
                           WHERE t.id = a.translation_of AND t.base_id = a.base_id AND t.tenant_id = a.tenant_id AND t.translation_of IS NULL))
    FROM csm.knowledge_bases b WHERE b.id = a.base_id AND b.tenant_id = a.tenant_id
$$;

CREATE OR REPLACE FUNCTION csm_private.article_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    loads CONSTANT boolean := csm_private.importing();
    b csm.knowledge_bases;
BEGIN
    IF csm_private.restoring() THEN
        -- of a word that is erased nothing is found
        IF TG_OP = 'UPDATE' AND (NEW.title, NEW.keywords, NEW.body) IS DISTINCT FROM (OLD.title, OLD.keywords, OLD.body) THEN
            NEW.search := csm_private.search_vector(NEW.language, NEW.number || ' ' || NEW.title, NEW.keywords, NEW.body);
        END IF;
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT * INTO b FROM csm.knowledge_bases k WHERE k.id = NEW.base_id AND k.tenant_id = NEW.tenant_id;
        NEW.audience_id := coalesce(NEW.audience_id, b.audience_id);
        NEW.language := coalesce(NEW.language, b.language);
        NEW.number := coalesce(NEW.number, 'KB' || lpad(NEW.id::text, greatest(7, length(NEW.id::text)), '0'));
        IF loads THEN
            NEW.version := CASE WHEN NEW.state IN ('published', 'retired') THEN coalesce(NEW.version, 1) END;
        ELSE
            NEW.state := 'draft';
            NEW.version := NULL;
            NEW.published_at := NULL;
            NEW.updated_at := clock_timestamp();
        END IF;
    ELSIF (NEW.id, NEW.tenant_id, NEW.base_id, NEW.number, NEW.translation_of)
          IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.base_id, OLD.number, OLD.translation_of) THEN
        RAISE EXCEPTION 'id, tenant, base, number and original of article % cannot change', OLD.number USING ERRCODE = '42501',
            HINT = 'Write another article.';
    ELSIF pg_trigger_depth() < 2 AND (NEW.state, NEW.version, NEW.published_at, NEW.title, NEW.keywords, NEW.body)
          IS DISTINCT FROM (OLD.state, OLD.version, OLD.published_at, OLD.title, OLD.keywords, OLD.body) THEN
        RAISE EXCEPTION 'text and state of article % follow its versions', OLD.number USING ERRCODE = '42501',
            HINT = 'Call csm.edit_article() and csm.act_on_article().';
    ELSE
        NEW.updated_at := clock_timestamp();
    END IF;
    IF TG_OP = 'INSERT' OR NEW.audience_id <> OLD.audience_id THEN
        IF NOT EXISTS (SELECT FROM csm.audiences u JOIN csm.knowledge_bases k ON k.id = NEW.base_id AND k.tenant_id = NEW.tenant_id
                       WHERE u.id = NEW.audience_id AND u.tenant_id = NEW.tenant_id AND k.audience_id IN (u.id, u.within_id))
           AND NEW.audience_id IS NOT NULL THEN
            RAISE EXCEPTION 'audience of article % is not within that of its base', NEW.number USING ERRCODE = '23514',
                HINT = 'Give that of the base, or one whose within_id is that of the base.';
        END IF;
    END IF;
    IF NEW.is_public AND (TG_OP = 'INSERT' OR NOT OLD.is_public) THEN
        -- against the base ceasing to be public meanwhile
        SELECT * INTO b FROM csm.knowledge_bases k WHERE k.id = NEW.base_id AND k.tenant_id = NEW.tenant_id FOR SHARE;
        IF NOT b.is_public THEN
            RAISE EXCEPTION 'article % cannot be public', NEW.number USING ERRCODE = '23514',
                DETAIL = format('Knowledge base "%s" is not public.', b.key), HINT = 'An administrator makes the base public first.';
        END IF;
    END IF;
    IF TG_OP = 'INSERT' OR (NEW.language, NEW.title, NEW.keywords, NEW.body)
                           IS DISTINCT FROM (OLD.language, OLD.title, OLD.keywords, OLD.body) THEN
        NEW.search := csm_private.search_vector(NEW.language, NEW.number || ' ' || NEW.title, NEW.keywords, NEW.body);
    END IF;
    RETURN NEW;
END $$;

-- The first version, and of an import the one that stands.
CREATE OR REPLACE FUNCTION csm_private.article_begin() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        INSERT INTO csm.article_versions (tenant_id, article_id, version, state, author_id, edited_by, created_at, edited_at,
                                          published_at, ended_at, title, keywords, body)
        SELECT n.tenant_id, n.id, coalesce(n.version, 1), n.state, n.author_id, n.author_id, n.updated_at, n.updated_at,
               n.published_at, CASE n.state WHEN 'retired' THEN n.updated_at END, n.title, n.keywords, n.body
        FROM new_rows n;
        PERFORM csm_private.set_timer(n.tenant_id, 'article_expiry', n.id, NULL, n.expires_at)
        FROM new_rows n WHERE n.expires_at IS NOT NULL;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION csm_private.article_expiry() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        PERFORM csm_private.set_timer(NEW.tenant_id, 'article_expiry', NEW.id, NULL, NEW.expires_at);
    END IF;
    RETURN NULL;
END $$;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.base_guard()',
        'csm_private.base_follow()',
        'csm_private.category_guard()',
        'csm_private.may_place_article(csm.articles, text)',
        'csm_private.article_guard()',
        'csm_private.article_begin()',
        'csm_private.article_expiry()']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm_private.may_place_article(csm.articles, text) TO csm_portal, csm_agent;
COMMENT ON FUNCTION csm_private.base_guard() IS 'Trigger of csm.knowledge_bases: an audience for a new base; error 42501 for a change of id, tenant or audience';
COMMENT ON FUNCTION csm_private.base_follow() IS 'Trigger of csm.knowledge_bases: a base that is not public any more has no public article';
COMMENT ON FUNCTION csm_private.category_guard() IS 'Trigger of csm.knowledge_categories: error 23514 for a circle, 42501 for a change of id, tenant or base';
COMMENT ON FUNCTION csm_private.may_place_article(csm.articles, text) IS
'Whether base and audience of the article give the caller the action, and its category, product and original are of the base and tenant and, the original, read by him; NULL or false otherwise, alike for hidden and missing';
COMMENT ON FUNCTION csm_private.article_guard() IS
'Trigger of csm.articles: fills in a new article, keeps search and updated_at. Errors: 42501 for a change of what is fixed or follows the versions, 23514 for an audience not within that of the base and for a public article of a base that is not';
COMMENT ON FUNCTION csm_private.article_begin() IS 'Trigger of csm.articles: the first version of new articles';
COMMENT ON FUNCTION csm_private.article_expiry() IS 'Trigger of csm.articles: the timer of expires_at';

CREATE TRIGGER knowledge_bases_10_guard BEFORE INSERT OR UPDATE ON csm.knowledge_bases
    FOR EACH ROW EXECUTE FUNCTION csm_private.base_guard();
CREATE TRIGGER knowledge_bases_20_follow AFTER UPDATE ON csm.knowledge_bases
    FOR EACH ROW WHEN (OLD.is_public AND NOT NEW.is_public) EXECUTE FUNCTION csm_private.base_follow();
CREATE TRIGGER knowledge_categories_10_guard BEFORE UPDATE ON csm.knowledge_categories
    FOR EACH ROW EXECUTE FUNCTION csm_private.category_guard();
CREATE TRIGGER articles_10_guard BEFORE INSERT OR UPDATE ON csm.articles
    FOR EACH ROW EXECUTE FUNCTION csm_private.article_guard();
CREATE TRIGGER articles_10_append_only BEFORE DELETE ON csm.articles
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER articles_10_append_only_truncate BEFORE TRUNCATE ON csm.articles
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER articles_20_begin AFTER INSERT ON csm.articles
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION csm_private.article_begin();
CREATE TRIGGER articles_30_expiry AFTER UPDATE ON csm.articles
    FOR EACH ROW WHEN (OLD.expires_at IS DISTINCT FROM NEW.expires_at) EXECUTE FUNCTION csm_private.article_expiry();

CREATE POLICY articles_insert ON csm.articles FOR INSERT TO csm_portal, csm_agent
    WITH CHECK (author_id = csm.current_user_id() AND csm_private.may_place_article(articles, 'contribute'));
CREATE POLICY articles_update ON csm.articles FOR UPDATE TO csm_agent
    USING (csm.audience_allows(audience_id, 'manage')) WITH CHECK (csm_private.may_place_article(articles, 'manage'));
GRANT INSERT (base_id, category_id, product_id, translation_of, language, title, keywords, body) ON csm.articles TO csm_portal, csm_agent;
GRANT UPDATE (is_public, expires_at, category_id, product_id, audience_id) ON csm.articles TO csm_agent;
COMMENT ON POLICY articles_insert ON csm.articles IS 'Who may contribute, in his own name; 42501 for a base, category or original that is hidden, missing or does not fit';
COMMENT ON POLICY articles_update ON csm.articles IS 'Staff of the audience: where it stands, who reads it, until when';
-- The life of an article: drafts, review, publishing, retiring, by hand or by
-- time.
--
-- Which state of a version follows which is said once, in
-- csm_private.article_transitions(); the trigger of csm.article_versions holds
-- whoever writes to it, the functions below say who may. Nobody but csm_owner
-- writes versions.
--
-- Locks: the version first, then its article.

-- from_state and to_state are states of a version. actors: author (began the
-- version and may contribute), contributor (may contribute and reads the
-- article), manager (manages the audience), reviewer (a manager who has not
-- written the text, unless the base lets people publish their own), publisher
-- (author or manager, where it does). Without actors only csm's own functions
-- take the step. begins: a new version, beside the one that stands.
CREATE OR REPLACE FUNCTION csm_private.article_transitions()
RETURNS TABLE (action text, from_state text, to_state text, actors text[], note_required boolean, begins boolean, label text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 13
BEGIN ATOMIC
    VALUES ('submit', 'draft', 'review', '{author,manager}'::text[], false, false, 'Submit for review'),
           ('publish', 'draft', 'published', '{publisher}'::text[], false, false, 'Publish'),
           ('publish', 'review', 'published', '{reviewer,publisher}'::text[], false, false, 'Publish'),
           ('withdraw', 'review', 'draft', '{author}'::text[], false, false, 'Withdraw'),
           ('reject', 'review', 'draft', '{manager}'::text[], true, false, 'Reject'),
           ('discard', 'draft', 'discarded', '{author,manager}'::text[], false, false, 'Discard'),
           ('discard', 'review', 'discarded', '{manager}'::text[], true, false, 'Discard'),
           ('retire', 'published', 'retired', '{manager}'::text[], false, false, 'Retire'),
           ('revise', 'published', 'draft', '{contributor,manager}'::text[], false, true, 'Revise'),
           ('revise', 'retired', 'draft', '{manager}'::text[], false, true, 'Revise'),
           ('replace', 'published', 'replaced', '{}'::text[], false, false, 'Replace'),
           ('replace', 'retired', 'replaced', '{}'::text[], false, false, 'Replace');
END;

CREATE OR REPLACE FUNCTION csm_private.article_version_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'draft' AND pg_trigger_depth() < 2 AND NOT csm_private.importing() THEN
            RAISE EXCEPTION 'a new version of article % is a draft', NEW.article_id USING ERRCODE = 'SM002',
                DETAIL = format('Its state was given as "%s".', NEW.state), HINT = 'Publish it by csm.act_on_article().';
        END IF;
        RETURN NEW;
    ELSIF (NEW.id, NEW.tenant_id, NEW.article_id, NEW.version, NEW.created_at)
          IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.article_id, OLD.version, OLD.created_at) THEN
        RAISE EXCEPTION 'id, tenant, article and number of version % of article % cannot change', OLD.version, OLD.article_id
            USING ERRCODE = '42501', HINT = 'Begin another version.';
    ELSIF NEW.state <> OLD.state AND NOT EXISTS (SELECT FROM csm_private.article_transitions() t
                                                 WHERE t.from_state = OLD.state AND t.to_state = NEW.state AND NOT t.begins) THEN
        RAISE EXCEPTION 'version % of article % cannot become %', OLD.version, OLD.article_id, NEW.state USING ERRCODE = 'SM002',
            DETAIL = format('It is %s.', OLD.state), HINT = 'csm.article_actions() lists what can be done.';
    ELSIF (NEW.title, NEW.keywords, NEW.body) IS DISTINCT FROM (OLD.title, OLD.keywords, OLD.body) THEN
        IF OLD.state <> 'draft' OR NEW.state <> 'draft' THEN
            RAISE EXCEPTION 'the text of version % of article % cannot change', OLD.version, OLD.article_id USING ERRCODE = '42501',
                DETAIL = format('It is %s.', OLD.state), HINT = 'Only a draft is written on; withdraw it from review, or begin a new version.';
        END IF;
        NEW.revision := OLD.revision + 1;
        NEW.edited_at := clock_timestamp();
    END IF;
    IF NEW.state <> 'review' THEN
        NEW.publish_at := NULL;
    END IF;
    IF NEW.state = 'published' AND OLD.state <> 'published' THEN
        -- before this one stands: there is room for one
        UPDATE csm.article_versions v SET state = 'replaced'
        WHERE v.article_id = NEW.article_id AND v.tenant_id = NEW.tenant_id AND v.state IN ('published', 'retired');
    END IF;
    IF NEW.state <> OLD.state THEN
        NEW.published_at := CASE WHEN NEW.state = 'published' THEN clock_timestamp() ELSE OLD.published_at END;
        NEW.ended_at := CASE WHEN NEW.state IN ('retired', 'replaced', 'discarded') THEN clock_timestamp() END;
        IF NEW.state = 'draft' THEN
            NEW.approved_by := NULL;
        END IF;
    ELSIF OLD.state NOT IN ('draft', 'review')
          AND (NEW.author_id, NEW.edited_by, NEW.approved_by, NEW.published_at, NEW.ended_at, NEW.note, NEW.edited_at)
              IS DISTINCT FROM (OLD.author_id, OLD.edited_by, OLD.approved_by, OLD.published_at, OLD.ended_at, OLD.note, OLD.edited_at) THEN
        RAISE EXCEPTION 'version % of article % is as it was published', OLD.version, OLD.article_id USING ERRCODE = '42501',
            HINT = 'Begin another version.';
    END IF;
    RETURN NEW;
END $$;

-- The article takes over the text that stands; before there is one, the text
-- being written.
CREATE OR REPLACE FUNCTION csm_private.article_version_follow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF NEW.state <> OLD.state AND NEW.state = 'published' THEN
        UPDATE csm.articles a SET state = 'published', version = NEW.version, published_at = NEW.published_at,
               title = NEW.title, keywords = NEW.keywords, body = NEW.body
        WHERE a.id = NEW.article_id AND a.tenant_id = NEW.tenant_id;
    ELSIF NEW.state = 'retired' AND OLD.state = 'published' THEN
        UPDATE csm.articles a SET state = 'retired' WHERE a.id = NEW.article_id AND a.tenant_id = NEW.tenant_id;
    ELSIF NEW.state IN ('draft', 'review', 'discarded') THEN
        UPDATE csm.articles a SET state = CASE NEW.state WHEN 'discarded' THEN 'retired' ELSE NEW.state END,
               title = NEW.title, keywords = NEW.keywords, body = NEW.body
        WHERE a.id = NEW.article_id AND a.tenant_id = NEW.tenant_id AND a.version IS NULL;
    END IF;
    IF NEW.publish_at IS DISTINCT FROM OLD.publish_at THEN
        PERFORM csm_private.set_timer(NEW.tenant_id, 'article_publish', NEW.id, NULL, NEW.publish_at);
    END IF;
    RETURN NULL;
END $$;

-- ---- who may do what ----

CREATE OR REPLACE FUNCTION csm_private.article_actors(a csm.articles, v csm.article_versions) RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    contributes boolean;
    manages boolean;
    writes boolean;
    alone boolean;
BEGIN
    IF csm_private.acts_as_system() THEN
        RETURN '{author,contributor,manager,reviewer,publisher}'::text[];
    END IF;
    contributes := csm.audience_allows(a.audience_id, 'contribute');
    manages := csm.audience_allows(a.audience_id, 'manage');
    writes := contributes AND v.author_id = me;
    SELECT b.self_publish INTO alone FROM csm.knowledge_bases b WHERE b.id = a.base_id AND b.tenant_id = a.tenant_id;
    RETURN array_remove(ARRAY[
        CASE WHEN writes THEN 'author' END,
        CASE WHEN contributes AND csm_private.article_allows(a.id, a.tenant_id, 'read') THEN 'contributor' END,
        CASE WHEN manages THEN 'manager' END,
        CASE WHEN manages AND (alone OR v.edited_by IS DISTINCT FROM me) THEN 'reviewer' END,
        CASE WHEN alone AND (writes OR manages) THEN 'publisher' END], NULL);
END $$;

-- The article for somebody who reads it, manages it or has written on it.
CREATE OR REPLACE FUNCTION csm_private.known_article(article_id bigint) RETURNS csm.articles
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    a csm.articles;
BEGIN
    SELECT * INTO a FROM csm.articles x
    WHERE x.id = article_id AND (x.tenant_id = csm.current_tenant_id() OR csm_private.acts_as_system());
    IF a.id IS NULL
       OR NOT (csm_private.acts_as_system() OR csm_private.article_allows(a.id, a.tenant_id, 'read')
               OR csm.audience_allows(a.audience_id, 'contribute')
                  AND EXISTS (SELECT FROM csm.article_versions v WHERE v.article_id = a.id AND v.tenant_id = a.tenant_id
                              AND v.author_id = csm.current_user_id())) THEN
        RAISE EXCEPTION 'article % does not exist', coalesce(article_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'An article that you may not see is reported in the same way.';
    END IF;
    RETURN a;
END $$;

CREATE OR REPLACE FUNCTION csm.article_actions(article_id bigint)
RETURNS TABLE (action text, label text, version integer, from_state text, to_state text, note_required boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    a CONSTANT csm.articles := csm_private.known_article(article_actions.article_id);
BEGIN
    RETURN QUERY
        SELECT t.action, t.label, v.version, t.from_state, t.to_state, t.note_required
        FROM csm.article_versions v JOIN csm_private.article_transitions() t ON t.from_state = v.state
        WHERE v.article_id = a.id AND v.tenant_id = a.tenant_id AND t.actors && csm_private.article_actors(a, v)
          AND (NOT t.begins OR NOT EXISTS (SELECT FROM csm.article_versions w
                                           WHERE w.article_id = a.id AND w.tenant_id = a.tenant_id AND w.state IN ('draft', 'review')))
        ORDER BY v.version DESC, t.action;
END $$;

CREATE OR REPLACE FUNCTION csm.act_on_article(article_id bigint, action text, note text DEFAULT NULL, at timestamptz DEFAULT NULL,
    revision integer DEFAULT NULL) RETURNS csm.articles
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    a csm.articles := csm_private.known_article(article_id);
    me CONSTANT bigint := csm.current_user_id();
    working csm.article_versions;
    shown csm.article_versions;
    v csm.article_versions;
    t record;
BEGIN
    IF NOT EXISTS (SELECT FROM csm_private.article_transitions() x WHERE x.action = action AND cardinality(x.actors) > 0) THEN
        RAISE EXCEPTION 'action "%" is unknown', coalesce(action, 'NULL') USING ERRCODE = '22023',
            HINT = 'csm.article_actions() lists what can be done.';
    ELSIF at IS NOT NULL AND action <> 'publish' THEN
        RAISE EXCEPTION 'only publishing can be planned' USING ERRCODE = '22023', HINT = 'Leave at out.';
    ELSIF length(note) > 10000 THEN
        RAISE EXCEPTION 'note is longer than 10,000 characters' USING ERRCODE = '22023';
    END IF;
    SELECT * INTO working FROM csm.article_versions x
    WHERE x.article_id = a.id AND x.tenant_id = a.tenant_id AND x.state IN ('draft', 'review') FOR NO KEY UPDATE;
    SELECT * INTO shown FROM csm.article_versions x
    WHERE x.article_id = a.id AND x.tenant_id = a.tenant_id AND x.state IN ('published', 'retired') FOR NO KEY UPDATE;
    IF working.id IS NULL THEN
        -- somebody may have begun one while this waited
        SELECT * INTO working FROM csm.article_versions x
        WHERE x.article_id = a.id AND x.tenant_id = a.tenant_id AND x.state IN ('draft', 'review');
    END IF;
    SELECT x.*, x.from_state = working.state AS of_working INTO t FROM csm_private.article_transitions() x
    WHERE x.action = action AND x.from_state IN (working.state, shown.state)
      AND (NOT x.begins OR working.id IS NULL)
    ORDER BY x.from_state = working.state DESC LIMIT 1;
    v := CASE WHEN t.of_working THEN working WHEN t.action IS NOT NULL THEN shown WHEN working.id IS NOT NULL THEN working ELSE shown END;
    -- permission before state: D 6
    IF NOT EXISTS (SELECT FROM csm_private.article_transitions() x
                   WHERE x.action = action AND (t.action IS NULL OR x.from_state = t.from_state)
                     AND x.actors && csm_private.article_actors(a, v)) THEN
        RAISE EXCEPTION 'to % article % is not permitted', action, a.number USING ERRCODE = '42501',
            HINT = CASE WHEN action = 'publish' AND v.edited_by = me THEN 'A second person publishes what you have written.'
                        ELSE 'csm.article_actions() lists what you can do.' END;
    ELSIF t.action IS NULL THEN
        RAISE EXCEPTION 'to % article % is not possible now', action, a.number USING ERRCODE = 'SM002',
            DETAIL = format('Version %s is %s.', v.version, v.state), HINT = 'csm.article_actions() lists what you can do.';
    ELSIF t.note_required AND coalesce(note, '') ~ '^[[:space:]]*$' THEN
        RAISE EXCEPTION 'to % article % needs a note', action, a.number USING ERRCODE = 'SM003', HINT = 'Say why.';
    ELSIF revision <> v.revision THEN
        RAISE EXCEPTION 'version % of article % has changed since it was read', v.version, a.number USING ERRCODE = '40001',
            DETAIL = format('Its revision is %s, not %s.', v.revision, revision), HINT = 'Read it again.';
    END IF;

    IF t.begins THEN
        INSERT INTO csm.article_versions (tenant_id, article_id, version, title, keywords, body, note)
        SELECT a.tenant_id, a.id, max(x.version) + 1, v.title, v.keywords, v.body, note
        FROM csm.article_versions x WHERE x.article_id = a.id AND x.tenant_id = a.tenant_id;
    ELSIF action = 'publish' AND coalesce(at, '-infinity') > clock_timestamp() THEN
        PERFORM csm_private.check_article_end(a, at);
        UPDATE csm.article_versions x SET state = 'review', publish_at = at, approved_by = me, note = coalesce(note, x.note)
        WHERE x.id = v.id AND x.tenant_id = v.tenant_id;
    ELSE
        IF action = 'publish' THEN
            PERFORM csm_private.check_article_end(a, clock_timestamp());
        END IF;
        UPDATE csm.article_versions x
        SET state = t.to_state, note = coalesce(note, x.note), approved_by = CASE WHEN action = 'publish' THEN me ELSE x.approved_by END
        WHERE x.id = v.id AND x.tenant_id = v.tenant_id;
    END IF;
    SELECT * INTO a FROM csm.articles x WHERE x.id = a.id AND x.tenant_id = a.tenant_id;
    RETURN a;
END $$;

CREATE OR REPLACE FUNCTION csm_private.check_article_end(a csm.articles, at timestamptz) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF a.expires_at <= at THEN
        RAISE EXCEPTION 'article % would not be read by anybody', a.number USING ERRCODE = '22023',
            DETAIL = format('It expires at %s.', a.expires_at), HINT = 'Change or clear expires_at first.';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION csm.edit_article(article_id bigint, revision integer, title text DEFAULT NULL, body text DEFAULT NULL,
    keywords text DEFAULT NULL) RETURNS csm.article_versions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    a CONSTANT csm.articles := csm_private.known_article(article_id);
    v csm.article_versions;
BEGIN
    SELECT * INTO v FROM csm.article_versions x
    WHERE x.article_id = a.id AND x.tenant_id = a.tenant_id AND x.state IN ('draft', 'review') FOR NO KEY UPDATE;
    IF v.id IS NULL AND NOT csm_private.article_actors(a, v) && '{contributor,manager}'::text[]
       OR v.id IS NOT NULL AND NOT csm_private.article_actors(a, v) && '{author,manager}'::text[] THEN
        RAISE EXCEPTION 'to edit article % is not permitted', a.number USING ERRCODE = '42501',
            HINT = 'Who began the draft edits it, and staff of the base.';
    ELSIF v.state IS DISTINCT FROM 'draft' THEN
        RAISE EXCEPTION 'article % has no draft', a.number USING ERRCODE = 'SM002',
            DETAIL = CASE WHEN v.state = 'review' THEN 'What was written is in review.' ELSE 'Nothing is being written.' END,
            HINT = CASE WHEN v.state = 'review' THEN 'Withdraw or reject it first.' ELSE 'Begin one: csm.act_on_article(id, ''revise'').' END;
    ELSIF revision IS NULL THEN
        RAISE EXCEPTION 'revision of csm.edit_article() is null' USING ERRCODE = '22004', HINT = 'Give the one that you have read.';
    ELSIF revision <> v.revision THEN
        RAISE EXCEPTION 'version % of article % has changed since it was read', v.version, a.number USING ERRCODE = '40001',
            DETAIL = format('Its revision is %s, not %s.', v.revision, revision), HINT = 'Read it again and repeat the change.';
    END IF;
    UPDATE csm.article_versions x
    SET title = coalesce(title, x.title), body = coalesce(body, x.body),
        keywords = CASE WHEN keywords IS NULL THEN x.keywords ELSE nullif(btrim(keywords), '') END, edited_by = csm.current_user_id()
    WHERE x.id = v.id AND x.tenant_id = v.tenant_id RETURNING * INTO v;
    RETURN v;
END $$;

-- Who reads it within the base; staff of the base say so.
CREATE OR REPLACE FUNCTION csm.restrict_article(article_id bigint, grants jsonb) RETURNS csm.articles
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    a csm.articles := csm_private.known_article(article_id);
    base_audience bigint;
BEGIN
    SELECT b.audience_id INTO base_audience FROM csm.knowledge_bases b WHERE b.id = a.base_id AND b.tenant_id = a.tenant_id;
    IF NOT (csm_private.acts_as_system()
            OR coalesce(csm.audience_allows(a.audience_id, 'manage') AND csm.audience_allows(base_audience, 'manage'), false)) THEN
        RAISE EXCEPTION 'to restrict article % is not permitted', a.number USING ERRCODE = '42501', HINT = 'Staff of the base say who reads it.';
    END IF;
    UPDATE csm.articles x SET audience_id = csm_private.audience_within(base_audience, grants)
    WHERE x.id = a.id AND x.tenant_id = a.tenant_id RETURNING * INTO a;
    RETURN a;
END $$;

-- ---- the reader's language ----

CREATE OR REPLACE FUNCTION csm_private.reader_language() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT u.language FROM csm.users u WHERE u.id = csm.current_user_id()
$$;

-- Runs under the policies of the caller: of the translations he meets those that
-- he reads.
CREATE OR REPLACE FUNCTION csm.article_in(article_id bigint, language text DEFAULT NULL) RETURNS csm.articles
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT t
    FROM csm.articles a
    JOIN csm.articles t ON coalesce(t.translation_of, t.id) = coalesce(a.translation_of, a.id)
    CROSS JOIN (SELECT lower(coalesce(article_in.language, csm_private.reader_language())) AS wanted) w
    WHERE a.id = article_in.article_id AND t.state <> 'retired' AND (t.state = 'published' OR t.id = a.id)
       OR a.id = article_in.article_id AND t.id = a.id
    ORDER BY lower(t.language) = w.wanted DESC NULLS LAST,
             split_part(lower(t.language), '-', 1) = split_part(w.wanted, '-', 1) DESC NULLS LAST, t.id = a.id DESC, t.id
    LIMIT 1;
END;

-- ---- what time does ----

CREATE OR REPLACE FUNCTION csm_private.due_article_publish(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    v csm.article_versions;
BEGIN
    SELECT * INTO v FROM csm.article_versions x WHERE x.id = object_id AND x.tenant_id = tenant_id FOR NO KEY UPDATE SKIP LOCKED;
    IF v.id IS NULL THEN
        -- in somebody's hands
        PERFORM csm_private.set_timer(tenant_id, 'article_publish', object_id, NULL, at + interval '1 minute');
    ELSIF v.state = 'review' AND v.publish_at <= at THEN
        UPDATE csm.article_versions x SET state = 'published' WHERE x.id = v.id AND x.tenant_id = v.tenant_id;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION csm_private.due_article_expiry(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE csm.article_versions v SET state = 'retired', note = 'expired'
    FROM csm.articles a
    WHERE a.id = object_id AND a.tenant_id = tenant_id AND a.expires_at <= at
      AND v.article_id = a.id AND v.tenant_id = a.tenant_id AND v.state = 'published';
END $$;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.article_transitions()',
        'csm_private.article_version_guard()',
        'csm_private.article_version_follow()',
        'csm_private.article_actors(csm.articles, csm.article_versions)',
        'csm_private.known_article(bigint)',
        'csm_private.check_article_end(csm.articles, timestamptz)',
        'csm.article_actions(bigint)',
        'csm.act_on_article(bigint, text, text, timestamptz, integer)',
        'csm.edit_article(bigint, integer, text, text, text)',
        'csm.restrict_article(bigint, jsonb)',
        'csm_private.reader_language()',
        'csm.article_in(bigint, text)',
        'csm_private.due_article_publish(bigint, bigint, timestamptz)',
        'csm_private.due_article_expiry(bigint, bigint, timestamptz)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.article_actions(bigint), csm.act_on_article(bigint, text, text, timestamptz, integer),
    csm.edit_article(bigint, integer, text, text, text) TO csm_portal, csm_agent;
GRANT EXECUTE ON FUNCTION csm.restrict_article(bigint, jsonb) TO csm_agent;
GRANT EXECUTE ON FUNCTION csm.article_in(bigint, text), csm_private.reader_language() TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.article_transitions() IS
'Which state of a version follows which, by which action, who may take it, whether a note is required and whether it begins a new version beside the one that stands; constant';
COMMENT ON FUNCTION csm_private.article_version_guard() IS
'Trigger of csm.article_versions: only steps of csm.article_transitions() (SM002); text changes in a draft alone and nothing of a version that stood or was given up (42501); counts revisions, stamps times; replaces the version that stood by the one published';
COMMENT ON FUNCTION csm_private.article_version_follow() IS
'Trigger of csm.article_versions: the article takes over text and state, the timer of a planned publication follows publish_at';
COMMENT ON FUNCTION csm_private.article_actors(csm.articles, csm.article_versions) IS
'What the caller is to an article and one of its versions: author, contributor, manager, reviewer, publisher; the system is all, nobody and null nothing';
COMMENT ON FUNCTION csm_private.known_article(bigint) IS
'The article, where the caller reads it or began a version of it and may still contribute; error 42501 otherwise, hidden and missing alike';
COMMENT ON FUNCTION csm_private.check_article_end(csm.articles, timestamptz) IS 'Error 22023 where the article would have expired by then';
COMMENT ON FUNCTION csm.article_actions(bigint) IS
'What the caller can do with an article now, by csm.act_on_article(): what a client needs to draw its buttons. Error 42501 for an article that is hidden or missing';
COMMENT ON FUNCTION csm.act_on_article(bigint, text, text, timestamptz, integer) IS
'Takes an action: submit, withdraw, reject (note required), publish (from at on, where that is later than now), discard, retire, revise (a new draft beside the text that stands); returns the article. With revision only if that is still the version''s. Who wrote the text does not publish it unless the base has self_publish. Errors: 42501 hidden, missing or not permitted, SM002 not possible from this state, SM003 note missing, 40001 changed since it was read, 22023 unknown action, at with another action, or it would have expired';
COMMENT ON FUNCTION csm.edit_article(bigint, integer, text, text, text) IS
'Changes the draft of an article: its author, and staff of the base. revision is the one that the writer has read; what is NULL stays, empty keywords clear them. Returns the version. Errors: 42501 hidden, missing or not permitted, SM002 no draft, 40001 somebody changed it meanwhile, 22004 revision NULL, 23514 a text out of its length';
COMMENT ON FUNCTION csm.restrict_article(bigint, jsonb) IS
'Who, of those whom the base lets, reads or writes the article: grants as csm_private.audience_within() takes them, [{"criteria": key, "action": "read"}, …]; an empty array leaves it to the base. Staff of the base. Errors: 42501 hidden, missing or not permitted, 22023 no such criteria or malformed';
COMMENT ON FUNCTION csm_private.reader_language() IS 'Language tag of the signed-in person; NULL for nobody';
COMMENT ON FUNCTION csm.article_in(bigint, text) IS
'The article, or its translation that the caller reads best: of the language (tag; his own by default), else of the same language elsewhere (de for de-AT), else the article itself. NULL where he does not read the article. Runs under the policies of the caller';
COMMENT ON FUNCTION csm_private.due_article_publish(bigint, bigint, timestamptz) IS
'Handler of timers of kind article_publish: publishes an approved version whose time has come; a minute later where somebody has it in hand';
COMMENT ON FUNCTION csm_private.due_article_expiry(bigint, bigint, timestamptz) IS
'Handler of timers of kind article_expiry: retires an article that has expired';

CREATE TRIGGER article_versions_10_guard BEFORE INSERT OR UPDATE ON csm.article_versions
    FOR EACH ROW EXECUTE FUNCTION csm_private.article_version_guard();
CREATE TRIGGER article_versions_10_append_only BEFORE DELETE ON csm.article_versions
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER article_versions_10_append_only_truncate BEFORE TRUNCATE ON csm.article_versions
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER article_versions_20_follow AFTER UPDATE ON csm.article_versions
    FOR EACH ROW EXECUTE FUNCTION csm_private.article_version_follow();
-- What becomes of articles: who found them helpful, how often they are read,
-- which cases they solve, and what is missing.

-- ---- what readers say ----

CREATE TABLE csm.article_feedback (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    article_id bigint NOT NULL,
    user_id bigint,
    version integer,
    helpful boolean,
    solved boolean,
    rating smallint,
    comment text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT article_feedback_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT article_feedback_article_fkey FOREIGN KEY (article_id, tenant_id) REFERENCES csm.articles (id, tenant_id),
    CONSTRAINT article_feedback_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT article_feedback_user_key UNIQUE (article_id, user_id),
    CONSTRAINT article_feedback_something CHECK (num_nonnulls(helpful, solved, rating, comment) > 0),
    CONSTRAINT article_feedback_rating_check CHECK (rating BETWEEN 1 AND 5),
    CONSTRAINT article_feedback_comment_check CHECK (length(comment) BETWEEN 1 AND 4000)
);
CREATE INDEX article_feedback_user_idx ON csm.article_feedback (user_id) WHERE user_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.article_feedback');

CREATE POLICY article_feedback_select ON csm.article_feedback FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (user_id = csm.current_user_id() OR csm_private.article_allows(article_id, tenant_id, 'manage'));
GRANT SELECT ON csm.article_feedback TO csm_portal, csm_agent, csm_admin;
GRANT SELECT (id, tenant_id, article_id, version, helpful, solved, rating, created_at, updated_at) ON csm.article_feedback TO csm_reporter;

COMMENT ON TABLE csm.article_feedback IS 'What readers say of an article: one row a person, which he may change, and one each time for visitors who are not signed in; written by csm.rate_article()';
COMMENT ON COLUMN csm.article_feedback.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.article_feedback.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.article_feedback.article_id IS 'The article';
COMMENT ON COLUMN csm.article_feedback.user_id IS 'Who says it; NULL for a visitor';
COMMENT ON COLUMN csm.article_feedback.version IS 'Version of which he last said it';
COMMENT ON COLUMN csm.article_feedback.helpful IS 'Whether it helped; NULL: not said';
COMMENT ON COLUMN csm.article_feedback.solved IS 'Whether it solved the matter, so that no case is needed; NULL: not said';
COMMENT ON COLUMN csm.article_feedback.rating IS '1 (worst) to 5; NULL: not said';
COMMENT ON COLUMN csm.article_feedback.comment IS 'In words, up to 4,000 characters; NULL for nothing';
COMMENT ON COLUMN csm.article_feedback.created_at IS 'When it was first said';
COMMENT ON COLUMN csm.article_feedback.updated_at IS 'When it was last changed';
COMMENT ON POLICY article_feedback_select ON csm.article_feedback IS 'One''s own; all for staff of the base';

CREATE OR REPLACE FUNCTION csm.rate_article(article_id bigint, helpful boolean DEFAULT NULL, rating integer DEFAULT NULL, solved boolean DEFAULT NULL,
    comment text DEFAULT NULL, source text DEFAULT NULL) RETURNS csm.article_feedback
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := coalesce(csm.current_tenant_id(), csm.guest_tenant_id());
    allowed CONSTANT integer := CASE WHEN me IS NULL THEN 10 ELSE 100 END;
    a csm.articles;
    f csm.article_feedback;
BEGIN
    SELECT * INTO a FROM csm.articles x WHERE x.id = article_id AND x.tenant_id = tenant;
    IF a.id IS NULL OR NOT csm_private.article_allows(a.id, a.tenant_id, 'read') OR a.state <> 'published' THEN
        RAISE EXCEPTION 'article % does not exist', coalesce(article_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'An article that you may not see, and one that is not published, are reported in the same way.';
    ELSIF num_nonnulls(helpful, rating, solved, nullif(btrim(comment), '')) = 0 THEN
        RAISE EXCEPTION 'nothing is said of article %', a.number USING ERRCODE = '22023', HINT = 'Give helpful, rating, solved or comment.';
    ELSIF rating NOT BETWEEN 1 AND 5 OR length(comment) > 4000 THEN
        RAISE EXCEPTION 'rating or comment is out of range' USING ERRCODE = '22023',
            HINT = 'A rating is 1 to 5, a comment has up to 4,000 characters.';
    ELSIF NOT csm_private.attempt('article feedback', tenant || ' ' || coalesce(me::text, 'guest ' || left(csm_private.source_of(source), 200)),
                                  allowed, '1 hour') THEN
        RAISE EXCEPTION 'too much was said of articles' USING ERRCODE = 'SM007',
            DETAIL = format('At most %s times an hour.', allowed), HINT = 'Try again later.';
    END IF;
    INSERT INTO csm.article_feedback AS x (tenant_id, article_id, user_id, version, helpful, rating, solved, comment)
    VALUES (a.tenant_id, a.id, me, a.version, helpful, rating, solved, nullif(btrim(comment), ''))
    ON CONFLICT ON CONSTRAINT article_feedback_user_key DO UPDATE
    SET version = excluded.version, helpful = coalesce(excluded.helpful, x.helpful), rating = coalesce(excluded.rating, x.rating),
        solved = coalesce(excluded.solved, x.solved), comment = coalesce(excluded.comment, x.comment), updated_at = clock_timestamp()
    RETURNING * INTO f;
    RETURN f;
END $$;

-- ---- how often it is read ----

-- A view is a row appended here, so that readers never wait for one another;
-- csm.run_due() adds them up by day. Nothing says who viewed.
CREATE TABLE csm_private.article_view_log (
    base_id bigint NOT NULL,
    tenant_id bigint NOT NULL,
    article_id bigint NOT NULL,
    on_day date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date
);
CREATE INDEX article_view_log_base_idx ON csm_private.article_view_log (base_id);
ALTER TABLE csm_private.article_view_log OWNER TO csm_owner;
REVOKE ALL ON csm_private.article_view_log FROM PUBLIC;
ALTER TABLE csm_private.article_view_log ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.article_view_log', '');
COMMENT ON TABLE csm_private.article_view_log IS 'Views not yet added up';
COMMENT ON COLUMN csm_private.article_view_log.base_id IS 'Base of the article';
COMMENT ON COLUMN csm_private.article_view_log.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.article_view_log.article_id IS 'The article; articles are never deleted, so without a foreign key';
COMMENT ON COLUMN csm_private.article_view_log.on_day IS 'Day of the view, UTC';

CREATE TABLE csm.article_views (
    article_id bigint NOT NULL,
    on_day date NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    views bigint NOT NULL,
    CONSTRAINT article_views_pkey PRIMARY KEY (article_id, on_day, tenant_id),
    CONSTRAINT article_views_article_fkey FOREIGN KEY (article_id, tenant_id) REFERENCES csm.articles (id, tenant_id),
    CONSTRAINT article_views_check CHECK (views > 0)
);
SELECT csm_private.adopt_table('csm.article_views');
CREATE POLICY article_views_select ON csm.article_views FOR SELECT TO csm_agent, csm_reporter, csm_admin
    USING (csm_private.article_allows(article_id, tenant_id, 'manage'));
GRANT SELECT ON csm.article_views TO csm_agent, csm_reporter, csm_admin;
COMMENT ON TABLE csm.article_views IS 'How often an article was viewed on a day; kept by csm.run_due(), some minutes behind';
COMMENT ON COLUMN csm.article_views.article_id IS 'The article';
COMMENT ON COLUMN csm.article_views.on_day IS 'The day, UTC';
COMMENT ON COLUMN csm.article_views.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.article_views.views IS 'How often';
COMMENT ON POLICY article_views_select ON csm.article_views IS 'Staff of the base';

CREATE OR REPLACE FUNCTION csm_private.note_view(a csm.articles) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF a.id IS NOT NULL AND a.state = 'published' THEN
        INSERT INTO csm_private.article_view_log (base_id, tenant_id, article_id) VALUES (a.base_id, a.tenant_id, a.id);
    END IF;
    RETURN true;
END $$;

-- Runs under the policies of the caller.
CREATE OR REPLACE FUNCTION csm.view_article(article_id bigint, language text DEFAULT NULL) RETURNS csm.articles
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT x.a FROM (SELECT csm.article_in(view_article.article_id, view_article.language) AS a OFFSET 0) x
    WHERE csm_private.note_view(x.a);
END;

CREATE OR REPLACE FUNCTION csm_private.due_article_views(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    WITH gone AS (
        DELETE FROM csm_private.article_view_log l WHERE l.base_id = object_id RETURNING l.article_id, l.tenant_id, l.on_day
    )
    INSERT INTO csm.article_views AS v (article_id, on_day, tenant_id, views)
    SELECT g.article_id, g.on_day, g.tenant_id, count(*) FROM gone g GROUP BY g.article_id, g.on_day, g.tenant_id ORDER BY g.article_id, g.on_day
    ON CONFLICT ON CONSTRAINT article_views_pkey DO UPDATE SET views = v.views + excluded.views;
    PERFORM csm_private.set_timer(tenant_id, 'article_views', object_id, NULL, at + interval '10 minutes');
END $$;

CREATE OR REPLACE FUNCTION csm_private.begin_article_views() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        PERFORM csm_private.set_timer(NEW.tenant_id, 'article_views', NEW.id, NULL, clock_timestamp() + interval '10 minutes');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER knowledge_bases_30_views AFTER INSERT ON csm.knowledge_bases
    FOR EACH ROW EXECUTE FUNCTION csm_private.begin_article_views();

-- ---- articles on cases ----

CREATE TABLE csm.case_articles (
    case_id bigint NOT NULL,
    article_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    relation text NOT NULL DEFAULT 'suggested',
    attached_by bigint DEFAULT csm.current_user_id(),
    attached_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT case_articles_pkey PRIMARY KEY (case_id, article_id, tenant_id),
    CONSTRAINT case_articles_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_articles_article_fkey FOREIGN KEY (article_id, tenant_id) REFERENCES csm.articles (id, tenant_id),
    CONSTRAINT case_articles_attached_by_fkey FOREIGN KEY (attached_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_articles_relation_check CHECK (relation IN ('suggested', 'related', 'solution'))
);
CREATE INDEX case_articles_article_idx ON csm.case_articles (article_id, relation);
SELECT csm_private.adopt_table('csm.case_articles');

CREATE POLICY case_articles_select ON csm.case_articles FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (csm_private.case_allows(case_id, tenant_id, 'case_read') AND csm_private.article_allows(article_id, tenant_id, 'read'));
CREATE POLICY case_articles_delete ON csm.case_articles FOR DELETE TO csm_agent
    USING (csm_private.case_allows(case_id, tenant_id, 'case_work'));
GRANT SELECT ON csm.case_articles TO csm_portal, csm_agent, csm_admin;
GRANT DELETE ON csm.case_articles TO csm_agent;
GRANT SELECT (case_id, article_id, tenant_id, relation, attached_at) ON csm.case_articles TO csm_reporter;
COMMENT ON TABLE csm.case_articles IS 'Articles on cases; written by csm.attach_article()';
COMMENT ON COLUMN csm.case_articles.case_id IS 'The case';
COMMENT ON COLUMN csm.case_articles.article_id IS 'The article';
COMMENT ON COLUMN csm.case_articles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_articles.relation IS 'suggested, related or solution';
COMMENT ON COLUMN csm.case_articles.attached_by IS 'Who attached it last; NULL for the system';
COMMENT ON COLUMN csm.case_articles.attached_at IS 'When it was attached, or its relation last changed';
COMMENT ON POLICY case_articles_select ON csm.case_articles IS 'Who reads both the case and the article';
COMMENT ON POLICY case_articles_delete ON csm.case_articles IS 'Staff who work on the case';

CREATE OR REPLACE FUNCTION csm.attach_article(case_id bigint, article_id bigint, relation text DEFAULT 'suggested') RETURNS csm.case_articles
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    is_system CONSTANT boolean := csm_private.acts_as_system();
    c csm.cases;
    a csm.articles;
    link csm.case_articles;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND is_system) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT (is_system OR csm_private.case_allows(c, 'case_work')) THEN
        RAISE EXCEPTION 'an article on case % is not permitted', c.number USING ERRCODE = '42501', HINT = 'Staff who work on the case attach it.';
    ELSIF relation IS NULL OR relation NOT IN ('suggested', 'related', 'solution') THEN
        RAISE EXCEPTION 'relation "%" is unknown', coalesce(relation, 'NULL') USING ERRCODE = '22023', HINT = 'Give suggested, related or solution.';
    END IF;
    SELECT * INTO a FROM csm.articles x WHERE x.id = article_id AND x.tenant_id = c.tenant_id;
    IF a.id IS NULL OR a.state <> 'published' OR NOT (is_system OR csm_private.article_allows(a.id, a.tenant_id, 'read')) THEN
        RAISE EXCEPTION 'article % does not exist', coalesce(article_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'An article that you may not see, and one that is not published, are reported in the same way.';
    END IF;
    -- What the customer cannot read is no answer to him.
    IF relation = 'solution' AND NOT a.is_public
       AND NOT EXISTS (SELECT FROM csm_private.audience_rights(c.tenant_id, c.requester_id, a.audience_id, false, NULL, statement_timestamp()) r
                       WHERE r.action = 'read' AND r.granted) THEN
        RAISE EXCEPTION 'article % does not solve case %', a.number, c.number USING ERRCODE = '42501',
            DETAIL = 'The requester may not read it.', HINT = 'Attach it as related, or widen its audience.';
    END IF;
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id FOR NO KEY UPDATE;
    IF c.state_class IN ('closed', 'cancelled') THEN
        RAISE EXCEPTION 'case % is closed', c.number USING ERRCODE = 'SM004',
            DETAIL = format('Its state is "%s".', c.state), HINT = 'Open a new case that refers to it.';
    END IF;
    INSERT INTO csm.case_articles AS x (tenant_id, case_id, article_id, relation) VALUES (c.tenant_id, c.id, a.id, relation)
    ON CONFLICT ON CONSTRAINT case_articles_pkey DO UPDATE
    SET relation = excluded.relation, attached_by = excluded.attached_by, attached_at = excluded.attached_at
    RETURNING * INTO link;
    RETURN link;
END $$;

-- Proposes the article as the solution.
CREATE OR REPLACE FUNCTION csm.resolve_with_article(case_id bigint, article_id bigint, resolution_code text DEFAULT 'knowledge',
    note text DEFAULT NULL) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    a csm.articles;
BEGIN
    PERFORM csm.attach_article(case_id, article_id, 'solution');
    SELECT * INTO a FROM csm.articles x WHERE x.id = article_id;
    RETURN csm.act(case_id, 'propose', note,
                   jsonb_build_object('resolution_code', resolution_code, 'resolution_notes', format('%s: %s', a.number, a.title)));
END $$;

-- ---- what is missing ----

CREATE TABLE csm.knowledge_gaps (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    base_id bigint,
    state text NOT NULL DEFAULT 'open',
    summary text NOT NULL,
    reported_by bigint DEFAULT csm.current_user_id(),
    reported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_by bigint,
    article_id bigint,
    closed_at timestamptz,
    CONSTRAINT knowledge_gaps_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT knowledge_gaps_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT knowledge_gaps_base_fkey FOREIGN KEY (base_id, tenant_id) REFERENCES csm.knowledge_bases (id, tenant_id),
    CONSTRAINT knowledge_gaps_reported_by_fkey FOREIGN KEY (reported_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT knowledge_gaps_claimed_by_fkey FOREIGN KEY (claimed_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT knowledge_gaps_article_fkey FOREIGN KEY (article_id, tenant_id) REFERENCES csm.articles (id, tenant_id),
    CONSTRAINT knowledge_gaps_state_check CHECK (state IN ('open', 'claimed', 'answered', 'dismissed')),
    CONSTRAINT knowledge_gaps_claimed_check CHECK (state <> 'open' OR claimed_by IS NULL),
    CONSTRAINT knowledge_gaps_answered_check CHECK ((state = 'answered') = (article_id IS NOT NULL)),
    CONSTRAINT knowledge_gaps_closed_check CHECK ((state IN ('answered', 'dismissed')) = (closed_at IS NOT NULL)),
    CONSTRAINT knowledge_gaps_summary_check CHECK (length(summary) BETWEEN 1 AND 4000 AND summary !~ '^[[:space:]]*$')
);
CREATE INDEX knowledge_gaps_case_idx ON csm.knowledge_gaps (case_id);
CREATE INDEX knowledge_gaps_open_idx ON csm.knowledge_gaps (tenant_id, reported_at) WHERE state IN ('open', 'claimed');
SELECT csm_private.adopt_table('csm.knowledge_gaps');

CREATE OR REPLACE FUNCTION csm_private.gap_allows(case_id bigint, base_id bigint, tenant_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE COST 100
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(csm_private.case_allows(case_id, tenant_id, 'case_work'), false)
        OR coalesce(csm_private.is_staff() AND csm_private.base_allows(base_id, tenant_id, 'contribute'), false);
END $$;
CREATE POLICY knowledge_gaps_select ON csm.knowledge_gaps FOR SELECT TO csm_agent
    USING (csm_private.gap_allows(case_id, base_id, tenant_id));
GRANT SELECT ON csm.knowledge_gaps TO csm_agent;
COMMENT ON TABLE csm.knowledge_gaps IS 'What a case showed to be missing in the knowledge: open, claimed by who writes it, answered by an article, or dismissed';
COMMENT ON COLUMN csm.knowledge_gaps.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.knowledge_gaps.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.knowledge_gaps.case_id IS 'The case';
COMMENT ON COLUMN csm.knowledge_gaps.base_id IS 'Base in which it is missing: its contributors among staff see the gap; NULL: only who works on the case does';
COMMENT ON COLUMN csm.knowledge_gaps.state IS 'open, claimed, answered or dismissed';
COMMENT ON COLUMN csm.knowledge_gaps.summary IS 'What is missing, up to 4,000 characters; read by people who do not see the case';
COMMENT ON COLUMN csm.knowledge_gaps.reported_by IS 'Who reported it; NULL for the system';
COMMENT ON COLUMN csm.knowledge_gaps.reported_at IS 'When';
COMMENT ON COLUMN csm.knowledge_gaps.claimed_by IS 'Who took it on; NULL for nobody';
COMMENT ON COLUMN csm.knowledge_gaps.article_id IS 'Article that answers it; NULL until then';
COMMENT ON COLUMN csm.knowledge_gaps.closed_at IS 'When it was answered or dismissed; NULL before';
COMMENT ON POLICY knowledge_gaps_select ON csm.knowledge_gaps IS 'Staff who work on the case, and staff who may contribute to the base';

CREATE OR REPLACE FUNCTION csm.report_knowledge_gap(case_id bigint, summary text, base_id bigint DEFAULT NULL) RETURNS csm.knowledge_gaps
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    is_system CONSTANT boolean := csm_private.acts_as_system();
    c csm.cases;
    g csm.knowledge_gaps;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND is_system) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT (is_system OR csm_private.case_allows(c, 'case_work')) THEN
        RAISE EXCEPTION 'a knowledge gap of case % is not permitted', c.number USING ERRCODE = '42501',
            HINT = 'Staff who work on the case report it.';
    ELSIF coalesce(summary, '') ~ '^[[:space:]]*$' OR length(summary) > 4000 THEN
        RAISE EXCEPTION 'summary is empty or longer than 4,000 characters' USING ERRCODE = '22023', HINT = 'Say what is missing.';
    ELSIF base_id IS NOT NULL AND NOT (csm_private.base_allows(base_id, c.tenant_id, 'read')
            OR is_system AND EXISTS (SELECT FROM csm.knowledge_bases b WHERE b.id = base_id AND b.tenant_id = c.tenant_id)) THEN
        RAISE EXCEPTION 'knowledge base % does not exist', base_id USING ERRCODE = '42501',
            HINT = 'A base that you may not see is reported in the same way.';
    END IF;
    INSERT INTO csm.knowledge_gaps (tenant_id, case_id, base_id, summary) VALUES (c.tenant_id, c.id, base_id, summary) RETURNING * INTO g;
    RETURN g;
END $$;

-- claim, release, answer (with an article), dismiss.
CREATE OR REPLACE FUNCTION csm.act_on_gap(gap_id bigint, action text, article_id bigint DEFAULT NULL) RETURNS csm.knowledge_gaps
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    is_system CONSTANT boolean := csm_private.acts_as_system();
    g csm.knowledge_gaps;
BEGIN
    SELECT * INTO g FROM csm.knowledge_gaps x
    WHERE x.id = gap_id AND (is_system OR x.tenant_id = csm.current_tenant_id() AND csm_private.gap_allows(x.case_id, x.base_id, x.tenant_id));
    IF g.id IS NULL THEN
        RAISE EXCEPTION 'knowledge gap % does not exist', coalesce(gap_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'A gap that you may not see is reported in the same way.';
    ELSIF action IS NULL OR action NOT IN ('claim', 'release', 'answer', 'dismiss') THEN
        RAISE EXCEPTION 'action "%" is unknown', coalesce(action, 'NULL') USING ERRCODE = '22023',
            HINT = 'Gaps are claimed, released, answered or dismissed: claim, release, answer, dismiss.';
    ELSIF (action = 'answer') <> (article_id IS NOT NULL) THEN
        RAISE EXCEPTION 'an article is given to answer a gap, and for nothing else' USING ERRCODE = '22023';
    ELSIF article_id IS NOT NULL
          AND NOT (EXISTS (SELECT FROM csm.articles a WHERE a.id = article_id AND a.tenant_id = g.tenant_id AND a.state = 'published')
                   AND (is_system OR csm_private.article_allows(article_id, g.tenant_id, 'read'))) THEN
        RAISE EXCEPTION 'article % does not exist', article_id USING ERRCODE = '42501',
            HINT = 'An article that you may not see, and one that is not published, are reported in the same way.';
    END IF;
    SELECT * INTO g FROM csm.knowledge_gaps x WHERE x.id = gap_id FOR NO KEY UPDATE;
    IF action <> 'claim' AND g.state = 'claimed' AND g.claimed_by IS DISTINCT FROM me
       AND NOT (is_system OR coalesce(csm_private.base_allows(g.base_id, g.tenant_id, 'manage'), false)) THEN
        RAISE EXCEPTION 'knowledge gap % is claimed by somebody else', gap_id USING ERRCODE = '42501',
            HINT = 'Who claimed it answers or releases it, and staff of the base.';
    ELSIF g.state <> ALL (CASE action WHEN 'claim' THEN '{open}' WHEN 'release' THEN '{claimed}' ELSE '{open,claimed}' END::text[]) THEN
        RAISE EXCEPTION 'to % knowledge gap % is not possible now', action, gap_id USING ERRCODE = 'SM002',
            DETAIL = format('It is %s.', g.state), HINT = 'Choose one that is open.';
    END IF;
    UPDATE csm.knowledge_gaps x
    SET state = CASE action WHEN 'claim' THEN 'claimed' WHEN 'release' THEN 'open' WHEN 'answer' THEN 'answered' ELSE 'dismissed' END,
        claimed_by = CASE action WHEN 'release' THEN NULL WHEN 'claim' THEN me ELSE x.claimed_by END,
        article_id = article_id, closed_at = CASE WHEN action IN ('answer', 'dismiss') THEN clock_timestamp() END
    WHERE x.id = gap_id RETURNING * INTO g;
    RETURN g;
END $$;

-- ---- counted ----

CREATE VIEW csm_report.article_use WITH (security_invoker = true) AS
SELECT a.id AS article_id, a.tenant_id, a.base_id, a.number, a.language, a.state, a.is_public, a.published_at,
       coalesce(v.views, 0) AS views, f.helpful, f.not_helpful, f.ratings, f.average_rating, f.solved,
       c.cases, c.solutions
FROM csm.articles a
LEFT JOIN LATERAL (SELECT sum(w.views)::bigint AS views FROM csm.article_views w WHERE w.article_id = a.id) v ON true
CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE x.helpful) AS helpful, count(*) FILTER (WHERE NOT x.helpful) AS not_helpful,
                           count(x.rating) AS ratings, round(avg(x.rating), 2) AS average_rating, count(*) FILTER (WHERE x.solved) AS solved
                    FROM csm.article_feedback x WHERE x.article_id = a.id) f
CROSS JOIN LATERAL (SELECT count(*) AS cases, count(*) FILTER (WHERE k.relation = 'solution') AS solutions
                    FROM csm.case_articles k WHERE k.article_id = a.id) c
WHERE csm.audience_allows(a.audience_id, 'manage');
ALTER VIEW csm_report.article_use OWNER TO csm_owner;
REVOKE ALL ON csm_report.article_use FROM PUBLIC;
GRANT SELECT ON csm_report.article_use TO csm_agent, csm_reporter, csm_admin;
COMMENT ON VIEW csm_report.article_use IS 'Articles whose audience the caller manages, and what became of them';
COMMENT ON COLUMN csm_report.article_use.article_id IS 'Identity of the article';
COMMENT ON COLUMN csm_report.article_use.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_report.article_use.base_id IS 'Knowledge base';
COMMENT ON COLUMN csm_report.article_use.number IS 'Human-facing number';
COMMENT ON COLUMN csm_report.article_use.language IS 'Language tag';
COMMENT ON COLUMN csm_report.article_use.state IS 'draft, review, published or retired';
COMMENT ON COLUMN csm_report.article_use.is_public IS 'Read without signing in';
COMMENT ON COLUMN csm_report.article_use.published_at IS 'When the text that stands was published; NULL before';
COMMENT ON COLUMN csm_report.article_use.views IS 'Views added up so far';
COMMENT ON COLUMN csm_report.article_use.helpful IS 'Readers whom it helped';
COMMENT ON COLUMN csm_report.article_use.not_helpful IS 'Readers whom it did not help';
COMMENT ON COLUMN csm_report.article_use.ratings IS 'Readers who rated it';
COMMENT ON COLUMN csm_report.article_use.average_rating IS '1.00 to 5.00; NULL without ratings';
COMMENT ON COLUMN csm_report.article_use.solved IS 'Readers whose matter it solved';
COMMENT ON COLUMN csm_report.article_use.cases IS 'Cases to which it is attached, of those that the caller reads';
COMMENT ON COLUMN csm_report.article_use.solutions IS 'Cases of them that it solves';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm.rate_article(bigint, boolean, integer, boolean, text, text)',
        'csm_private.note_view(csm.articles)',
        'csm.view_article(bigint, text)',
        'csm_private.due_article_views(bigint, bigint, timestamptz)',
        'csm_private.begin_article_views()',
        'csm.attach_article(bigint, bigint, text)',
        'csm.resolve_with_article(bigint, bigint, text, text)',
        'csm_private.gap_allows(bigint, bigint, bigint)',
        'csm.report_knowledge_gap(bigint, text, bigint)',
        'csm.act_on_gap(bigint, text, bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.rate_article(bigint, boolean, integer, boolean, text, text), csm.view_article(bigint, text),
    csm_private.note_view(csm.articles) TO csm_guest, csm_portal, csm_agent;
GRANT EXECUTE ON FUNCTION csm_private.gap_allows(bigint, bigint, bigint), csm.attach_article(bigint, bigint, text),
    csm.resolve_with_article(bigint, bigint, text, text), csm.report_knowledge_gap(bigint, text, bigint),
    csm.act_on_gap(bigint, text, bigint) TO csm_agent;
COMMENT ON FUNCTION csm.rate_article(bigint, boolean, integer, boolean, text, text) IS
'What the caller says of a published article that he reads: helpful, rating (1 to 5), solved, comment; what is NULL stays as he said it before. One row a person; a visitor who is not signed in adds one each time. source: where the caller of a trusted backend sits, as for signing in. Errors: 42501 hidden, missing or not published, 22023 nothing said or out of range, SM007 more than 100 an hour a person, 10 a visitor''s source';
COMMENT ON FUNCTION csm_private.note_view(csm.articles) IS 'Appends a view of a published article; true';
COMMENT ON FUNCTION csm.view_article(bigint, text) IS
'csm.article_in(), and counts a view of the article returned; NULL for what the caller does not read';
COMMENT ON FUNCTION csm_private.due_article_views(bigint, bigint, timestamptz) IS
'Handler of timers of kind article_views, one a base: adds up what was viewed and comes again ten minutes later';
COMMENT ON FUNCTION csm_private.begin_article_views() IS 'Trigger of csm.knowledge_bases: the first timer of kind article_views';
COMMENT ON FUNCTION csm.attach_article(bigint, bigint, text) IS
'Attaches a published article to a case, or changes its relation: suggested, related or solution. Staff who work on the case and read the article. Errors: SM001 no such case, 42501 not permitted, an article that is hidden, missing or not published, or as solution one that the requester may not read, SM004 case closed, 22023 unknown relation';
COMMENT ON FUNCTION csm.resolve_with_article(bigint, bigint, text, text) IS
'Attaches the article as solution and proposes it (csm.act, propose): its number and title become the resolution notes. Errors of csm.attach_article() and csm.act()';
COMMENT ON FUNCTION csm_private.gap_allows(bigint, bigint, bigint) IS
'Whether the caller sees a knowledge gap: works on the case, or is staff and may contribute to the base';
COMMENT ON FUNCTION csm.report_knowledge_gap(bigint, text, bigint) IS
'Reports that an article is missing for a case; with base_id to those who write there. Staff who work on the case. Errors: SM001 no such case, 42501 not permitted, or a base that is hidden or missing, 22023 summary empty or too long';
COMMENT ON FUNCTION csm.act_on_gap(bigint, text, bigint) IS
'Takes an action on a knowledge gap: claim, release, answer (with a published article), dismiss. Who sees the gap; once claimed, who claimed it and staff of the base. Errors: 42501 hidden, missing or not permitted, SM002 not possible from its state, 22023 unknown action, or an article missing or out of place';
CREATE OR REPLACE FUNCTION csm.prune_events(keep interval DEFAULT '30 days', "limit" integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    everywhere CONSTANT boolean := csm_private.acts_as_system();
    mine CONSTANT bigint := csm.current_tenant_id();
    before CONSTANT timestamptz := clock_timestamp() - keep;
    deleted bigint;
BEGIN
    IF NOT everywhere AND (mine IS NULL OR NOT csm.all_in(mine, 'internal', 'configure')) THEN
        RAISE EXCEPTION 'events are pruned by administrators' USING ERRCODE = '42501',
            HINT = 'Connect as csm_admin of the tenant, or as a member of csm_owner without identity.';
    ELSIF keep IS NULL OR keep < interval '0' OR "limit" IS NULL OR "limit" < 1 THEN
        RAISE EXCEPTION 'keep must not be negative and limit must be at least 1' USING ERRCODE = '22023',
            DETAIL = format('They are %s and %s.', coalesce(keep::text, 'null'), coalesce("limit"::text, 'null')),
            HINT = 'Leave them out for 30 days and 10,000 rows.';
    END IF;
    WITH handled AS (
        -- Notifications are made of events too, where csm.run_due() runs.
        SELECT t.id AS tenant_id, least((SELECT min(s.position) FROM csm.event_subscribers s WHERE s.tenant_id = t.id),
                                        (SELECT r.position FROM csm_private.notification_readers r
                                         WHERE r.tenant_id = t.id AND r.read_at > clock_timestamp() - interval '1 day')) AS position
        FROM csm.tenants t WHERE everywhere OR t.id = mine
    ), old AS (
        SELECT o.id, o.tenant_id
        FROM handled h CROSS JOIN LATERAL (
            SELECT e.id, e.tenant_id FROM csm.events e
            WHERE e.tenant_id = h.tenant_id AND e.position <= coalesce(h.position, 9223372036854775807) AND e.created_at < before
            UNION ALL
            SELECT e.id, e.tenant_id FROM csm.events e
            WHERE e.tenant_id = h.tenant_id AND h.position IS NULL AND e.position IS NULL AND e.created_at < before) o
        LIMIT "limit"
    ), gone AS (
        DELETE FROM csm.events e USING old o WHERE e.id = o.id AND e.tenant_id = o.tenant_id RETURNING 1
    )
    SELECT count(*) INTO deleted FROM gone;
    RETURN deleted;
END $$;
CREATE OR REPLACE FUNCTION csm_private.run_timer(t csm.timers, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE t.kind
        WHEN 'awaiting_timeout' THEN PERFORM csm_private.due_awaiting_timeout(t.tenant_id, t.object_id, at);
        WHEN 'follow_up' THEN PERFORM csm_private.due_follow_up(t.tenant_id, t.object_id, at);
        WHEN 'dispute_response' THEN PERFORM csm_private.due_dispute_response(t.tenant_id, t.object_id, at);
        WHEN 'dispute_auto_accept' THEN PERFORM csm_private.due_dispute_auto_accept(t.tenant_id, t.object_id, at);
        WHEN 'dispute_appeal' THEN PERFORM csm_private.due_dispute_appeal(t.tenant_id, t.object_id, at);
        WHEN 'sla' THEN PERFORM csm_private.due_sla(t.tenant_id, t.object_id, at);
        WHEN 'seal' THEN PERFORM csm_private.due_seal(t.tenant_id, t.object_id, at);
        WHEN 'retention' THEN PERFORM csm_private.due_retention(t.tenant_id, t.object_id, at);
        WHEN 'follow_parent' THEN PERFORM csm_private.due_follow_parent(t.tenant_id, t.object_id, at);
        WHEN 'article_publish' THEN PERFORM csm_private.due_article_publish(t.tenant_id, t.object_id, at);
        WHEN 'article_expiry' THEN PERFORM csm_private.due_article_expiry(t.tenant_id, t.object_id, at);
        WHEN 'article_views' THEN PERFORM csm_private.due_article_views(t.tenant_id, t.object_id, at);
        WHEN 'survey' THEN PERFORM csm_private.due_survey(t.tenant_id, t.object_id, at);
        WHEN 'survey_low' THEN PERFORM csm_private.due_survey_low(t.tenant_id, t.object_id, at);
        WHEN 'registration' THEN PERFORM csm_private.due_registration(t.tenant_id, t.object_id, at);
        WHEN 'notify' THEN PERFORM csm_private.due_notify(t.tenant_id, t.object_id, at);
        WHEN 'expired' THEN PERFORM csm_private.due_expired(t.tenant_id, t.object_id, at);
        ELSE
            RAISE EXCEPTION 'timers of kind "%" have no handler', t.kind USING ERRCODE = '0A000',
                HINT = 'A newer version of csm wrote it; update the extension.';
    END CASE;
END $$;

-- The community, and conversations
-- The community: forums, questions, answers, comments (R A6).
--
-- Who may do what in a forum says its audience: read, ask, answer, moderate.  A
-- post carries the audience of its forum and whether it is shown, so that the
-- policies compare columns of the row alone.
--
-- Every writer of a thread locks the question first; what depends on more than
-- one row of it (thread_shown, answer_count, answered) is reckoned under that
-- lock by csm_private.settle_thread().

CREATE TABLE csm.forums (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    parent_id bigint,
    key text NOT NULL,
    title text NOT NULL,
    description text,
    inherits boolean NOT NULL DEFAULT false,
    is_public boolean NOT NULL DEFAULT false,
    hold_posts integer NOT NULL DEFAULT 0,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT forums_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT forums_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT forums_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.forums (id, tenant_id),
    CONSTRAINT forums_key_key UNIQUE (tenant_id, key),
    CONSTRAINT forums_audience_key UNIQUE (audience_id),
    CONSTRAINT forums_key_check CHECK (key ~ '^[a-z][a-z0-9_-]{0,62}$'),
    CONSTRAINT forums_title_check CHECK (length(title) BETWEEN 1 AND 200),
    CONSTRAINT forums_description_check CHECK (length(description) <= 4000),
    CONSTRAINT forums_self_check CHECK (parent_id <> id),
    CONSTRAINT forums_inherits_check CHECK (NOT inherits OR parent_id IS NOT NULL),
    CONSTRAINT forums_hold_check CHECK (hold_posts BETWEEN 0 AND 1000)
);
CREATE INDEX forums_parent_idx ON csm.forums (parent_id) WHERE parent_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.forums');

CREATE TABLE csm.questions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    forum_id bigint NOT NULL,
    author_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    activity_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    edited_at timestamptz,
    score integer NOT NULL DEFAULT 0,
    answer_count integer NOT NULL DEFAULT 0,
    is_public boolean NOT NULL,
    locked boolean NOT NULL DEFAULT false,
    answered boolean NOT NULL DEFAULT false,
    by_staff boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'visible',
    author_name text NOT NULL,
    language text NOT NULL DEFAULT 'english',
    title text NOT NULL,
    body text NOT NULL,
    search tsvector,
    CONSTRAINT questions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT questions_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT questions_forum_fkey FOREIGN KEY (forum_id, tenant_id) REFERENCES csm.forums (id, tenant_id),
    CONSTRAINT questions_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT questions_state_check CHECK (state IN ('visible', 'held', 'hidden', 'deleted')),
    CONSTRAINT questions_title_check CHECK (length(title) BETWEEN 1 AND 400 AND title !~ '^[[:space:]]*$'),
    CONSTRAINT questions_body_check CHECK (length(body) BETWEEN 1 AND 100000 AND body !~ '^[[:space:]]*$'),
    CONSTRAINT questions_text_check CHECK (length(author_name) BETWEEN 1 AND 200 AND length(language) <= 63)
);
CREATE INDEX questions_audience_idx ON csm.questions (audience_id, created_at DESC, id DESC);
CREATE INDEX questions_forum_idx ON csm.questions (forum_id, created_at DESC, id DESC);
CREATE INDEX questions_author_idx ON csm.questions (author_id);
CREATE INDEX questions_held_idx ON csm.questions (audience_id) WHERE state = 'held';
CREATE INDEX questions_public_idx ON csm.questions (tenant_id, created_at DESC) WHERE is_public;
CREATE INDEX questions_newest_idx ON csm.questions (tenant_id, created_at DESC, id DESC);
CREATE INDEX questions_search_idx ON csm.questions USING gin (search);
DO $$
BEGIN
    EXECUTE format('CREATE INDEX questions_title_trgm_idx ON csm.questions USING gin (title %s.gin_trgm_ops)',
                   csm_private.schema_of('pg_trgm'));
END $$;
SELECT csm_private.adopt_table('csm.questions');
-- As in csm.articles.
ALTER TABLE csm.questions ALTER COLUMN search SET STORAGE MAIN;

CREATE TABLE csm.answers (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    question_id bigint NOT NULL,
    author_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    edited_at timestamptz,
    score integer NOT NULL DEFAULT 0,
    is_public boolean NOT NULL,
    thread_shown boolean NOT NULL DEFAULT true,
    accepted boolean NOT NULL DEFAULT false,
    by_staff boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'visible',
    author_name text NOT NULL,
    body text NOT NULL,
    CONSTRAINT answers_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT answers_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT answers_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.questions (id, tenant_id),
    CONSTRAINT answers_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT answers_state_check CHECK (state IN ('visible', 'held', 'hidden', 'deleted')),
    CONSTRAINT answers_accepted_check CHECK (NOT accepted OR state = 'visible'),
    CONSTRAINT answers_body_check CHECK (length(body) BETWEEN 1 AND 100000 AND body !~ '^[[:space:]]*$'),
    CONSTRAINT answers_text_check CHECK (length(author_name) BETWEEN 1 AND 200)
);
CREATE INDEX answers_question_idx ON csm.answers (question_id, created_at);
CREATE UNIQUE INDEX answers_accepted_key ON csm.answers (question_id) WHERE accepted;
CREATE INDEX answers_author_idx ON csm.answers (author_id);
CREATE INDEX answers_audience_idx ON csm.answers (audience_id, created_at);
CREATE INDEX answers_held_idx ON csm.answers (audience_id) WHERE state = 'held';
SELECT csm_private.adopt_table('csm.answers');

CREATE TABLE csm.post_comments (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    question_id bigint NOT NULL,
    answer_id bigint,
    author_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    edited_at timestamptz,
    is_public boolean NOT NULL,
    thread_shown boolean NOT NULL DEFAULT true,
    by_staff boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'visible',
    author_name text NOT NULL,
    body text NOT NULL,
    CONSTRAINT post_comments_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT post_comments_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT post_comments_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.questions (id, tenant_id),
    CONSTRAINT post_comments_answer_fkey FOREIGN KEY (answer_id, tenant_id) REFERENCES csm.answers (id, tenant_id),
    CONSTRAINT post_comments_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT post_comments_state_check CHECK (state IN ('visible', 'held', 'hidden', 'deleted')),
    CONSTRAINT post_comments_body_check CHECK (length(body) BETWEEN 1 AND 4000 AND body !~ '^[[:space:]]*$'),
    CONSTRAINT post_comments_text_check CHECK (length(author_name) BETWEEN 1 AND 200)
);
CREATE INDEX post_comments_question_idx ON csm.post_comments (question_id, created_at);
CREATE INDEX post_comments_answer_idx ON csm.post_comments (answer_id) WHERE answer_id IS NOT NULL;
CREATE INDEX post_comments_author_idx ON csm.post_comments (author_id);
CREATE INDEX post_comments_audience_idx ON csm.post_comments (audience_id, created_at);
CREATE INDEX post_comments_held_idx ON csm.post_comments (audience_id) WHERE state = 'held';
SELECT csm_private.adopt_table('csm.post_comments');

-- One row a person and post.  The score of the post is kept by triggers in
-- 87_community_fn.sql, whoever writes here.
CREATE TABLE csm.votes (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    question_id bigint,
    answer_id bigint,
    voter_id bigint NOT NULL,
    value smallint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT votes_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT votes_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.questions (id, tenant_id),
    CONSTRAINT votes_answer_fkey FOREIGN KEY (answer_id, tenant_id) REFERENCES csm.answers (id, tenant_id),
    CONSTRAINT votes_voter_fkey FOREIGN KEY (voter_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT votes_question_key UNIQUE (question_id, voter_id),
    CONSTRAINT votes_answer_key UNIQUE (answer_id, voter_id),
    CONSTRAINT votes_one_post CHECK (num_nonnulls(question_id, answer_id) = 1),
    CONSTRAINT votes_value_check CHECK (value IN (-1, 1))
);
CREATE INDEX votes_voter_idx ON csm.votes (voter_id);
SELECT csm_private.adopt_table('csm.votes');

-- A news reader's place: no row is written for each that follows.
CREATE TABLE csm.subscriptions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    user_id bigint NOT NULL DEFAULT csm.current_user_id(),
    forum_id bigint,
    question_id bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT subscriptions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT subscriptions_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT subscriptions_forum_fkey FOREIGN KEY (forum_id, tenant_id) REFERENCES csm.forums (id, tenant_id),
    CONSTRAINT subscriptions_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.questions (id, tenant_id),
    CONSTRAINT subscriptions_forum_key UNIQUE (user_id, forum_id),
    CONSTRAINT subscriptions_question_key UNIQUE (user_id, question_id),
    CONSTRAINT subscriptions_one_target CHECK (num_nonnulls(forum_id, question_id) = 1)
);
CREATE INDEX subscriptions_forum_idx ON csm.subscriptions (forum_id) WHERE forum_id IS NOT NULL;
CREATE INDEX subscriptions_question_idx ON csm.subscriptions (question_id) WHERE question_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.subscriptions');

CREATE TABLE csm.community_profiles (
    user_id bigint NOT NULL DEFAULT csm.current_user_id(),
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    forum_id bigint NOT NULL,
    audience_id bigint NOT NULL,
    visible boolean NOT NULL DEFAULT false,
    handle text NOT NULL,
    display text,
    about text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT community_profiles_pkey PRIMARY KEY (user_id, tenant_id),
    CONSTRAINT community_profiles_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT community_profiles_forum_fkey FOREIGN KEY (forum_id, tenant_id) REFERENCES csm.forums (id, tenant_id),
    CONSTRAINT community_profiles_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT community_profiles_handle_key UNIQUE (tenant_id, handle),
    -- member-<number> is who has no profile
    CONSTRAINT community_profiles_handle_check CHECK (handle ~ '^[a-z][a-z0-9_.-]{2,29}$' AND handle !~ '^member-'),
    CONSTRAINT community_profiles_text_check CHECK (length(display) BETWEEN 1 AND 100 AND length(about) <= 4000)
);
CREATE INDEX community_profiles_audience_idx ON csm.community_profiles (audience_id) WHERE visible;
SELECT csm_private.adopt_table('csm.community_profiles');

-- Policies ------------------------------------------------------------------

-- What stands between an audience and a post: state, and for answers and
-- comments whether what they hang on is shown.  A deleted post is shown as a
-- place where something was, so that what hangs on it can be read.
CREATE POLICY forums_select ON csm.forums FOR SELECT TO csm_portal, csm_agent
    USING (csm.audience_allows(audience_id, 'read'));
CREATE POLICY forums_select_admin ON csm.forums FOR SELECT TO csm_admin
    USING (csm.audience_allows(audience_id, 'read') OR csm.all_in(tenant_id, 'internal', 'configure'));
CREATE POLICY forums_guest ON csm.forums FOR SELECT TO csm_guest
    USING (is_public AND tenant_id = csm.guest_tenant_id());
CREATE POLICY forums_write ON csm.forums FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));

DO $$
DECLARE
    t record;
BEGIN
    FOR t IN VALUES ('questions', 'state IN (''visible'', ''deleted'')'),
                    ('answers', 'state IN (''visible'', ''deleted'') AND thread_shown'),
                    ('post_comments', 'state IN (''visible'', ''deleted'') AND thread_shown') LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_portal, csm_agent, csm_admin '
                       'USING (csm.audience_allows(audience_id, ''read'') '
                       'AND (%2$s OR author_id = csm.current_user_id() OR csm.audience_allows(audience_id, ''moderate'')))',
                       t.column1, t.column2);
        EXECUTE format('CREATE POLICY %1$s_guest ON csm.%1$s FOR SELECT TO csm_guest '
                       'USING (is_public AND %2$s AND tenant_id = csm.guest_tenant_id())', t.column1, t.column2);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS ''Who may read in the forum; what is held or hidden only its author and moderators''', t.column1);
        EXECUTE format('COMMENT ON POLICY %1$s_guest ON csm.%1$s IS ''Visitors: what is shown in public forums of their tenant''', t.column1);
        EXECUTE format('GRANT SELECT ON csm.%1$s TO csm_portal, csm_agent, csm_admin', t.column1);
    END LOOP;
END $$;

CREATE POLICY votes_select ON csm.votes FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (voter_id = csm.current_user_id());
CREATE POLICY subscriptions_own ON csm.subscriptions FOR ALL TO csm_portal, csm_agent
    USING (user_id = csm.current_user_id())
    WITH CHECK (user_id = csm.current_user_id()
        AND CASE WHEN question_id IS NULL THEN EXISTS (SELECT FROM csm.forums f WHERE f.id = forum_id AND f.tenant_id = subscriptions.tenant_id)
                 ELSE EXISTS (SELECT FROM csm.questions q WHERE q.id = question_id AND q.tenant_id = subscriptions.tenant_id) END);
CREATE POLICY community_profiles_select ON csm.community_profiles FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id() OR visible AND csm.audience_allows(audience_id, 'read'));
-- A missing forum leaves audience_id null, which is refused as a hidden one is.
CREATE POLICY community_profiles_own ON csm.community_profiles FOR ALL TO csm_portal, csm_agent
    USING (user_id = csm.current_user_id())
    WITH CHECK (user_id = csm.current_user_id() AND csm.audience_allows(audience_id, 'read'));

GRANT SELECT ON csm.forums TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (parent_id, key, title, description, inherits, is_public, hold_posts, active),
      UPDATE (key, title, description, inherits, is_public, hold_posts, active) ON csm.forums TO csm_admin;
-- Visitors see who wrote as a name, not as a number.
GRANT SELECT (id, tenant_id, parent_id, key, title, description, active) ON csm.forums TO csm_guest;
GRANT SELECT (id, tenant_id, forum_id, created_at, activity_at, edited_at, score, answer_count, locked, answered, by_staff,
              author_name, language, title, body, search) ON csm.questions TO csm_guest;
GRANT SELECT (id, tenant_id, question_id, created_at, edited_at, score, accepted, by_staff, author_name, body) ON csm.answers TO csm_guest;
GRANT SELECT (id, tenant_id, question_id, answer_id, created_at, edited_at, by_staff, author_name, body) ON csm.post_comments TO csm_guest;
GRANT SELECT ON csm.votes TO csm_portal, csm_agent, csm_admin;
GRANT SELECT, INSERT (forum_id, question_id), UPDATE (seen_at), DELETE ON csm.subscriptions TO csm_portal, csm_agent;
GRANT SELECT ON csm.community_profiles TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (forum_id, visible, handle, display, about), UPDATE (forum_id, visible, handle, display, about), DELETE
    ON csm.community_profiles TO csm_portal, csm_agent;

-- Triggers ------------------------------------------------------------------

-- A forum has one audience for life.  It stands within that of the parent only
-- where the forum says so: nothing is inherited by accident.
CREATE OR REPLACE FUNCTION csm_private.forum_audience() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    outer_id CONSTANT bigint := CASE WHEN NEW.inherits THEN (SELECT f.audience_id FROM csm.forums f
                                                             WHERE f.id = NEW.parent_id AND f.tenant_id = NEW.tenant_id) END;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' AND NEW.audience_id IS NULL THEN
        INSERT INTO csm.audiences (tenant_id, within_id) VALUES (NEW.tenant_id, outer_id) RETURNING id INTO NEW.audience_id;
    ELSIF TG_OP = 'UPDATE' AND (NEW.parent_id IS DISTINCT FROM OLD.parent_id OR NEW.audience_id <> OLD.audience_id) THEN
        RAISE EXCEPTION 'forum "%" stays where it is', OLD.key USING ERRCODE = '42501',
            HINT = 'Make a new forum and move the questions; who may do what say the grants of its audience.';
    ELSE
        UPDATE csm.audiences a SET within_id = outer_id
        WHERE a.id = NEW.audience_id AND a.tenant_id = NEW.tenant_id AND a.within_id IS DISTINCT FROM outer_id;
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION csm_private.forum_audience() IS
'Trigger of csm.forums: makes the audience of a new forum, within that of the parent where inherits is set, and keeps it so; 42501 for another parent or audience';
CREATE TRIGGER forums_10_audience BEFORE INSERT OR UPDATE OF parent_id, audience_id, inherits ON csm.forums
    FOR EACH ROW EXECUTE FUNCTION csm_private.forum_audience();

-- Takes the locks in the order of csm.move: forum, question, what hangs on it.
CREATE OR REPLACE FUNCTION csm_private.forum_publicity() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        UPDATE csm.questions q SET is_public = NEW.is_public WHERE q.forum_id = NEW.id AND q.is_public <> NEW.is_public;
        UPDATE csm.answers a SET is_public = NEW.is_public
        FROM csm.questions q WHERE q.forum_id = NEW.id AND a.question_id = q.id AND a.is_public <> NEW.is_public;
        UPDATE csm.post_comments c SET is_public = NEW.is_public
        FROM csm.questions q WHERE q.forum_id = NEW.id AND c.question_id = q.id AND c.is_public <> NEW.is_public;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.forum_publicity() IS 'Trigger of csm.forums: posts are public while their forum is';
CREATE TRIGGER forums_20_publicity AFTER UPDATE OF is_public ON csm.forums
    FOR EACH ROW WHEN (OLD.is_public <> NEW.is_public) EXECUTE FUNCTION csm_private.forum_publicity();

CREATE OR REPLACE FUNCTION csm_private.question_fill() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        -- locked against a change of is_public that has not been committed
        SELECT f.audience_id, f.is_public INTO NEW.audience_id, NEW.is_public
        FROM csm.forums f WHERE f.id = NEW.forum_id AND f.tenant_id = NEW.tenant_id FOR SHARE;
        NEW.author_name := coalesce(NEW.author_name, csm_private.community_name(NEW.author_id));
    END IF;
    NEW.search := CASE WHEN NEW.state <> 'deleted' THEN csm_private.search_vector(NEW.language, NEW.title, NEW.body) END;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION csm_private.question_fill() IS
'Trigger of csm.questions: audience and publicity of the forum, the author''s name, the words for search';
CREATE TRIGGER questions_10_fill BEFORE INSERT OR UPDATE OF language, title, body, state ON csm.questions
    FOR EACH ROW EXECUTE FUNCTION csm_private.question_fill();

CREATE OR REPLACE FUNCTION csm_private.reply_fill() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        SELECT q.audience_id, q.is_public INTO NEW.audience_id, NEW.is_public
        FROM csm.questions q WHERE q.id = NEW.question_id AND q.tenant_id = NEW.tenant_id FOR NO KEY UPDATE;
        NEW.author_name := coalesce(NEW.author_name, csm_private.community_name(NEW.author_id));
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION csm_private.reply_fill() IS
'Trigger of csm.answers and csm.post_comments: audience and publicity of the question, which it locks, and the author''s name';
CREATE TRIGGER answers_10_fill BEFORE INSERT ON csm.answers FOR EACH ROW EXECUTE FUNCTION csm_private.reply_fill();
CREATE TRIGGER post_comments_10_fill BEFORE INSERT ON csm.post_comments FOR EACH ROW EXECUTE FUNCTION csm_private.reply_fill();

CREATE OR REPLACE FUNCTION csm_private.profile_audience() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        NEW.audience_id := (SELECT f.audience_id FROM csm.forums f WHERE f.id = NEW.forum_id AND f.tenant_id = NEW.tenant_id);
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION csm_private.profile_audience() IS
'Trigger of csm.community_profiles: the audience of the forum, NULL where there is none; the policy judges it';
CREATE TRIGGER community_profiles_10_audience BEFORE INSERT OR UPDATE OF forum_id ON csm.community_profiles
    FOR EACH ROW EXECUTE FUNCTION csm_private.profile_audience();

-- Who takes the profile back takes his name off what he wrote.
CREATE OR REPLACE FUNCTION csm_private.profile_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    neutral CONSTANT text := csm_private.community_name(OLD.user_id);
BEGIN
    IF NOT csm_private.restoring() THEN
        UPDATE csm.questions q SET author_name = neutral WHERE q.author_id = OLD.user_id;
        UPDATE csm.answers a SET author_name = neutral WHERE a.author_id = OLD.user_id;
        UPDATE csm.post_comments c SET author_name = neutral WHERE c.author_id = OLD.user_id;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.profile_gone() IS
'Trigger of csm.community_profiles: what the person wrote bears a neutral name from now on';
CREATE TRIGGER community_profiles_20_gone AFTER DELETE ON csm.community_profiles
    FOR EACH ROW EXECUTE FUNCTION csm_private.profile_gone();

CREATE OR REPLACE FUNCTION csm_private.community_name(user_id bigint) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT coalesce(p.display, p.handle) FROM csm.community_profiles p WHERE p.user_id = community_name.user_id),
                    'member-' || community_name.user_id)
$$;
COMMENT ON FUNCTION csm_private.community_name(bigint) IS
'Name under which the person writes in the community: that of his profile, else member- and his number; never the one in csm.users (V11)';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.forum_audience()',
        'csm_private.forum_publicity()',
        'csm_private.question_fill()',
        'csm_private.reply_fill()',
        'csm_private.profile_audience()',
        'csm_private.profile_gone()',
        'csm_private.community_name(bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;

COMMENT ON TABLE csm.forums IS 'Places to ask, in a tree. Who may read, ask, answer and moderate says the audience of each; a forum takes over nothing from its parent unless inherits is set';
COMMENT ON COLUMN csm.forums.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.forums.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.forums.audience_id IS 'Its own audience, made with it and never changed: grants of read, ask, answer, moderate, manage stand in csm.audience_grants';
COMMENT ON COLUMN csm.forums.parent_id IS 'Forum above, never changed; NULL at the top';
COMMENT ON COLUMN csm.forums.key IS 'Short name, unique in the tenant';
COMMENT ON COLUMN csm.forums.title IS 'Name that people read';
COMMENT ON COLUMN csm.forums.description IS 'What it is for; NULL for nothing';
COMMENT ON COLUMN csm.forums.inherits IS 'True: the audience stands within that of the parent, whose grants hold where it has none of its own, and whose limits always hold; false: nothing is inherited';
COMMENT ON COLUMN csm.forums.is_public IS 'True: visitors who are not signed in read what is shown. Not inherited';
COMMENT ON COLUMN csm.forums.hold_posts IS 'Posts of a person wait for a moderator until so many of his, in any forum, are shown; 0: none waits';
COMMENT ON COLUMN csm.forums.active IS 'False: it can be read, and nothing more be written';
COMMENT ON POLICY forums_select ON csm.forums IS 'Who may read in it';
COMMENT ON POLICY forums_select_admin ON csm.forums IS 'Who may read in it, and administrators';
COMMENT ON POLICY forums_guest ON csm.forums IS 'Visitors: public forums of their tenant';
COMMENT ON POLICY forums_write ON csm.forums IS 'Administrators';

COMMENT ON TABLE csm.questions IS 'Questions. Written by csm.ask(), csm.edit_post(), csm.delete_post() and csm.moderate(); never deleted';
COMMENT ON COLUMN csm.questions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.questions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.questions.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.questions.forum_id IS 'Where it was asked, or moved to';
COMMENT ON COLUMN csm.questions.author_id IS 'Who asked';
COMMENT ON COLUMN csm.questions.created_at IS 'When it was asked';
COMMENT ON COLUMN csm.questions.activity_at IS 'When it was asked or last answered';
COMMENT ON COLUMN csm.questions.edited_at IS 'When title or body last changed; NULL for never';
COMMENT ON COLUMN csm.questions.score IS 'Sum of the votes';
COMMENT ON COLUMN csm.questions.answer_count IS 'How many answers are shown';
COMMENT ON COLUMN csm.questions.is_public IS 'As the forum''s';
COMMENT ON COLUMN csm.questions.locked IS 'True: only moderators change the thread';
COMMENT ON COLUMN csm.questions.answered IS 'Whether an answer is accepted';
COMMENT ON COLUMN csm.questions.by_staff IS 'Whether the author wrote it as staff';
COMMENT ON COLUMN csm.questions.state IS 'visible; held (waits for a moderator); hidden (by a moderator); deleted (by its author: title and body say so, what hangs on it stays)';
COMMENT ON COLUMN csm.questions.author_name IS 'Name of the author''s community profile when he asked, else member- and his number';
COMMENT ON COLUMN csm.questions.language IS 'Language for search: a text search configuration, such as english, or a language tag; an unknown one counts as simple';
COMMENT ON COLUMN csm.questions.title IS 'The question in one line, up to 400 characters';
COMMENT ON COLUMN csm.questions.body IS 'The question, up to 100,000 characters';
COMMENT ON COLUMN csm.questions.search IS 'The words of title (weight A) and body (B); NULL for a deleted question';

COMMENT ON TABLE csm.answers IS 'Answers to questions. Written by csm.answer_question(), csm.accept_answer(), csm.edit_post(), csm.delete_post() and csm.moderate(); never deleted';
COMMENT ON COLUMN csm.answers.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.answers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.answers.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.answers.question_id IS 'The question';
COMMENT ON COLUMN csm.answers.author_id IS 'Who answered';
COMMENT ON COLUMN csm.answers.created_at IS 'When it was written';
COMMENT ON COLUMN csm.answers.edited_at IS 'When the body last changed; NULL for never';
COMMENT ON COLUMN csm.answers.score IS 'Sum of the votes';
COMMENT ON COLUMN csm.answers.is_public IS 'As the forum''s';
COMMENT ON COLUMN csm.answers.thread_shown IS 'Whether the question is shown';
COMMENT ON COLUMN csm.answers.accepted IS 'The one that solved the question, says the asker or a moderator; at most one a question';
COMMENT ON COLUMN csm.answers.by_staff IS 'Whether the author wrote it as staff';
COMMENT ON COLUMN csm.answers.state IS 'visible, held, hidden or deleted, as that of csm.questions';
COMMENT ON COLUMN csm.answers.author_name IS 'Name of the author''s community profile when he wrote, else member- and his number';
COMMENT ON COLUMN csm.answers.body IS 'The answer, up to 100,000 characters';

COMMENT ON TABLE csm.post_comments IS 'Comments on questions and answers. Written by csm.comment_post(), csm.edit_post(), csm.delete_post() and csm.moderate(); never deleted';
COMMENT ON COLUMN csm.post_comments.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.post_comments.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.post_comments.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.post_comments.question_id IS 'The question';
COMMENT ON COLUMN csm.post_comments.answer_id IS 'The answer commented on; NULL for the question itself';
COMMENT ON COLUMN csm.post_comments.author_id IS 'Who commented';
COMMENT ON COLUMN csm.post_comments.created_at IS 'When it was written';
COMMENT ON COLUMN csm.post_comments.edited_at IS 'When the body last changed; NULL for never';
COMMENT ON COLUMN csm.post_comments.is_public IS 'As the forum''s';
COMMENT ON COLUMN csm.post_comments.thread_shown IS 'Whether the question, and the answer commented on, are shown';
COMMENT ON COLUMN csm.post_comments.by_staff IS 'Whether the author wrote it as staff';
COMMENT ON COLUMN csm.post_comments.state IS 'visible, held, hidden or deleted, as that of csm.questions';
COMMENT ON COLUMN csm.post_comments.author_name IS 'Name of the author''s community profile when he wrote, else member- and his number';
COMMENT ON COLUMN csm.post_comments.body IS 'The comment, up to 4,000 characters';

COMMENT ON TABLE csm.votes IS 'Votes on questions and answers, one a person and post, written by csm.vote()';
COMMENT ON COLUMN csm.votes.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.votes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.votes.question_id IS 'The question; exactly one of question and answer is set';
COMMENT ON COLUMN csm.votes.answer_id IS 'The answer';
COMMENT ON COLUMN csm.votes.voter_id IS 'Who voted';
COMMENT ON COLUMN csm.votes.value IS '1 for, -1 against';
COMMENT ON COLUMN csm.votes.created_at IS 'When he first voted on it';
COMMENT ON POLICY votes_select ON csm.votes IS 'One''s own; others read scores';

COMMENT ON TABLE csm.subscriptions IS 'Who follows which forum or question, and up to when he has read; csm.community_news() says what is new. A subscription gives no right';
COMMENT ON COLUMN csm.subscriptions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.subscriptions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.subscriptions.user_id IS 'Who follows';
COMMENT ON COLUMN csm.subscriptions.forum_id IS 'The forum; exactly one of forum and question is set';
COMMENT ON COLUMN csm.subscriptions.question_id IS 'The question';
COMMENT ON COLUMN csm.subscriptions.created_at IS 'Since when';
COMMENT ON COLUMN csm.subscriptions.seen_at IS 'What was written until then is not news';
COMMENT ON POLICY subscriptions_own ON csm.subscriptions IS 'One''s own, of forums and questions that one reads';

COMMENT ON TABLE csm.community_profiles IS 'How a person shows himself in the community, if he wants to: his name on posts, and, where visible, his entry in csm.community_people()';
COMMENT ON COLUMN csm.community_profiles.user_id IS 'The person; at most one profile each';
COMMENT ON COLUMN csm.community_profiles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.community_profiles.forum_id IS 'The forum to whose readers he shows himself; he must be one of them';
COMMENT ON COLUMN csm.community_profiles.audience_id IS 'Audience of that forum';
COMMENT ON COLUMN csm.community_profiles.visible IS 'True: readers of the forum find him; false (default): only his name on posts';
COMMENT ON COLUMN csm.community_profiles.handle IS 'Short name, unique in the tenant: 3 to 30 of a to z, 0 to 9, ., _ and -, the first a letter; not beginning with member-';
COMMENT ON COLUMN csm.community_profiles.display IS 'Name on posts; NULL: the handle';
COMMENT ON COLUMN csm.community_profiles.about IS 'What he says of himself; NULL for nothing';
COMMENT ON COLUMN csm.community_profiles.created_at IS 'Since when';
COMMENT ON POLICY community_profiles_select ON csm.community_profiles IS 'One''s own; visible ones, who may read in the forum that the person chose';
COMMENT ON POLICY community_profiles_own ON csm.community_profiles IS 'Everyone keeps his own, for a forum that he reads';
-- The verbs of the community: ask, answer, comment, edit, delete, accept, vote,
-- follow.
--
-- They run as csm_owner and ask the audience of the forum themselves, by the
-- words of the policies.  A post that is hidden from the caller and one that
-- does not exist are reported alike.

-- Posts of all kinds as one, for those functions.
CREATE VIEW csm_private.posts WITH (security_invoker = true) AS
    SELECT 'question' AS kind, q.id, q.tenant_id, q.id AS question_id, NULL::bigint AS answer_id, NULL::bigint AS comment_id,
           q.forum_id, q.audience_id, q.author_id, q.created_at, q.state,
           q.state IN ('visible', 'deleted') AS shown, q.locked, q.state AS question_state, q.author_id AS asker_id, q.title, q.body
    FROM csm.questions q
  UNION ALL
    SELECT 'answer', a.id, a.tenant_id, a.question_id, a.id, NULL,
           q.forum_id, a.audience_id, a.author_id, a.created_at, a.state,
           a.state IN ('visible', 'deleted') AND a.thread_shown, q.locked, q.state, q.author_id, NULL, a.body
    FROM csm.answers a JOIN csm.questions q ON q.id = a.question_id AND q.tenant_id = a.tenant_id
  UNION ALL
    SELECT 'comment', c.id, c.tenant_id, c.question_id, c.answer_id, c.id,
           q.forum_id, c.audience_id, c.author_id, c.created_at, c.state,
           c.state IN ('visible', 'deleted') AND c.thread_shown, q.locked, q.state, q.author_id, NULL, c.body
    FROM csm.post_comments c JOIN csm.questions q ON q.id = c.question_id AND q.tenant_id = c.tenant_id;
ALTER VIEW csm_private.posts OWNER TO csm_owner;
REVOKE ALL ON csm_private.posts FROM PUBLIC;
GRANT SELECT ON csm_private.posts TO csm_portal, csm_agent;
COMMENT ON VIEW csm_private.posts IS 'Questions, answers and comments as rows of one form, under the rights of the reader';
COMMENT ON COLUMN csm_private.posts.kind IS 'question, answer or comment';
COMMENT ON COLUMN csm_private.posts.id IS 'Id within its kind';
COMMENT ON COLUMN csm_private.posts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.posts.question_id IS 'The question of the thread';
COMMENT ON COLUMN csm_private.posts.answer_id IS 'The answer, or the one that the comment is on; NULL for none';
COMMENT ON COLUMN csm_private.posts.comment_id IS 'The comment; NULL for other kinds';
COMMENT ON COLUMN csm_private.posts.forum_id IS 'Forum of the question';
COMMENT ON COLUMN csm_private.posts.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm_private.posts.author_id IS 'Who wrote it';
COMMENT ON COLUMN csm_private.posts.created_at IS 'When it was written';
COMMENT ON COLUMN csm_private.posts.state IS 'visible, held, hidden or deleted';
COMMENT ON COLUMN csm_private.posts.shown IS 'Whether everybody who reads the forum sees it';
COMMENT ON COLUMN csm_private.posts.locked IS 'Whether the thread is locked';
COMMENT ON COLUMN csm_private.posts.question_state IS 'State of the question';
COMMENT ON COLUMN csm_private.posts.asker_id IS 'Who asked the question';
COMMENT ON COLUMN csm_private.posts.title IS 'Title of a question; NULL for other kinds';
COMMENT ON COLUMN csm_private.posts.body IS 'The text';

-- Settings of the tenant ----------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.community_setting(settings jsonb, name text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN settings->'community' ? name THEN (settings->'community'->>name)::integer
            ELSE CASE name WHEN 'posts_per_day' THEN 50 WHEN 'votes_per_day' THEN 500
                           WHEN 'reports_per_day' THEN 20 WHEN 'edit_minutes' THEN 60 END END;
COMMENT ON FUNCTION csm_private.community_setting(jsonb, text) IS
'A number from the setting community of a tenant, or its default: posts_per_day 50, votes_per_day 500, reports_per_day 20 (a person), edit_minutes 60 (in which an author edits); NULL means no limit';

CREATE OR REPLACE FUNCTION csm_private.check_community_settings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s record;
BEGIN
    IF csm_private.restoring() OR NOT NEW.settings ? 'community' THEN
        RETURN NULL;
    END IF;
    FOR s IN SELECT e.key, e.value FROM jsonb_each(CASE jsonb_typeof(NEW.settings->'community') WHEN 'object'
                                                   THEN NEW.settings->'community' ELSE '{"community": true}' END) e LOOP
        IF s.key NOT IN ('posts_per_day', 'votes_per_day', 'reports_per_day', 'edit_minutes')
           OR jsonb_typeof(s.value) NOT IN ('number', 'null') OR s.value::text !~ '^([0-9]{1,6}|null)$' THEN
            RAISE EXCEPTION 'setting community of a tenant has posts_per_day, votes_per_day, reports_per_day and edit_minutes'
                USING ERRCODE = '22023', DETAIL = format('It has %s: %s.', s.key, s.value),
                      HINT = 'Each is a whole number, or null for no limit.';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.check_community_settings() IS 'Trigger of csm.tenants: judges the setting community (22023)';
CREATE TRIGGER tenants_50_community AFTER INSERT OR UPDATE OF settings ON csm.tenants
    FOR EACH ROW EXECUTE FUNCTION csm_private.check_community_settings();

-- Not counted for moderators: it is they who clear up.
CREATE OR REPLACE FUNCTION csm_private.count_community(setting text, audience_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := (SELECT csm_private.community_setting(t.settings, count_community.setting)
                              FROM csm.tenants t WHERE t.id = csm.current_tenant_id());
BEGIN
    IF most IS NULL OR csm.audience_allows(count_community.audience_id, 'moderate') THEN
        RETURN;
    ELSIF most = 0 OR NOT csm_private.attempt('community_' || setting, csm.current_user_id()::text, most, interval '1 day') THEN
        RAISE EXCEPTION 'no more % in the community today', split_part(setting, '_', 1) USING ERRCODE = 'SM007',
            DETAIL = format('The limit is %s in 24 hours.', most), HINT = 'Try again later.';
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.count_community(text, bigint) IS
'Counts a post, vote or report of the caller, whether or not the transaction commits; SM007 when it is one too many. Nothing for moderators';

-- Finding and locking -------------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.seen_post(kind text, post_id bigint) RETURNS csm_private.posts
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p csm_private.posts;
BEGIN
    IF kind IS NULL OR kind NOT IN ('question', 'answer', 'comment') THEN
        RAISE EXCEPTION 'there is no kind of post "%"', coalesce(kind, 'NULL') USING ERRCODE = '22023',
            HINT = 'Kinds are question, answer and comment.';
    END IF;
    SELECT * INTO p FROM csm_private.posts x WHERE x.kind = kind AND x.id = post_id;
    IF p.id IS NULL OR p.tenant_id IS DISTINCT FROM csm.current_tenant_id()
       OR NOT csm.audience_allows(p.audience_id, 'read')
       OR NOT (p.shown OR p.author_id = csm.current_user_id() OR csm.audience_allows(p.audience_id, 'moderate')) THEN
        RAISE EXCEPTION '% % does not exist', kind, coalesce(post_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'One that you may not see is reported in the same way.';
    END IF;
    RETURN p;
END $$;
COMMENT ON FUNCTION csm_private.seen_post(text, bigint) IS
'The post, by the rule of the policies; 42501 for hidden and missing alike, 22023 for an unknown kind';

-- Asked before, so that nobody locks what he does not see, and after, so that
-- the answer is about what the lock holds.
CREATE OR REPLACE FUNCTION csm_private.lock_post(kind text, post_id bigint) RETURNS csm_private.posts
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p csm_private.posts := csm_private.seen_post(kind, post_id);
BEGIN
    PERFORM FROM csm.questions q WHERE q.id = p.question_id AND q.tenant_id = p.tenant_id FOR NO KEY UPDATE;
    RETURN csm_private.seen_post(kind, post_id);
END $$;
COMMENT ON FUNCTION csm_private.lock_post(text, bigint) IS
'The post, its thread locked; errors as csm_private.seen_post()';

-- What depends on several posts of a thread; the caller has locked it.
CREATE OR REPLACE FUNCTION csm_private.settle_thread(question_id bigint) RETURNS csm.questions
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    q csm.questions;
    is_shown boolean;
BEGIN
    SELECT * INTO q FROM csm.questions x WHERE x.id = question_id;
    is_shown := q.state IN ('visible', 'deleted');
    UPDATE csm.answers a SET thread_shown = is_shown WHERE a.question_id = question_id AND a.thread_shown <> is_shown;
    UPDATE csm.post_comments c SET thread_shown = v.shown
    FROM (SELECT m.id, is_shown AND (a.id IS NULL OR a.state IN ('visible', 'deleted')) AS shown
          FROM csm.post_comments m LEFT JOIN csm.answers a ON a.id = m.answer_id AND a.tenant_id = m.tenant_id
          WHERE m.question_id = question_id) v
    WHERE c.id = v.id AND c.thread_shown <> v.shown;
    UPDATE csm.questions x SET answer_count = s.n, answered = s.accepted, activity_at = greatest(x.activity_at, s.last)
    FROM (SELECT count(*) AS n, coalesce(bool_or(a.accepted), false) AS accepted, max(a.created_at) AS last
          FROM csm.answers a WHERE a.question_id = question_id AND a.state = 'visible') s
    WHERE x.id = question_id AND (x.answer_count, x.answered, x.activity_at) IS DISTINCT FROM (s.n, s.accepted, greatest(x.activity_at, s.last));
    SELECT * INTO q FROM csm.questions x WHERE x.id = question_id;
    RETURN q;
END $$;
COMMENT ON FUNCTION csm_private.settle_thread(bigint) IS
'Reckons thread_shown, answer_count, answered and activity_at of a thread anew and returns the question';

-- Writing -------------------------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.open_forum(forum text, action text) RETURNS csm.forums
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    f csm.forums;
BEGIN
    SELECT * INTO f FROM csm.forums x WHERE x.key = open_forum.forum AND x.tenant_id = csm.current_tenant_id();
    IF f.id IS NULL OR NOT csm.audience_allows(f.audience_id, 'read') THEN
        RAISE EXCEPTION 'forum "%" does not exist', coalesce(forum, 'NULL') USING ERRCODE = '42501',
            HINT = 'One that you may not see is reported in the same way.';
    ELSIF NOT csm.audience_allows(f.audience_id, action) THEN
        RAISE EXCEPTION 'permission denied in forum "%"', f.key USING ERRCODE = '42501',
            DETAIL = format('It takes the right "%s".', action), HINT = 'The grants of its audience say who has it.';
    ELSIF NOT f.active THEN
        RAISE EXCEPTION 'forum "%" is closed', f.key USING ERRCODE = '55000', HINT = 'It can be read.';
    END IF;
    RETURN f;
END $$;
COMMENT ON FUNCTION csm_private.open_forum(text, text) IS
'The forum of that key, where the caller has the right; 42501 for hidden and missing alike, 55000 where it is closed';

-- First posts wait where the forum says so.
CREATE OR REPLACE FUNCTION csm_private.first_state(f csm.forums) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN f.hold_posts > 0 AND NOT csm.audience_allows(f.audience_id, 'moderate')
                     AND (SELECT count(*) FROM (SELECT FROM csm_private.posts p
                                                WHERE p.author_id = csm.current_user_id() AND p.state = 'visible'
                                                LIMIT f.hold_posts) x) < f.hold_posts
                THEN 'held' ELSE 'visible' END
$$;
COMMENT ON FUNCTION csm_private.first_state(csm.forums) IS
'State of a new post of the caller in the forum: held while too few of his posts are shown (csm.forums.hold_posts), else visible';

CREATE OR REPLACE FUNCTION csm.ask(forum text, title text, body text, language text DEFAULT 'english') RETURNS csm.questions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    f CONSTANT csm.forums := csm_private.open_forum(forum, 'ask');
    q csm.questions;
BEGIN
    PERFORM csm_private.count_community('posts_per_day', f.audience_id);
    INSERT INTO csm.questions (tenant_id, forum_id, author_id, by_staff, state, language, title, body)
    VALUES (f.tenant_id, f.id, csm.current_user_id(), csm_private.is_staff(), csm_private.first_state(f), language, title, body)
    RETURNING * INTO q;
    INSERT INTO csm.subscriptions (tenant_id, user_id, question_id) VALUES (q.tenant_id, q.author_id, q.id);
    RETURN q;
END $$;
COMMENT ON FUNCTION csm.ask(text, text, text, text) IS
'Asks a question in the forum of that key and returns it; the asker follows it. It may wait for a moderator (state held). Errors: 42501 no such forum, or no right to ask in it, 55000 forum closed, 23502 and 23514 title or body missing, blank or too long, SM007 too many posts today';

CREATE OR REPLACE FUNCTION csm_private.thread_to_answer(kind text, post_id bigint, asker_may boolean) RETURNS csm_private.posts
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p CONSTANT csm_private.posts := csm_private.lock_post(kind, post_id);
    f csm.forums;
BEGIN
    SELECT * INTO f FROM csm.forums x WHERE x.id = p.forum_id AND x.tenant_id = p.tenant_id;
    IF NOT (csm.audience_allows(p.audience_id, 'answer')
            OR asker_may AND p.asker_id = csm.current_user_id() AND csm.audience_allows(p.audience_id, 'ask')) THEN
        RAISE EXCEPTION 'permission denied in forum "%"', f.key USING ERRCODE = '42501',
            DETAIL = 'It takes the right "answer".', HINT = 'The grants of its audience say who has it.';
    ELSIF p.state <> 'visible' OR p.question_state <> 'visible' OR NOT f.active
          OR p.locked AND NOT csm.audience_allows(p.audience_id, 'moderate') THEN
        RAISE EXCEPTION '% % takes no answer', kind, p.id USING ERRCODE = '55000',
            DETAIL = 'It is held, hidden or deleted, or the thread is locked or the forum closed.',
            HINT = 'A moderator can release it.';
    END IF;
    PERFORM csm_private.count_community('posts_per_day', p.audience_id);
    RETURN p;
END $$;
COMMENT ON FUNCTION csm_private.thread_to_answer(text, bigint, boolean) IS
'The post, its thread locked, where the caller may write below it now, which is counted; asker_may: the asker may with the right to ask. Errors of csm.answer_question()';

CREATE OR REPLACE FUNCTION csm.answer_question(question_id bigint, body text) RETURNS csm.answers
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p CONSTANT csm_private.posts := csm_private.thread_to_answer('question', question_id, false);
    f csm.forums;
    a csm.answers;
BEGIN
    SELECT * INTO f FROM csm.forums x WHERE x.id = p.forum_id AND x.tenant_id = p.tenant_id;
    INSERT INTO csm.answers (tenant_id, question_id, author_id, by_staff, state, body)
    VALUES (p.tenant_id, p.question_id, csm.current_user_id(), csm_private.is_staff(), csm_private.first_state(f), body)
    RETURNING * INTO a;
    INSERT INTO csm.subscriptions (tenant_id, user_id, question_id) VALUES (p.tenant_id, a.author_id, p.question_id)
    ON CONFLICT ON CONSTRAINT subscriptions_question_key DO NOTHING;
    PERFORM csm_private.settle_thread(p.question_id);
    RETURN a;
END $$;
COMMENT ON FUNCTION csm.answer_question(bigint, text) IS
'Answers a question and returns the answer; who answers follows the question. It may wait for a moderator (state held). Errors: 42501 no such question, or no right to answer, 55000 held, hidden, deleted, locked or forum closed, 23502 and 23514 body missing, blank or too long, SM007 too many posts today';

CREATE OR REPLACE FUNCTION csm.comment_post(kind text, post_id bigint, body text) RETURNS csm.post_comments
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p CONSTANT csm_private.posts := csm_private.thread_to_answer(kind, post_id, true);
    f csm.forums;
    c csm.post_comments;
BEGIN
    SELECT * INTO f FROM csm.forums x WHERE x.id = p.forum_id AND x.tenant_id = p.tenant_id;
    INSERT INTO csm.post_comments (tenant_id, question_id, answer_id, author_id, by_staff, state, body)
    VALUES (p.tenant_id, p.question_id, p.answer_id, csm.current_user_id(), csm_private.is_staff(), csm_private.first_state(f), body)
    RETURNING * INTO c;
    PERFORM csm_private.settle_thread(p.question_id);
    RETURN c;
END $$;
COMMENT ON FUNCTION csm.comment_post(text, bigint, text) IS
'Comments on a question or an answer (kind), or beside a comment, and returns the comment. By who may answer, and the asker. Errors as csm.answer_question(), and 22023 for an unknown kind';

CREATE OR REPLACE FUNCTION csm_private.keep_version(p csm_private.posts) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO csm.post_versions (tenant_id, audience_id, question_id, answer_id, comment_id, author_id, title, body, replaced_by)
    VALUES (p.tenant_id, p.audience_id, CASE p.kind WHEN 'question' THEN p.id END, CASE p.kind WHEN 'answer' THEN p.id END,
            CASE p.kind WHEN 'comment' THEN p.id END, p.author_id, p.title, p.body, csm.current_user_id());
END $$;
COMMENT ON FUNCTION csm_private.keep_version(csm_private.posts) IS 'Keeps the text of a post that is about to change';

CREATE OR REPLACE FUNCTION csm_private.post_to_change(kind text, post_id bigint, until_minutes boolean) RETURNS csm_private.posts
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p CONSTANT csm_private.posts := csm_private.lock_post(kind, post_id);
    minutes integer;
BEGIN
    IF csm.audience_allows(p.audience_id, 'moderate') AND until_minutes THEN
        NULL;
    ELSIF p.author_id IS DISTINCT FROM csm.current_user_id() THEN
        RAISE EXCEPTION 'permission denied to change % %', kind, p.id USING ERRCODE = '42501',
            HINT = 'Its author does, and moderators.';
    ELSIF p.locked OR p.state = 'hidden' THEN
        RAISE EXCEPTION '% % can no longer be changed', kind, p.id USING ERRCODE = '55000',
            DETAIL = 'It is hidden, or the thread is locked.', HINT = 'A moderator can release it.';
    ELSIF until_minutes THEN
        SELECT csm_private.community_setting(t.settings, 'edit_minutes') INTO minutes FROM csm.tenants t WHERE t.id = p.tenant_id;
        IF clock_timestamp() > p.created_at + make_interval(mins => minutes) THEN
            RAISE EXCEPTION '% % can no longer be changed', kind, p.id USING ERRCODE = '55000',
                DETAIL = format('An author edits for %s minutes.', minutes), HINT = 'Add a comment, or delete it.';
        END IF;
    END IF;
    IF p.state = 'deleted' THEN
        RAISE EXCEPTION '% % is deleted', kind, p.id USING ERRCODE = '55000', HINT = 'It stays as it is.';
    END IF;
    RETURN p;
END $$;
COMMENT ON FUNCTION csm_private.post_to_change(text, bigint, boolean) IS
'The post, its thread locked, where the caller may change it: its author (with until_minutes as long as the setting edit_minutes says), with until_minutes also moderators. Errors 42501, 55000';

CREATE OR REPLACE FUNCTION csm_private.write_post(p csm_private.posts, title text, body text, state text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    CASE p.kind
        WHEN 'question' THEN
            UPDATE csm.questions x SET title = title, body = body, state = state, edited_at = clock_timestamp() WHERE x.id = p.id;
        WHEN 'answer' THEN
            UPDATE csm.answers x SET body = body, state = state, accepted = x.accepted AND state = 'visible', edited_at = clock_timestamp()
            WHERE x.id = p.id;
        ELSE
            UPDATE csm.post_comments x SET body = body, state = state, edited_at = clock_timestamp() WHERE x.id = p.id;
    END CASE;
END $$;
COMMENT ON FUNCTION csm_private.write_post(csm_private.posts, text, text, text) IS 'Writes text and state of a post';

CREATE OR REPLACE FUNCTION csm.edit_post(kind text, post_id bigint, body text, title text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p CONSTANT csm_private.posts := csm_private.post_to_change(kind, post_id, true);
BEGIN
    IF title IS NOT NULL AND p.kind <> 'question' THEN
        RAISE EXCEPTION 'a % has no title', p.kind USING ERRCODE = '22023', HINT = 'Leave title out.';
    END IF;
    PERFORM csm_private.keep_version(p), csm_private.write_post(p, coalesce(title, p.title), coalesce(body, p.body), p.state);
END $$;
COMMENT ON FUNCTION csm.edit_post(text, bigint, text, text) IS
'Changes the text of a post (kind question, answer, comment); NULL: as it is. What it was stays in csm.post_versions. By its author as long as the setting community.edit_minutes says, and by moderators. Errors: 42501 no such post, or not one''s own, 55000 too late, hidden, deleted or locked, 22023 argument, 23514 text blank or too long';

CREATE OR REPLACE FUNCTION csm.delete_post(kind text, post_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p CONSTANT csm_private.posts := csm_private.post_to_change(kind, post_id, false);
BEGIN
    PERFORM csm_private.keep_version(p), csm_private.write_post(p, 'deleted', 'deleted', 'deleted');
    PERFORM csm_private.settle_thread(p.question_id);
END $$;
COMMENT ON FUNCTION csm.delete_post(text, bigint) IS
'Its author takes a post back: in its place stands "deleted", and what hangs on it stays; the text is kept for moderators in csm.post_versions. Errors: 42501 no such post, or not one''s own, 55000 deleted already, hidden or locked';

CREATE OR REPLACE FUNCTION csm.accept_answer(answer_id bigint, accepted boolean DEFAULT true) RETURNS csm.questions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p CONSTANT csm_private.posts := csm_private.lock_post('answer', answer_id);
    moderates CONSTANT boolean := csm.audience_allows(p.audience_id, 'moderate');
BEGIN
    IF p.asker_id IS DISTINCT FROM csm.current_user_id() AND NOT moderates THEN
        RAISE EXCEPTION 'permission denied to accept answer %', p.id USING ERRCODE = '42501',
            HINT = 'Who asked does, and moderators.';
    ELSIF accepted IS NULL THEN
        RAISE EXCEPTION 'accepted is null' USING ERRCODE = '22004', HINT = 'Pass true, or false to take it back.';
    ELSIF p.state <> 'visible' OR p.question_state <> 'visible' OR p.locked AND NOT moderates THEN
        RAISE EXCEPTION 'answer % cannot be accepted', p.id USING ERRCODE = '55000',
            DETAIL = 'It or the question is held, hidden or deleted, or the thread is locked.', HINT = 'A moderator can release it.';
    END IF;
    UPDATE csm.answers x SET accepted = false WHERE x.question_id = p.question_id AND x.accepted AND (accepted OR x.id = p.id);
    IF accepted THEN
        UPDATE csm.answers x SET accepted = true WHERE x.id = p.id;
    END IF;
    RETURN csm_private.settle_thread(p.question_id);
END $$;
COMMENT ON FUNCTION csm.accept_answer(bigint, boolean) IS
'Says that an answer solved the question, in place of any accepted before (false: takes it back), and returns the question. By who asked and moderators. Errors: 42501 no such answer, or not permitted, 55000 held, hidden, deleted or locked';

-- Votes ---------------------------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.count_vote() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        UPDATE csm.questions q SET score = q.score - OLD.value WHERE q.id = OLD.question_id AND q.tenant_id = OLD.tenant_id;
        UPDATE csm.answers a SET score = a.score - OLD.value WHERE a.id = OLD.answer_id AND a.tenant_id = OLD.tenant_id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        UPDATE csm.questions q SET score = q.score + NEW.value WHERE q.id = NEW.question_id AND q.tenant_id = NEW.tenant_id;
        UPDATE csm.answers a SET score = a.score + NEW.value WHERE a.id = NEW.answer_id AND a.tenant_id = NEW.tenant_id;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.count_vote() IS 'Trigger of csm.votes: the score of the post follows, whoever writes';
CREATE TRIGGER votes_20_count AFTER INSERT OR UPDATE OF value, question_id, answer_id OR DELETE ON csm.votes
    FOR EACH ROW EXECUTE FUNCTION csm_private.count_vote();

-- When two persons turn out to be one, a vote may turn out to be his second on a
-- post, or on one of his own.  Taken back before they are made one, while the
-- scores still follow.
CREATE OR REPLACE FUNCTION csm_private.merge_votes(gone bigint, kept bigint) RETURNS jsonb
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH d AS (
        DELETE FROM csm.votes v
        WHERE v.voter_id = gone
          AND EXISTS (SELECT FROM csm.votes k
                      WHERE k.voter_id = kept AND (k.question_id = v.question_id OR k.answer_id = v.answer_id))
           OR v.voter_id IN (gone, kept)
          AND EXISTS (SELECT FROM csm_private.posts p
                      WHERE p.author_id IN (gone, kept)
                        AND (p.kind = 'question' AND p.id = v.question_id OR p.kind = 'answer' AND p.id = v.answer_id))
        RETURNING v)
    SELECT coalesce(jsonb_agg(jsonb_build_object('table', 'csm.votes', 'row', to_jsonb(d.v))), '[]') FROM d
$$;
COMMENT ON FUNCTION csm_private.merge_votes(bigint, bigint) IS
'Takes back votes that cannot stand once the two persons are one, and returns them as csm.user_merges keeps them';

CREATE OR REPLACE FUNCTION csm.vote(kind text, post_id bigint, value integer DEFAULT 1) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    p CONSTANT csm_private.posts := csm_private.lock_post(kind, post_id);
BEGIN
    IF value IS NULL OR value NOT IN (-1, 0, 1) OR p.kind = 'comment' THEN
        RAISE EXCEPTION 'a vote is 1, -1 or 0, on a question or an answer' USING ERRCODE = '22023',
            DETAIL = format('Given: %s on a %s.', coalesce(value::text, 'NULL'), p.kind), HINT = '0 takes a vote back.';
    ELSIF p.author_id = me THEN
        RAISE EXCEPTION '% % is your own', kind, p.id USING ERRCODE = '42501', HINT = 'Others vote on it.';
    ELSIF p.state <> 'visible' OR p.question_state <> 'visible' OR p.locked THEN
        RAISE EXCEPTION '% % takes no vote', kind, p.id USING ERRCODE = '55000',
            DETAIL = 'It or the question is held, hidden or deleted, or the thread is locked.', HINT = 'A moderator can release it.';
    END IF;
    PERFORM csm_private.count_community('votes_per_day', p.audience_id);
    DELETE FROM csm.votes v
    WHERE v.voter_id = me AND v.tenant_id = p.tenant_id AND v.value <> value
      AND CASE p.kind WHEN 'question' THEN v.question_id ELSE v.answer_id END = p.id;
    IF value <> 0 THEN
        INSERT INTO csm.votes (tenant_id, question_id, answer_id, voter_id, value)
        VALUES (p.tenant_id, CASE p.kind WHEN 'question' THEN p.id END, CASE p.kind WHEN 'answer' THEN p.id END, me, value)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN CASE p.kind WHEN 'question' THEN (SELECT q.score FROM csm.questions q WHERE q.id = p.id)
                       ELSE (SELECT a.score FROM csm.answers a WHERE a.id = p.id) END;
END $$;
COMMENT ON FUNCTION csm.vote(text, bigint, integer) IS
'Votes for (1) or against (-1) a question or an answer, or takes the vote back (0), and returns the score; one vote a person and post, the last one counts. Errors: 42501 no such post, or one''s own, 55000 held, hidden, deleted or locked, 22023 argument, SM007 too many votes today';

-- Following -----------------------------------------------------------------

-- With the rights of the caller: what he may not read any more is no news.
CREATE OR REPLACE FUNCTION csm.community_news()
RETURNS TABLE (subscription_id bigint, kind text, post_id bigint, question_id bigint, title text, author_name text, created_at timestamptz)
LANGUAGE sql STABLE ROWS 50
BEGIN ATOMIC
    SELECT s.id, 'question', q.id, q.id, q.title, q.author_name, q.created_at
    FROM csm.subscriptions s JOIN csm.questions q ON q.forum_id = s.forum_id AND q.tenant_id = s.tenant_id
    WHERE q.created_at > s.seen_at AND q.state = 'visible' AND q.author_id <> s.user_id
  UNION ALL
    SELECT s.id, 'answer', a.id, q.id, q.title, a.author_name, a.created_at
    FROM csm.subscriptions s JOIN csm.questions q ON q.id = s.question_id AND q.tenant_id = s.tenant_id
    JOIN csm.answers a ON a.question_id = q.id AND a.tenant_id = q.tenant_id
    WHERE a.created_at > s.seen_at AND a.state = 'visible' AND a.author_id <> s.user_id
  UNION ALL
    SELECT s.id, 'comment', c.id, q.id, q.title, c.author_name, c.created_at
    FROM csm.subscriptions s JOIN csm.questions q ON q.id = s.question_id AND q.tenant_id = s.tenant_id
    JOIN csm.post_comments c ON c.question_id = q.id AND c.tenant_id = q.tenant_id
    WHERE c.created_at > s.seen_at AND c.state = 'visible' AND c.author_id <> s.user_id
    ORDER BY 7 DESC, 2, 3;
END;
COMMENT ON FUNCTION csm.community_news() IS
'What others wrote since seen_at in the forums (questions) and on the questions (answers, comments) that the caller follows, as far as he reads it, the newest first. UPDATE csm.subscriptions SET seen_at says what was read';

CREATE OR REPLACE FUNCTION csm.community_people()
RETURNS TABLE (handle text, display text, about text, forum text, questions bigint, answers bigint, accepted bigint)
LANGUAGE sql STABLE ROWS 50
BEGIN ATOMIC
    SELECT p.handle, coalesce(p.display, p.handle), p.about, f.title,
           (SELECT count(*) FROM csm.questions q WHERE q.author_id = p.user_id AND q.tenant_id = p.tenant_id AND q.state = 'visible'),
           a.n, a.accepted
    FROM csm.community_profiles p
    JOIN csm.forums f ON f.id = p.forum_id AND f.tenant_id = p.tenant_id
    CROSS JOIN LATERAL (SELECT count(*) AS n, count(*) FILTER (WHERE x.accepted) AS accepted
                        FROM csm.answers x WHERE x.author_id = p.user_id AND x.tenant_id = p.tenant_id AND x.state = 'visible') a
    WHERE p.visible
    ORDER BY p.handle;
END;
COMMENT ON FUNCTION csm.community_people() IS
'People who show themselves to readers of a forum that the caller reads, with how many of their questions, answers and accepted answers he sees; nobody else is named';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.community_setting(jsonb, text)',
        'csm_private.check_community_settings()',
        'csm_private.count_community(text, bigint)',
        'csm_private.seen_post(text, bigint)',
        'csm_private.lock_post(text, bigint)',
        'csm_private.settle_thread(bigint)',
        'csm_private.open_forum(text, text)',
        'csm_private.first_state(csm.forums)',
        'csm_private.thread_to_answer(text, bigint, boolean)',
        'csm_private.keep_version(csm_private.posts)',
        'csm_private.post_to_change(text, bigint, boolean)',
        'csm_private.write_post(csm_private.posts, text, text, text)',
        'csm_private.count_vote()',
        'csm_private.merge_votes(bigint, bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
    FOREACH f IN ARRAY ARRAY[
        'csm.ask(text, text, text, text)',
        'csm.answer_question(bigint, text)',
        'csm.comment_post(text, bigint, text)',
        'csm.edit_post(text, bigint, text, text)',
        'csm.delete_post(text, bigint)',
        'csm.accept_answer(bigint, boolean)',
        'csm.vote(text, bigint, integer)',
        'csm.community_news()',
        'csm.community_people()']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_portal, csm_agent', f);
    END LOOP;
END $$;
-- Moderation: earlier texts, reports, acts.

CREATE TABLE csm.post_versions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    question_id bigint,
    answer_id bigint,
    comment_id bigint,
    author_id bigint NOT NULL,
    title text,
    body text NOT NULL,
    replaced_by bigint,
    replaced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT post_versions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT post_versions_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT post_versions_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.questions (id, tenant_id),
    CONSTRAINT post_versions_answer_fkey FOREIGN KEY (answer_id, tenant_id) REFERENCES csm.answers (id, tenant_id),
    CONSTRAINT post_versions_comment_fkey FOREIGN KEY (comment_id, tenant_id) REFERENCES csm.post_comments (id, tenant_id),
    CONSTRAINT post_versions_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT post_versions_replaced_by_fkey FOREIGN KEY (replaced_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT post_versions_one_post CHECK (num_nonnulls(question_id, answer_id, comment_id) = 1)
);
CREATE INDEX post_versions_audience_idx ON csm.post_versions (audience_id);
CREATE INDEX post_versions_question_idx ON csm.post_versions (question_id) WHERE question_id IS NOT NULL;
CREATE INDEX post_versions_answer_idx ON csm.post_versions (answer_id) WHERE answer_id IS NOT NULL;
CREATE INDEX post_versions_comment_idx ON csm.post_versions (comment_id) WHERE comment_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.post_versions');

CREATE TABLE csm.post_reports (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    question_id bigint,
    answer_id bigint,
    comment_id bigint,
    reporter_id bigint NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_by bigint,
    closed_at timestamptz,
    CONSTRAINT post_reports_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT post_reports_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT post_reports_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.questions (id, tenant_id),
    CONSTRAINT post_reports_answer_fkey FOREIGN KEY (answer_id, tenant_id) REFERENCES csm.answers (id, tenant_id),
    CONSTRAINT post_reports_comment_fkey FOREIGN KEY (comment_id, tenant_id) REFERENCES csm.post_comments (id, tenant_id),
    CONSTRAINT post_reports_reporter_fkey FOREIGN KEY (reporter_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT post_reports_closed_by_fkey FOREIGN KEY (closed_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT post_reports_one_post CHECK (num_nonnulls(question_id, answer_id, comment_id) = 1),
    CONSTRAINT post_reports_reason_check CHECK (length(reason) BETWEEN 1 AND 4000 AND reason !~ '^[[:space:]]*$')
);
-- One open report a person and post.
CREATE UNIQUE INDEX post_reports_question_key ON csm.post_reports (question_id, reporter_id) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX post_reports_answer_key ON csm.post_reports (answer_id, reporter_id) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX post_reports_comment_key ON csm.post_reports (comment_id, reporter_id) WHERE closed_at IS NULL;
CREATE INDEX post_reports_audience_idx ON csm.post_reports (audience_id, closed_at);
SELECT csm_private.adopt_table('csm.post_reports');

-- An act belongs to the forum in which it was done, wherever the post is now.
CREATE TABLE csm.moderation_acts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    forum_id bigint NOT NULL,
    question_id bigint,
    answer_id bigint,
    comment_id bigint,
    author_id bigint NOT NULL,
    action text NOT NULL,
    to_forum_id bigint,
    actor_id bigint NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT moderation_acts_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT moderation_acts_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT moderation_acts_forum_fkey FOREIGN KEY (forum_id, tenant_id) REFERENCES csm.forums (id, tenant_id),
    CONSTRAINT moderation_acts_to_forum_fkey FOREIGN KEY (to_forum_id, tenant_id) REFERENCES csm.forums (id, tenant_id),
    CONSTRAINT moderation_acts_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.questions (id, tenant_id),
    CONSTRAINT moderation_acts_answer_fkey FOREIGN KEY (answer_id, tenant_id) REFERENCES csm.answers (id, tenant_id),
    CONSTRAINT moderation_acts_comment_fkey FOREIGN KEY (comment_id, tenant_id) REFERENCES csm.post_comments (id, tenant_id),
    CONSTRAINT moderation_acts_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT moderation_acts_actor_fkey FOREIGN KEY (actor_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT moderation_acts_one_post CHECK (num_nonnulls(question_id, answer_id, comment_id) = 1),
    CONSTRAINT moderation_acts_action_check CHECK (action IN ('approve', 'hide', 'restore', 'lock', 'unlock', 'move', 'dismiss')),
    CONSTRAINT moderation_acts_move_check CHECK ((action = 'move') = (to_forum_id IS NOT NULL)),
    CONSTRAINT moderation_acts_reason_check CHECK (length(reason) BETWEEN 1 AND 4000 AND reason !~ '^[[:space:]]*$')
);
CREATE INDEX moderation_acts_audience_idx ON csm.moderation_acts (audience_id, created_at DESC);
CREATE INDEX moderation_acts_question_idx ON csm.moderation_acts (question_id) WHERE question_id IS NOT NULL;
CREATE INDEX moderation_acts_answer_idx ON csm.moderation_acts (answer_id) WHERE answer_id IS NOT NULL;
CREATE INDEX moderation_acts_comment_idx ON csm.moderation_acts (comment_id) WHERE comment_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.moderation_acts');
CREATE TRIGGER moderation_acts_10_append_only BEFORE UPDATE OR DELETE ON csm.moderation_acts
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('reason');
CREATE TRIGGER moderation_acts_10_append_only_truncate BEFORE TRUNCATE ON csm.moderation_acts
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();

CREATE POLICY post_versions_select ON csm.post_versions FOR SELECT TO csm_portal, csm_agent
    USING (csm.audience_allows(audience_id, 'read') AND (author_id = csm.current_user_id() OR csm.audience_allows(audience_id, 'moderate')));
CREATE POLICY post_reports_select ON csm.post_reports FOR SELECT TO csm_portal, csm_agent
    USING (csm.audience_allows(audience_id, 'read') AND (reporter_id = csm.current_user_id() OR csm.audience_allows(audience_id, 'moderate')));
CREATE POLICY moderation_acts_select ON csm.moderation_acts FOR SELECT TO csm_portal, csm_agent
    USING (csm.audience_allows(audience_id, 'read') AND (author_id = csm.current_user_id() OR csm.audience_allows(audience_id, 'moderate')));
GRANT SELECT ON csm.post_versions, csm.post_reports, csm.moderation_acts TO csm_portal, csm_agent;

COMMENT ON TABLE csm.post_versions IS 'What posts said before they were changed or deleted';
COMMENT ON COLUMN csm.post_versions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.post_versions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.post_versions.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.post_versions.question_id IS 'The question; exactly one of question, answer and comment is set';
COMMENT ON COLUMN csm.post_versions.answer_id IS 'The answer';
COMMENT ON COLUMN csm.post_versions.comment_id IS 'The comment';
COMMENT ON COLUMN csm.post_versions.author_id IS 'Author of the post';
COMMENT ON COLUMN csm.post_versions.title IS 'Title that it had; NULL for answers and comments';
COMMENT ON COLUMN csm.post_versions.body IS 'Text that it had';
COMMENT ON COLUMN csm.post_versions.replaced_by IS 'Who changed or deleted it; NULL for the system';
COMMENT ON COLUMN csm.post_versions.replaced_at IS 'When';
COMMENT ON POLICY post_versions_select ON csm.post_versions IS 'The author of the post, and moderators of its forum';
COMMENT ON TABLE csm.post_reports IS 'Posts that members brought to the moderators, by csm.report_post()';
COMMENT ON COLUMN csm.post_reports.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.post_reports.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.post_reports.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.post_reports.question_id IS 'The question; exactly one of question, answer and comment is set';
COMMENT ON COLUMN csm.post_reports.answer_id IS 'The answer';
COMMENT ON COLUMN csm.post_reports.comment_id IS 'The comment';
COMMENT ON COLUMN csm.post_reports.reporter_id IS 'Who reported it; one open report a person and post';
COMMENT ON COLUMN csm.post_reports.reason IS 'Why, up to 4,000 characters';
COMMENT ON COLUMN csm.post_reports.created_at IS 'When';
COMMENT ON COLUMN csm.post_reports.closed_by IS 'The moderator whose act closed it; NULL while it is open';
COMMENT ON COLUMN csm.post_reports.closed_at IS 'When it was closed; NULL while it is open';
COMMENT ON POLICY post_reports_select ON csm.post_reports IS 'Who reported, and moderators of the forum; not the author';
COMMENT ON TABLE csm.moderation_acts IS 'What moderators did, one row each, never changed';
COMMENT ON COLUMN csm.moderation_acts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.moderation_acts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.moderation_acts.audience_id IS 'Audience of the forum in which it was done';
COMMENT ON COLUMN csm.moderation_acts.forum_id IS 'Forum in which it was done';
COMMENT ON COLUMN csm.moderation_acts.question_id IS 'The question; exactly one of question, answer and comment is set';
COMMENT ON COLUMN csm.moderation_acts.answer_id IS 'The answer';
COMMENT ON COLUMN csm.moderation_acts.comment_id IS 'The comment';
COMMENT ON COLUMN csm.moderation_acts.author_id IS 'Author of the post';
COMMENT ON COLUMN csm.moderation_acts.action IS 'approve, hide, restore, lock, unlock, move or dismiss; see csm.moderate()';
COMMENT ON COLUMN csm.moderation_acts.to_forum_id IS 'Where a question was moved to; NULL for other acts';
COMMENT ON COLUMN csm.moderation_acts.actor_id IS 'The moderator';
COMMENT ON COLUMN csm.moderation_acts.reason IS 'Why, up to 4,000 characters';
COMMENT ON COLUMN csm.moderation_acts.created_at IS 'When';
COMMENT ON POLICY moderation_acts_select ON csm.moderation_acts IS 'Moderators of the forum, and the author of the post';

CREATE OR REPLACE FUNCTION csm.report_post(kind text, post_id bigint, reason text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p CONSTANT csm_private.posts := csm_private.lock_post(kind, post_id);
BEGIN
    IF p.author_id = csm.current_user_id() OR p.state = 'deleted' THEN
        RAISE EXCEPTION '% % cannot be reported', kind, p.id USING ERRCODE = '55000',
            DETAIL = 'It is your own, or deleted.', HINT = 'csm.delete_post() takes back one''s own.';
    END IF;
    PERFORM csm_private.count_community('reports_per_day', p.audience_id);
    INSERT INTO csm.post_reports (tenant_id, audience_id, question_id, answer_id, comment_id, reporter_id, reason)
    VALUES (p.tenant_id, p.audience_id, CASE kind WHEN 'question' THEN p.id END, CASE kind WHEN 'answer' THEN p.id END,
            CASE kind WHEN 'comment' THEN p.id END, csm.current_user_id(), reason)
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION csm.report_post(text, bigint, text) IS
'Brings a post (kind question, answer, comment) to the moderators of its forum; false where the caller has an open report on it. Errors: 42501 no such post, 55000 one''s own, or deleted, 23502 and 23514 no reason, 22023 unknown kind, SM007 too many reports today';

-- A question and what hangs on it goes to another forum.
CREATE OR REPLACE FUNCTION csm_private.place_thread(question_id bigint, f csm.forums) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE csm.questions q SET forum_id = f.id, audience_id = f.audience_id, is_public = f.is_public WHERE q.id = question_id;
    UPDATE csm.answers a SET audience_id = f.audience_id, is_public = f.is_public WHERE a.question_id = question_id;
    UPDATE csm.post_comments c SET audience_id = f.audience_id, is_public = f.is_public WHERE c.question_id = question_id;
    UPDATE csm.post_versions v SET audience_id = f.audience_id
    WHERE v.question_id = question_id
       OR v.answer_id IN (SELECT a.id FROM csm.answers a WHERE a.question_id = question_id)
       OR v.comment_id IN (SELECT c.id FROM csm.post_comments c WHERE c.question_id = question_id);
    UPDATE csm.post_reports r SET audience_id = f.audience_id
    WHERE r.question_id = question_id
       OR r.answer_id IN (SELECT a.id FROM csm.answers a WHERE a.question_id = question_id)
       OR r.comment_id IN (SELECT c.id FROM csm.post_comments c WHERE c.question_id = question_id);
END $$;
COMMENT ON FUNCTION csm_private.place_thread(bigint, csm.forums) IS
'Moves a question with its answers, comments, earlier texts and reports to a forum; acts stay where they were done';

CREATE OR REPLACE FUNCTION csm.moderate(kind text, post_id bigint, action text, reason text, forum text DEFAULT NULL) RETURNS csm.moderation_acts
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    p csm_private.posts := csm_private.seen_post(kind, post_id);
    target csm.forums;
    done csm.moderation_acts;
BEGIN
    IF NOT csm.audience_allows(p.audience_id, 'moderate') THEN
        RAISE EXCEPTION 'permission denied to moderate % %', kind, p.id USING ERRCODE = '42501',
            HINT = 'Moderators of its forum do.';
    ELSIF action IS NULL OR action NOT IN ('approve', 'hide', 'restore', 'lock', 'unlock', 'move', 'dismiss')
          OR action IN ('lock', 'unlock', 'move') AND kind <> 'question' OR (action = 'move') <> (forum IS NOT NULL) THEN
        RAISE EXCEPTION 'a % cannot be moderated so', kind USING ERRCODE = '22023',
            DETAIL = format('Given: action %s, forum %s.', coalesce(action, 'NULL'), coalesce(forum, 'NULL')),
            HINT = 'Actions are approve, hide, restore and dismiss, of questions also lock, unlock and move (with a forum).';
    END IF;
    IF action = 'move' THEN
        target := csm_private.open_forum(forum, 'moderate');
        PERFORM FROM csm.forums x WHERE x.id = target.id AND x.tenant_id = target.tenant_id FOR SHARE;
        SELECT * INTO target FROM csm.forums x WHERE x.id = target.id AND x.tenant_id = target.tenant_id;
    END IF;
    p := csm_private.lock_post(kind, post_id);
    -- it may have been moved away before the lock
    IF NOT csm.audience_allows(p.audience_id, 'moderate') THEN
        RAISE EXCEPTION 'permission denied to moderate % %', kind, p.id USING ERRCODE = '42501', HINT = 'Moderators of its forum do.';
    ELSIF (CASE action WHEN 'approve' THEN p.state <> 'held' WHEN 'restore' THEN p.state <> 'hidden'
                       WHEN 'hide' THEN p.state NOT IN ('visible', 'held')
                       WHEN 'lock' THEN p.locked WHEN 'unlock' THEN NOT p.locked WHEN 'move' THEN p.forum_id = target.id
                       ELSE false END) THEN
        RAISE EXCEPTION '% % cannot be moderated so', kind, p.id USING ERRCODE = '55000',
            DETAIL = format('The action is %s; its state is %s%s.', action, p.state, CASE WHEN p.locked THEN ', locked' ELSE '' END),
            HINT = 'Another moderator may have been faster.';
    END IF;

    INSERT INTO csm.moderation_acts (tenant_id, audience_id, forum_id, question_id, answer_id, comment_id, author_id, action, to_forum_id, actor_id, reason)
    VALUES (p.tenant_id, p.audience_id, p.forum_id, CASE kind WHEN 'question' THEN p.id END, CASE kind WHEN 'answer' THEN p.id END,
            CASE kind WHEN 'comment' THEN p.id END, p.author_id, action, target.id, me, reason)
    RETURNING * INTO done;
    IF action IN ('approve', 'restore', 'hide') THEN
        CASE kind
            WHEN 'question' THEN
                UPDATE csm.questions q SET state = CASE action WHEN 'hide' THEN 'hidden' ELSE 'visible' END WHERE q.id = p.id;
            WHEN 'answer' THEN
                UPDATE csm.answers a SET state = CASE action WHEN 'hide' THEN 'hidden' ELSE 'visible' END, accepted = a.accepted AND action <> 'hide'
                WHERE a.id = p.id;
            ELSE
                UPDATE csm.post_comments c SET state = CASE action WHEN 'hide' THEN 'hidden' ELSE 'visible' END WHERE c.id = p.id;
        END CASE;
        PERFORM csm_private.settle_thread(p.question_id);
    ELSIF action IN ('lock', 'unlock') THEN
        UPDATE csm.questions q SET locked = action = 'lock' WHERE q.id = p.id;
    ELSIF action = 'move' THEN
        PERFORM csm_private.place_thread(p.id, target);
    END IF;
    IF action IN ('approve', 'restore', 'hide', 'dismiss') THEN
        UPDATE csm.post_reports r SET closed_by = me, closed_at = clock_timestamp()
        WHERE r.closed_at IS NULL AND r.tenant_id = p.tenant_id
          AND CASE kind WHEN 'question' THEN r.question_id WHEN 'answer' THEN r.answer_id ELSE r.comment_id END = p.id;
    END IF;
    RETURN done;
END $$;
COMMENT ON FUNCTION csm.moderate(text, bigint, text, text, text) IS
'Moderates a post (kind question, answer, comment) and returns the act, which is kept with its reason: approve (held: it is shown), hide, restore, dismiss (its reports, without effect), of questions lock, unlock, move (to a forum in which the caller moderates too, with all that hangs on it). What is hidden takes its answers and comments with it, and is accepted no longer. Errors: 42501 no such post or forum, or not a moderator of it, 55000 not from this state, 22023 argument, 23502 and 23514 no reason';

CREATE OR REPLACE FUNCTION csm.moderation_queue()
RETURNS TABLE (kind text, post_id bigint, question_id bigint, forum_id bigint, why text, reports bigint, since timestamptz, title text, body text)
LANGUAGE sql STABLE ROWS 50
BEGIN ATOMIC
    SELECT p.kind, p.id, p.question_id, p.forum_id, 'held', 0::bigint, p.created_at, p.title, p.body
    FROM csm_private.posts p
    WHERE p.state = 'held' AND csm.audience_allows(p.audience_id, 'moderate')
  UNION ALL
    SELECT CASE WHEN r.question_id IS NOT NULL THEN 'question' WHEN r.answer_id IS NOT NULL THEN 'answer' ELSE 'comment' END,
           coalesce(r.question_id, r.answer_id, r.comment_id), q.id, q.forum_id, 'reported', r.n, r.since,
           CASE WHEN r.question_id IS NOT NULL THEN q.title END, coalesce(c.body, a.body, q.body)
    FROM (SELECT x.question_id, x.answer_id, x.comment_id, count(*) AS n, min(x.created_at) AS since
          FROM csm.post_reports x
          WHERE x.closed_at IS NULL AND csm.audience_allows(x.audience_id, 'moderate')
          GROUP BY 1, 2, 3) r
    LEFT JOIN csm.answers a ON a.id = r.answer_id
    LEFT JOIN csm.post_comments c ON c.id = r.comment_id
    JOIN csm.questions q ON q.id = coalesce(r.question_id, a.question_id, c.question_id)
    ORDER BY 7, 1, 2;
END;
COMMENT ON FUNCTION csm.moderation_queue() IS
'What waits for the caller as a moderator, the oldest first: posts that are held, and posts with open reports (why, how many, since when). No row for others';

DO $$
DECLARE
    f regprocedure;
BEGIN
    ALTER FUNCTION csm_private.place_thread(bigint, csm.forums) OWNER TO csm_owner;
    REVOKE ALL ON FUNCTION csm_private.place_thread(bigint, csm.forums) FROM PUBLIC;
    FOREACH f IN ARRAY ARRAY[
        'csm.report_post(text, bigint, text)',
        'csm.moderate(text, bigint, text, text, text)',
        'csm.moderation_queue()']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_portal, csm_agent', f);
    END LOOP;
END $$;
-- A question becomes a case (R A6), and what a case taught becomes a question.

CREATE TABLE csm.case_questions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    question_id bigint NOT NULL,
    relation text NOT NULL,
    created_by bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT case_questions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_questions_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_questions_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.questions (id, tenant_id),
    CONSTRAINT case_questions_created_by_fkey FOREIGN KEY (created_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_questions_relation_check CHECK (relation IN ('raised', 'published'))
);
CREATE UNIQUE INDEX case_questions_raised_key ON csm.case_questions (question_id) WHERE relation = 'raised';
CREATE UNIQUE INDEX case_questions_published_key ON csm.case_questions (case_id) WHERE relation = 'published';
CREATE INDEX case_questions_case_idx ON csm.case_questions (case_id);
CREATE INDEX case_questions_question_idx ON csm.case_questions (question_id);
SELECT csm_private.adopt_table('csm.case_questions');

CREATE POLICY case_questions_select ON csm.case_questions FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (csm_private.case_allows(case_id, tenant_id, 'case_read'));
GRANT SELECT ON csm.case_questions TO csm_portal, csm_agent, csm_admin;

COMMENT ON TABLE csm.case_questions IS 'Which case a question became, and which question a case became. The link gives no right on either';
COMMENT ON COLUMN csm.case_questions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_questions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_questions.case_id IS 'The case';
COMMENT ON COLUMN csm.case_questions.question_id IS 'The question';
COMMENT ON COLUMN csm.case_questions.relation IS 'raised: the question became the case, once (csm.case_from_question()); published: the case became the question, once (csm.question_from_case())';
COMMENT ON COLUMN csm.case_questions.created_by IS 'Who did; NULL for the system';
COMMENT ON COLUMN csm.case_questions.created_at IS 'When';
COMMENT ON POLICY case_questions_select ON csm.case_questions IS 'Whoever sees the case; who only reads the question learns nothing of a case';

CREATE OR REPLACE FUNCTION csm_private.question_for_case(question_id bigint) RETURNS csm.questions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p CONSTANT csm_private.posts := csm_private.lock_post('question', question_id);
    q csm.questions;
BEGIN
    IF p.author_id IS DISTINCT FROM csm.current_user_id() AND NOT csm_private.is_staff('case_create') THEN
        RAISE EXCEPTION 'permission denied to open a case for question %', p.id USING ERRCODE = '42501',
            HINT = 'Who asked does, and staff who may open a case for him.';
    ELSIF p.state NOT IN ('visible', 'held') THEN
        RAISE EXCEPTION 'question % is %', p.id, p.state USING ERRCODE = '55000', HINT = 'A moderator can restore what is hidden.';
    END IF;
    SELECT * INTO q FROM csm.questions x WHERE x.id = p.id;
    RETURN q;
END $$;
COMMENT ON FUNCTION csm_private.question_for_case(bigint) IS
'The question, locked, where the caller may make a case of it; errors 42501 and 55000 of csm.case_from_question()';

-- With the caller's rights, so that who may open a case, for whom and at which
-- account is said where it always is.
CREATE OR REPLACE FUNCTION csm_private.open_question_case(q csm.questions) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
BEGIN
    SELECT x.* INTO c FROM csm.case_questions k JOIN csm.cases x ON x.id = k.case_id AND x.tenant_id = k.tenant_id
    WHERE k.question_id = q.id AND k.relation = 'raised';
    IF NOT FOUND THEN
        c := csm.open_case(subject => q.title, description => q.body, requester_id => q.author_id, priority => 4, channel => 'community');
    END IF;
    RETURN c;
END $$;
COMMENT ON FUNCTION csm_private.open_question_case(csm.questions) IS
'Body of csm.case_from_question(): the case that the question became, as far as the caller sees it, else a new one';

CREATE OR REPLACE FUNCTION csm_private.link_question(c csm.cases, question_id bigint) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO csm.case_questions (tenant_id, case_id, question_id, relation, created_by)
    VALUES (c.tenant_id, c.id, link_question.question_id, 'raised', csm.current_user_id()) ON CONFLICT DO NOTHING;
    IF NOT EXISTS (SELECT FROM csm.case_questions k
                   WHERE k.question_id = link_question.question_id AND k.relation = 'raised' AND k.case_id = c.id) THEN
        RAISE EXCEPTION 'question % is a case already', question_id USING ERRCODE = '55000',
            HINT = 'It is not among those that you see.';
    END IF;
    RETURN c;
END $$;
COMMENT ON FUNCTION csm_private.link_question(csm.cases, bigint) IS
'Body of csm.case_from_question(): links question and case; 55000 where it became another one that the caller does not see';

CREATE OR REPLACE FUNCTION csm.case_from_question(question_id bigint) RETURNS csm.cases
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT csm_private.link_question(csm_private.open_question_case(csm_private.question_for_case(question_id)), question_id);
END;
COMMENT ON FUNCTION csm.case_from_question(bigint) IS
'Opens a case out of a question and returns it, once: called again it returns the same case. Title and body become subject and description, the asker the requester (his persona decides branch and account), priority 4, channel community. By the asker, and by staff who may open a case for him. Errors: 42501 no such question, or not permitted, 55000 hidden, deleted, or a case already that the caller does not see; those of csm.open_case()';

CREATE OR REPLACE FUNCTION csm.question_from_case(case_id bigint, forum text, title text, body text) RETURNS csm.questions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
    q csm.questions;
    named text;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id FOR NO KEY UPDATE;
    IF NOT csm_private.case_allows(c, 'case_read') THEN
        RAISE EXCEPTION 'case % does not exist', coalesce(case_id::text, 'NULL') USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT csm_private.case_allows(c, 'case_work') THEN
        RAISE EXCEPTION 'permission denied to publish case %', c.number USING ERRCODE = '42501', HINT = 'Staff who work on it do.';
    ELSIF EXISTS (SELECT FROM csm.case_questions k WHERE k.case_id = c.id AND k.relation = 'published') THEN
        RAISE EXCEPTION 'case % is published already', c.number USING ERRCODE = '55000', HINT = 'csm.case_questions names the question.';
    END IF;
    -- Nothing is copied, and what tells whose case it was is refused.
    SELECT n.what INTO named
    FROM (SELECT 'the number of the case' AS what, c.number AS word
          UNION ALL SELECT 'the account', a.name FROM csm.accounts a WHERE a.id IN (c.account_id, c.counterparty_account_id, c.partner_account_id)
          UNION ALL SELECT 'a person', w.word
                    FROM csm.users u CROSS JOIN LATERAL unnest(ARRAY[u.display_name, u.email, u.phone, u.external_id,
                                                                     substring(u.display_name FROM '[^[:space:]]+$')]) w(word)
                    WHERE u.id IN (c.requester_id, c.opened_by) AND u.id <> csm.current_user_id()) n
    WHERE length(n.word) >= 3 AND csm.contains(concat_ws(' ', title, body), n.word)
    LIMIT 1;
    IF named IS NOT NULL THEN
        RAISE EXCEPTION 'the question names %', named USING ERRCODE = '22023',
            HINT = 'Write it so that nobody learns whose case it was.';
    END IF;
    q := csm.ask(forum, title, body);
    INSERT INTO csm.case_questions (tenant_id, case_id, question_id, relation, created_by)
    VALUES (c.tenant_id, c.id, q.id, 'published', csm.current_user_id());
    RETURN q;
END $$;
COMMENT ON FUNCTION csm.question_from_case(bigint, text, text, text) IS
'Asks a question in the name of the caller out of what a case taught, once, and returns it. Nothing of the case is copied; a text is refused that holds its number, or the name of its account, requester or opener. The link is seen by who sees the case. By staff who work on the case and may ask in the forum. Errors: SM001 no such case, 42501 not permitted or no such forum, 55000 published already, 22023 the text names whom it must not; those of csm.ask()';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.question_for_case(bigint)',
        'csm_private.open_question_case(csm.questions)',
        'csm_private.link_question(csm.cases, bigint)',
        'csm.case_from_question(bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_portal, csm_agent', f);
    END LOOP;
    ALTER FUNCTION csm.question_from_case(bigint, text, text, text) OWNER TO csm_owner;
    REVOKE ALL ON FUNCTION csm.question_from_case(bigint, text, text, text) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION csm.question_from_case(bigint, text, text, text) TO csm_agent;
END $$;
-- Interactions: conversations by chat, telephone, e-mail, bot or social network
-- (R A29).  One precedes a case, accompanies it, or makes it needless.
--
-- new (nobody has answered) -> active (bot or agent) -> wrap_up (over, the agent
-- still writes) -> closed.  Who sees one: the requester and who speaks for him,
-- and staff by the same predicates as cases.  A visitor who is not signed in
-- holds his by a token alone.

CREATE TABLE csm.interactions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    branch text NOT NULL,
    requester_id bigint,
    account_id bigint,
    opened_by bigint,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    channel text NOT NULL,
    state text NOT NULL DEFAULT 'new',
    handled_by text NOT NULL DEFAULT 'agent',
    assigned_to bigint,
    verification text NOT NULL DEFAULT 'none',
    verified_how text,
    verified_by bigint,
    verified_at timestamptz,
    case_id bigint,
    subject text,
    language text NOT NULL DEFAULT 'english',
    answered_at timestamptz,
    handed_over_at timestamptz,
    taken_at timestamptz,
    wrapped_at timestamptz,
    closed_at timestamptz,
    waited interval GENERATED ALWAYS AS (taken_at - coalesce(handed_over_at, opened_at)) STORED,
    lasted interval GENERATED ALWAYS AS (coalesce(wrapped_at, closed_at) - opened_at) STORED,
    CONSTRAINT interactions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT interactions_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT interactions_requester_fkey FOREIGN KEY (requester_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT interactions_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT interactions_opened_by_fkey FOREIGN KEY (opened_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT interactions_assigned_to_fkey FOREIGN KEY (assigned_to, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT interactions_verified_by_fkey FOREIGN KEY (verified_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT interactions_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT interactions_branch_check CHECK (branch IN ('b2b', 'b2c', 'internal') AND (branch = 'b2b') = (account_id IS NOT NULL)),
    CONSTRAINT interactions_channel_check CHECK (channel IN ('chat', 'phone', 'email', 'bot', 'social')),
    CONSTRAINT interactions_state_check CHECK (state IN ('new', 'active', 'wrap_up', 'closed') AND (state = 'closed') = (closed_at IS NOT NULL)),
    CONSTRAINT interactions_handler_check CHECK (handled_by IN ('bot', 'agent')),
    CONSTRAINT interactions_verification_check CHECK (verification IN ('none', 'claimed', 'verified')
        AND (verification = 'none') = (verified_how IS NULL) AND verified_how ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT interactions_text_check CHECK (length(subject) BETWEEN 1 AND 400 AND length(language) <= 63)
);
CREATE INDEX interactions_newest_idx ON csm.interactions (tenant_id, opened_at DESC, id DESC);
CREATE INDEX interactions_requester_idx ON csm.interactions (requester_id, opened_at);
CREATE INDEX interactions_account_idx ON csm.interactions (account_id, opened_at) WHERE account_id IS NOT NULL;
CREATE INDEX interactions_case_idx ON csm.interactions (case_id) WHERE case_id IS NOT NULL;
CREATE INDEX interactions_waiting_idx ON csm.interactions (tenant_id, opened_at) WHERE assigned_to IS NULL AND state IN ('new', 'active');
SELECT csm_private.adopt_table('csm.interactions');

CREATE TABLE csm.interaction_entries (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    interaction_id bigint NOT NULL,
    author_kind text NOT NULL,
    author_id bigint,
    author_name text NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT interaction_entries_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT interaction_entries_interaction_fkey FOREIGN KEY (interaction_id, tenant_id) REFERENCES csm.interactions (id, tenant_id),
    CONSTRAINT interaction_entries_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT interaction_entries_kind_check CHECK (author_kind IN ('customer', 'agent', 'bot', 'system')),
    CONSTRAINT interaction_entries_body_check CHECK (length(body) BETWEEN 1 AND 10000 AND body !~ '^[[:space:]]*$'),
    CONSTRAINT interaction_entries_name_check CHECK (length(author_name) BETWEEN 1 AND 200)
);
CREATE INDEX interaction_entries_interaction_idx ON csm.interaction_entries (interaction_id, id);
SELECT csm_private.adopt_table('csm.interaction_entries');
CREATE TRIGGER interaction_entries_10_append_only BEFORE UPDATE OR DELETE ON csm.interaction_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('author_name', 'body');
CREATE TRIGGER interaction_entries_10_append_only_truncate BEFORE TRUNCATE ON csm.interaction_entries
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();

CREATE TABLE csm_private.interaction_tokens (
    interaction_id bigint NOT NULL,
    tenant_id bigint NOT NULL,
    token_hash bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT interaction_tokens_pkey PRIMARY KEY (interaction_id, tenant_id),
    CONSTRAINT interaction_tokens_interaction_fkey FOREIGN KEY (interaction_id, tenant_id)
        REFERENCES csm.interactions (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT interaction_tokens_hash_key UNIQUE (token_hash)
);
ALTER TABLE csm_private.interaction_tokens OWNER TO csm_owner;
REVOKE ALL ON csm_private.interaction_tokens FROM PUBLIC;
ALTER TABLE csm_private.interaction_tokens ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.interaction_tokens', '');

CREATE POLICY interactions_select ON csm.interactions FOR SELECT TO csm_portal
    USING (csm.requester_allows(requester_id, branch, account_id, 'case_read'));
CREATE POLICY interactions_select_staff ON csm.interactions FOR SELECT TO csm_agent, csm_reporter, csm_admin
    USING (csm.all_in(tenant_id, branch, 'case_read')
           OR csm.account_allows(account_id, opened_at, 'case_read')
           OR csm.requester_allows(requester_id, branch, account_id, 'case_read'));
CREATE POLICY interaction_entries_select ON csm.interaction_entries FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.interactions i WHERE i.id = interaction_id AND i.tenant_id = interaction_entries.tenant_id));
GRANT SELECT ON csm.interactions, csm.interaction_entries TO csm_portal, csm_agent, csm_admin;
GRANT SELECT (id, tenant_id, branch, account_id, opened_at, channel, state, handled_by, assigned_to, verification, verified_how, case_id,
              language, answered_at, handed_over_at, taken_at, wrapped_at, closed_at, waited, lasted) ON csm.interactions TO csm_reporter;

COMMENT ON TABLE csm.interactions IS 'Conversations with people who ask for service, over any channel; written by functions only, never deleted';
COMMENT ON COLUMN csm.interactions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.interactions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.interactions.branch IS 'b2b, b2c or internal, from the requester''s persona; b2c for a visitor who is not known';
COMMENT ON COLUMN csm.interactions.requester_id IS 'For whom it was opened; NULL for a visitor who is not known';
COMMENT ON COLUMN csm.interactions.account_id IS 'Account of a b2b interaction';
COMMENT ON COLUMN csm.interactions.opened_by IS 'Who opened it; NULL for a visitor who is not signed in';
COMMENT ON COLUMN csm.interactions.opened_at IS 'When';
COMMENT ON COLUMN csm.interactions.channel IS 'chat, phone, email, bot or social';
COMMENT ON COLUMN csm.interactions.state IS 'new (nobody answered yet), active, wrap_up (over, the agent still writes) or closed';
COMMENT ON COLUMN csm.interactions.handled_by IS 'bot or agent: who answers, or has to';
COMMENT ON COLUMN csm.interactions.assigned_to IS 'The agent who has it; NULL while none has';
COMMENT ON COLUMN csm.interactions.verification IS 'How sure it is that the requester is the one: none, claimed (he said so), verified';
COMMENT ON COLUMN csm.interactions.verified_how IS 'By what, as a key: sign_in, callback, security_question, ...; NULL for none';
COMMENT ON COLUMN csm.interactions.verified_by IS 'Who judged it; NULL where csm did';
COMMENT ON COLUMN csm.interactions.verified_at IS 'When';
COMMENT ON COLUMN csm.interactions.case_id IS 'The case that came of it; NULL for none';
COMMENT ON COLUMN csm.interactions.subject IS 'What it is about, up to 400 characters; NULL when not said';
COMMENT ON COLUMN csm.interactions.language IS 'Text search configuration of its language';
COMMENT ON COLUMN csm.interactions.answered_at IS 'First answer of a bot or agent';
COMMENT ON COLUMN csm.interactions.handed_over_at IS 'When the bot, or the agent before, last handed it over; NULL for never';
COMMENT ON COLUMN csm.interactions.taken_at IS 'When the agent who has it took it';
COMMENT ON COLUMN csm.interactions.wrapped_at IS 'When the conversation was over';
COMMENT ON COLUMN csm.interactions.closed_at IS 'When it was closed';
COMMENT ON COLUMN csm.interactions.waited IS 'How long the customer last waited for an agent; NULL while none has taken it';
COMMENT ON COLUMN csm.interactions.lasted IS 'How long the conversation lasted; NULL while it lasts';
COMMENT ON POLICY interactions_select ON csm.interactions IS 'The requester, and who speaks for him (V4, V6)';
COMMENT ON POLICY interactions_select_staff ON csm.interactions IS 'Staff connections: by branch, account or team (V9), and the requester';
COMMENT ON TABLE csm.interaction_entries IS 'What was said, never changed. A case that came of the interaction refers to it, nothing is copied';
COMMENT ON COLUMN csm.interaction_entries.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.interaction_entries.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.interaction_entries.interaction_id IS 'The interaction';
COMMENT ON COLUMN csm.interaction_entries.author_kind IS 'customer, agent, bot or system';
COMMENT ON COLUMN csm.interaction_entries.author_id IS 'Who wrote it; NULL for a visitor who is not signed in';
COMMENT ON COLUMN csm.interaction_entries.author_name IS 'Name of the author when he wrote; visitor, bot and system as such';
COMMENT ON COLUMN csm.interaction_entries.body IS 'What was said, up to 10,000 characters';
COMMENT ON COLUMN csm.interaction_entries.created_at IS 'When';
COMMENT ON POLICY interaction_entries_select ON csm.interaction_entries IS 'Whoever sees the interaction';
COMMENT ON TABLE csm_private.interaction_tokens IS 'By what a visitor who is not signed in holds his interaction';
COMMENT ON COLUMN csm_private.interaction_tokens.interaction_id IS 'The interaction';
COMMENT ON COLUMN csm_private.interaction_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.interaction_tokens.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm_private.interaction_tokens.expires_at IS 'Until when it opens the interaction';

-- Settings of the tenant ----------------------------------------------------

-- guest_sessions_per_hour: R A29.
CREATE OR REPLACE FUNCTION csm_private.interaction_setting(settings jsonb, name text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN settings->'interactions' ? name THEN (settings->'interactions'->>name)::integer
            ELSE CASE name WHEN 'guest_sessions_per_hour' THEN 200 WHEN 'sessions_per_hour' THEN 20
                           WHEN 'messages_per_hour' THEN 300 WHEN 'guest_hours' THEN 24 END END;
COMMENT ON FUNCTION csm_private.interaction_setting(jsonb, text) IS
'A number from the setting interactions of a tenant, or its default: guest_sessions_per_hour 200 (all visitors together), sessions_per_hour 20 (of a person), messages_per_hour 300 (of the customer in one interaction), guest_hours 24 (how long a visitor''s token holds)';

CREATE OR REPLACE FUNCTION csm_private.check_interaction_settings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s record;
BEGIN
    IF csm_private.restoring() OR NOT NEW.settings ? 'interactions' THEN
        RETURN NULL;
    END IF;
    FOR s IN SELECT e.key, e.value FROM jsonb_each(CASE jsonb_typeof(NEW.settings->'interactions') WHEN 'object'
                                                   THEN NEW.settings->'interactions' ELSE '{"interactions": true}' END) e LOOP
        IF s.key NOT IN ('guest_sessions_per_hour', 'sessions_per_hour', 'messages_per_hour', 'guest_hours')
           OR jsonb_typeof(s.value) <> 'number' OR s.value::text !~ '^[0-9]{1,5}$' THEN
            RAISE EXCEPTION 'setting interactions of a tenant has guest_sessions_per_hour, sessions_per_hour, messages_per_hour and guest_hours'
                USING ERRCODE = '22023', DETAIL = format('It has %s: %s.', s.key, s.value),
                      HINT = 'Each is a whole number up to 99999; 0 lets nobody in.';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.check_interaction_settings() IS 'Trigger of csm.tenants: judges the setting interactions (22023)';
CREATE TRIGGER tenants_50_interactions AFTER INSERT OR UPDATE OF settings ON csm.tenants
    FOR EACH ROW EXECUTE FUNCTION csm_private.check_interaction_settings();

CREATE OR REPLACE FUNCTION csm_private.count_interaction(tenant_id bigint, setting text, key text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := (SELECT csm_private.interaction_setting(t.settings, setting) FROM csm.tenants t WHERE t.id = count_interaction.tenant_id);
BEGIN
    IF most = 0 OR NOT csm_private.attempt('interaction_' || setting, key, most, interval '1 hour') THEN
        RAISE EXCEPTION 'too many interactions or messages' USING ERRCODE = 'SM007',
            DETAIL = format('The limit %s is %s.', setting, most), HINT = 'Try again later.';
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.count_interaction(bigint, text, text) IS
'Counts one of what a setting limits to so many in an hour, whether or not the transaction commits; SM007 when it is one too many';

-- Who may -------------------------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.interaction_allows(i csm.interactions, action text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(csm.all_in(i.tenant_id, i.branch, action)
                    OR csm.account_allows(i.account_id, i.opened_at, action) AND csm_private.is_staff(action)
                    OR csm.requester_allows(i.requester_id, i.branch, i.account_id, action), false)
$$;
COMMENT ON FUNCTION csm_private.interaction_allows(csm.interactions, text) IS
'The rule of the policies for one row and any action; false for nobody and a null row';

CREATE OR REPLACE FUNCTION csm_private.lock_interaction(interaction_id bigint) RETURNS csm.interactions
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    i csm.interactions;
BEGIN
    SELECT * INTO i FROM csm.interactions x WHERE x.id = lock_interaction.interaction_id;
    IF csm_private.interaction_allows(i, 'case_read') THEN
        SELECT * INTO i FROM csm.interactions x WHERE x.id = lock_interaction.interaction_id FOR NO KEY UPDATE;
    END IF;
    IF NOT csm_private.interaction_allows(i, 'case_read') THEN
        RAISE EXCEPTION 'interaction % does not exist', coalesce(interaction_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'One that you may not see is reported in the same way.';
    END IF;
    RETURN i;
END $$;
COMMENT ON FUNCTION csm_private.lock_interaction(bigint) IS
'The interaction, locked; 42501 for hidden and missing alike';

-- A conversation with the desk: staff answer it, in no other way than they work
-- on cases.
CREATE OR REPLACE FUNCTION csm_private.require_work(i csm.interactions) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.interaction_allows(i, 'case_work') THEN
        RAISE EXCEPTION 'permission denied for interaction %', i.id USING ERRCODE = '42501', HINT = 'Staff who work on such cases do that.';
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.require_work(csm.interactions) IS '42501 unless the caller works on such cases as staff';

-- Opening -------------------------------------------------------------------

-- As contact of the account (his home account by default), else as consumer,
-- else as anybody of the house.
CREATE OR REPLACE FUNCTION csm_private.affiliation(user_id bigint, tenant_id bigint, persona text, INOUT account_id bigint, OUT branch text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    asked CONSTANT bigint := account_id;
BEGIN
    SELECT k.account_id INTO account_id FROM csm.contacts k
    WHERE k.user_id = user_id AND k.tenant_id = tenant_id AND k.login_enabled
      AND csm_private.is_valid(k.valid_during, statement_timestamp())
      AND CASE WHEN asked IS NOT NULL THEN k.account_id = asked
               WHEN persona LIKE 'contact:%' THEN true ELSE k.is_home END
      AND (persona IS NULL OR persona = 'contact:' || k.id);
    branch := CASE WHEN account_id IS NOT NULL THEN 'b2b'
                   WHEN asked IS NOT NULL THEN NULL
                   WHEN EXISTS (SELECT FROM csm.consumers n WHERE n.user_id = user_id AND n.tenant_id = tenant_id)
                        AND coalesce(persona, 'consumer') = 'consumer' THEN 'b2c'
                   ELSE 'internal' END;
END $$;
COMMENT ON FUNCTION csm_private.affiliation(bigint, bigint, text, bigint) IS
'As what a person turns to the desk: branch, and account for b2b; branch NULL where he is no contact of the account named';

CREATE OR REPLACE FUNCTION csm.open_interaction(channel text, subject text DEFAULT NULL, requester_id bigint DEFAULT NULL, account_id bigint DEFAULT NULL,
    language text DEFAULT 'english', by_bot boolean DEFAULT false) RETURNS csm.interactions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm_private.person_id();
    own CONSTANT boolean := me IS NOT NULL AND coalesce(requester_id, me) = me;
    a record;
    i csm.interactions;
BEGIN
    i.tenant_id := csm.current_tenant_id();
    i.requester_id := coalesce(requester_id, me);
    SELECT * INTO a FROM csm_private.affiliation(i.requester_id, i.tenant_id,
        CASE WHEN own THEN nullif(current_setting('csm.persona', true), '') END, account_id);
    i.branch := a.branch;
    i.account_id := a.account_id;
    i.opened_at := clock_timestamp();
    -- For oneself whoever is signed in; for another, staff who work on such cases.
    IF me IS NULL OR i.branch IS NULL
       OR NOT EXISTS (SELECT FROM csm.users u WHERE u.id = i.requester_id AND u.tenant_id = i.tenant_id)
       OR NOT (own OR csm_private.interaction_allows(i, 'case_work')) THEN
        RAISE EXCEPTION 'permission denied to open an interaction' USING ERRCODE = '42501',
            HINT = 'For oneself, at an account of one''s own; staff who work on cases, for persons in their reach.';
    END IF;
    IF own THEN
        PERFORM csm_private.count_interaction(i.tenant_id, 'sessions_per_hour', me::text);
    END IF;
    INSERT INTO csm.interactions (tenant_id, branch, requester_id, account_id, opened_by, opened_at, channel, handled_by, subject, language,
                                  verification, verified_how, verified_at)
    VALUES (i.tenant_id, i.branch, i.requester_id, i.account_id, csm.current_user_id(), i.opened_at, channel,
            CASE WHEN by_bot OR channel = 'bot' THEN 'bot' ELSE 'agent' END, subject, language,
            CASE WHEN own AND me = csm.current_user_id() THEN 'verified' ELSE 'claimed' END,
            CASE WHEN NOT own THEN 'desk' WHEN me = csm.current_user_id() THEN 'sign_in' ELSE 'on_behalf' END, i.opened_at)
    RETURNING * INTO i;
    RETURN i;
END $$;
COMMENT ON FUNCTION csm.open_interaction(text, text, bigint, bigint, text, boolean) IS
'Opens an interaction and returns it: for oneself (verified by sign_in; by csm.on_behalf_of() claimed by on_behalf), staff also for a person in their reach (claimed by desk). channel: chat, phone, email, bot, social. account_id: the home account by default. by_bot: a bot answers first; so for channel bot. Errors: 42501 nobody signed in, or person or account out of reach (hidden and missing alike), 23514 channel or subject, SM007 too many this hour';

CREATE OR REPLACE FUNCTION csm.open_guest_interaction(channel text DEFAULT 'chat', subject text DEFAULT NULL, language text DEFAULT 'english',
    by_bot boolean DEFAULT false, OUT interaction_id bigint, OUT token text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := csm.guest_tenant_id();
    hours integer;
BEGIN
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'there is no tenant for visitors' USING ERRCODE = '42501',
            HINT = 'Set csm.tenant to its key; who is signed in calls csm.open_interaction().';
    ELSIF channel IS NULL OR channel NOT IN ('chat', 'bot', 'social') THEN
        RAISE EXCEPTION 'a visitor comes by chat, bot or social' USING ERRCODE = '22023',
            DETAIL = format('Given: %s.', coalesce(channel, 'NULL')), HINT = 'Other channels are for staff to open.';
    END IF;
    PERFORM csm_private.count_interaction(tenant, 'guest_sessions_per_hour', tenant::text);
    SELECT csm_private.interaction_setting(t.settings, 'guest_hours') INTO hours FROM csm.tenants t WHERE t.id = tenant;
    INSERT INTO csm.interactions (tenant_id, branch, channel, handled_by, subject, language)
    VALUES (tenant, 'b2c', channel, CASE WHEN by_bot OR channel = 'bot' THEN 'bot' ELSE 'agent' END, subject, language)
    RETURNING id INTO interaction_id;
    token := csm_private.new_token();
    INSERT INTO csm_private.interaction_tokens (interaction_id, tenant_id, token_hash, expires_at)
    VALUES (interaction_id, tenant, csm_private.token_hash(token), clock_timestamp() + make_interval(hours => hours));
END $$;
COMMENT ON FUNCTION csm.open_guest_interaction(text, text, text, boolean) IS
'Opens an interaction for a visitor who is not signed in, and returns the token by which alone he speaks and reads: csm.guest_say(), csm.guest_transcript(). channel: chat, bot, social. Errors: 42501 no tenant, or signed in, 22023 channel, 23514 subject, SM007 too many visitors this hour (setting interactions.guest_sessions_per_hour)';

-- Speaking ------------------------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.write_interaction(i csm.interactions, kind text, author_id bigint, body text) RETURNS csm.interaction_entries
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    e csm.interaction_entries;
BEGIN
    IF i.state = 'closed' OR i.state = 'wrap_up' AND kind = 'customer' THEN
        RAISE EXCEPTION 'interaction % is over', i.id USING ERRCODE = '55000', DETAIL = format('Its state is %s.', i.state),
            HINT = 'Open a new one.';
    ELSIF kind = 'customer' THEN
        PERFORM csm_private.count_interaction(i.tenant_id, 'messages_per_hour', i.id::text);
    END IF;
    INSERT INTO csm.interaction_entries (tenant_id, interaction_id, author_kind, author_id, author_name, body)
    VALUES (i.tenant_id, i.id, kind, author_id,
            CASE WHEN kind IN ('bot', 'system') THEN kind
                 ELSE coalesce((SELECT u.display_name FROM csm.users u WHERE u.id = author_id AND u.tenant_id = i.tenant_id), 'visitor') END, body)
    RETURNING * INTO e;
    IF kind IN ('bot', 'agent') THEN
        UPDATE csm.interactions x
        SET answered_at = coalesce(x.answered_at, e.created_at), state = CASE x.state WHEN 'new' THEN 'active' ELSE x.state END
        WHERE x.id = i.id AND (x.answered_at IS NULL OR x.state = 'new');
    END IF;
    RETURN e;
END $$;
COMMENT ON FUNCTION csm_private.write_interaction(csm.interactions, text, bigint, text) IS
'Writes an entry of an interaction that the caller has locked; the first answer makes it active. 55000 when it is over, SM007 too many messages of the customer';

CREATE OR REPLACE FUNCTION csm.say(interaction_id bigint, body text, author_kind text DEFAULT NULL) RETURNS csm.interaction_entries
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    i CONSTANT csm.interactions := csm_private.lock_interaction(interaction_id);
    works CONSTANT boolean := csm_private.interaction_allows(i, 'case_work') AND i.requester_id IS DISTINCT FROM csm_private.person_id();
    kind CONSTANT text := coalesce(author_kind, CASE WHEN works THEN 'agent' ELSE 'customer' END);
BEGIN
    IF kind NOT IN ('customer', 'agent', 'bot', 'system') THEN
        RAISE EXCEPTION 'nobody speaks as "%"', kind USING ERRCODE = '22023', HINT = 'Kinds are customer, agent, bot and system.';
    ELSIF (CASE kind WHEN 'customer' THEN csm.requester_allows(i.requester_id, i.branch, i.account_id, 'case_comment') ELSE works END)
          IS NOT TRUE THEN
        RAISE EXCEPTION 'permission denied to speak as % in interaction %', kind, i.id USING ERRCODE = '42501',
            HINT = 'The requester speaks as customer; staff who work on such cases as agent, bot or system.';
    END IF;
    RETURN csm_private.write_interaction(i, kind, csm.current_user_id(), body);
END $$;
COMMENT ON FUNCTION csm.say(bigint, text, text) IS
'Writes into the transcript and returns the entry: the requester as customer, staff who work on such cases as agent, or for a bot or a system that runs under their name. Errors: 42501 no such interaction, or not permitted, 55000 over, 22023 kind, 23502 and 23514 text missing, blank or too long, SM007 too many messages this hour';

CREATE OR REPLACE FUNCTION csm_private.guest_interaction(token text) RETURNS csm.interactions
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    i csm.interactions;
BEGIN
    SELECT x.* INTO i
    FROM csm_private.interaction_tokens k JOIN csm.interactions x ON x.id = k.interaction_id AND x.tenant_id = k.tenant_id
    WHERE k.token_hash = csm_private.token_hash(guest_interaction.token) AND k.expires_at > clock_timestamp()
      AND k.tenant_id = csm.guest_tenant_id();
    IF i.id IS NULL THEN
        RAISE EXCEPTION 'the token opens no interaction' USING ERRCODE = '42501',
            HINT = 'It is unknown or expired; csm.open_guest_interaction() gives a new one.';
    END IF;
    RETURN i;
END $$;
COMMENT ON FUNCTION csm_private.guest_interaction(text) IS
'The interaction that a visitor''s token opens; 42501 for an unknown one, an expired one and one of another tenant alike';

CREATE OR REPLACE FUNCTION csm.guest_say(token text, body text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    i csm.interactions := csm_private.guest_interaction(token);
BEGIN
    SELECT * INTO i FROM csm.interactions x WHERE x.id = i.id AND x.tenant_id = i.tenant_id FOR NO KEY UPDATE;
    RETURN (csm_private.write_interaction(i, 'customer', NULL, guest_say.body)).id;
END $$;
COMMENT ON FUNCTION csm.guest_say(text, text) IS
'A visitor speaks; returns the id of the entry. Errors: 42501 token, 55000 over, 23502 and 23514 text missing, blank or too long, SM007 too many messages this hour. Pass both as bind parameters';

CREATE OR REPLACE FUNCTION csm.guest_transcript(token text) RETURNS TABLE (id bigint, author_kind text, author_name text, body text, created_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    i CONSTANT csm.interactions := csm_private.guest_interaction(guest_transcript.token);
BEGIN
    RETURN QUERY SELECT e.id, e.author_kind, e.author_name, e.body, e.created_at FROM csm.interaction_entries e
                 WHERE e.interaction_id = i.id AND e.tenant_id = i.tenant_id ORDER BY e.id;
END $$;
COMMENT ON FUNCTION csm.guest_transcript(text) IS
'What was said in a visitor''s interaction, in order. Error 42501 token. Pass it as a bind parameter';

-- The machine ---------------------------------------------------------------

CREATE OR REPLACE FUNCTION csm.act_on_interaction(interaction_id bigint, action text) RETURNS csm.interactions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    i csm.interactions := csm_private.lock_interaction(interaction_id);
    at CONSTANT timestamptz := clock_timestamp();
    me CONSTANT bigint := csm.current_user_id();
BEGIN
    IF action IS NULL OR action NOT IN ('take', 'hand_over', 'wrap_up', 'close') THEN
        RAISE EXCEPTION 'interactions have no action "%"', coalesce(action, 'NULL') USING ERRCODE = '22023',
            HINT = 'Actions are take, hand_over, wrap_up and close.';
    ELSIF NOT (action = 'close' AND csm.requester_allows(i.requester_id, i.branch, i.account_id, 'case_comment')) THEN
        PERFORM csm_private.require_work(i);
    END IF;
    IF NOT (CASE action WHEN 'take' THEN i.state IN ('new', 'active') AND i.assigned_to IS NULL
                        WHEN 'close' THEN i.state <> 'closed'
                        ELSE i.state = 'active' END) THEN
        RAISE EXCEPTION 'interaction % does not permit "%"', i.id, action USING ERRCODE = 'SM002',
            DETAIL = format('Its state is %s, %s.', i.state, CASE WHEN i.assigned_to IS NULL THEN 'nobody has it' ELSE 'an agent has it' END),
            HINT = 'Somebody may have been faster.';
    END IF;
    CASE action
        WHEN 'take' THEN
            UPDATE csm.interactions x SET state = 'active', handled_by = 'agent', assigned_to = me, taken_at = at WHERE x.id = i.id;
        WHEN 'hand_over' THEN
            UPDATE csm.interactions x SET handled_by = 'agent', assigned_to = NULL, taken_at = NULL, handed_over_at = at WHERE x.id = i.id;
        WHEN 'wrap_up' THEN
            UPDATE csm.interactions x SET state = 'wrap_up', wrapped_at = at WHERE x.id = i.id;
        ELSE
            UPDATE csm.interactions x SET state = 'closed', closed_at = at WHERE x.id = i.id;
    END CASE;
    SELECT * INTO i FROM csm.interactions x WHERE x.id = i.id;
    RETURN i;
END $$;
COMMENT ON FUNCTION csm.act_on_interaction(bigint, text) IS
'Takes an action and returns the interaction: take (new or handed over: the caller has it, it is active), hand_over (active, by the bot or the agent before: it waits for an agent), wrap_up (active), close. By staff who work on such cases; the requester may close. Errors: 42501 no such interaction, or not permitted, SM002 not from this state, 22023 unknown action';

CREATE OR REPLACE FUNCTION csm.verify_interaction(interaction_id bigint, verification text, how text, requester_id bigint DEFAULT NULL, account_id bigint DEFAULT NULL)
RETURNS csm.interactions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    i csm.interactions := csm_private.lock_interaction(interaction_id);
    found csm.interactions := i;
    a record;
BEGIN
    PERFORM csm_private.require_work(i);
    IF verification IS NULL OR verification NOT IN ('claimed', 'verified') OR how IS NULL THEN
        RAISE EXCEPTION 'an identity is claimed or verified, by something' USING ERRCODE = '22023',
            DETAIL = format('Given: %s by %s.', coalesce(verification, 'NULL'), coalesce(how, 'NULL')), HINT = 'how is a key such as callback.';
    ELSIF i.state = 'closed' THEN
        RAISE EXCEPTION 'interaction % is over', i.id USING ERRCODE = '55000', HINT = 'What was known then stays.';
    ELSIF requester_id IS NOT NULL AND requester_id IS DISTINCT FROM i.requester_id THEN
        SELECT * INTO a FROM csm_private.affiliation(requester_id, i.tenant_id, NULL, account_id);
        found.requester_id := requester_id;
        found.branch := a.branch;
        found.account_id := a.account_id;
        IF i.case_id IS NOT NULL OR a.branch IS NULL OR NOT csm_private.interaction_allows(found, 'case_work')
           OR NOT EXISTS (SELECT FROM csm.users u WHERE u.id = requester_id AND u.tenant_id = i.tenant_id) THEN
            RAISE EXCEPTION 'interaction % cannot become that person''s', i.id USING ERRCODE = '42501',
                HINT = 'Persons in the reach of the caller, before there is a case.';
        END IF;
    ELSIF i.requester_id IS NULL THEN
        RAISE EXCEPTION 'interaction % has nobody to verify', i.id USING ERRCODE = '22023', HINT = 'Give requester_id.';
    END IF;
    UPDATE csm.interactions x
    SET requester_id = found.requester_id, branch = found.branch, account_id = found.account_id,
        verification = verification, verified_how = how, verified_by = csm.current_user_id(), verified_at = clock_timestamp()
    WHERE x.id = i.id;
    SELECT * INTO i FROM csm.interactions x WHERE x.id = i.id;
    RETURN i;
END $$;
COMMENT ON FUNCTION csm.verify_interaction(bigint, text, text, bigint, bigint) IS
'Says who it is (requester_id, account_id) and how sure that is: verification claimed or verified, how a key such as callback or security_question. From then on the interaction is his. By staff who work on such cases, for persons in their reach. Errors: 42501 no such interaction, not permitted, or person out of reach (hidden and missing alike), 55000 over, 22023 argument, 23514 key';

-- Handing over to a case ----------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.interaction_for_case(interaction_id bigint) RETURNS csm.interactions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    i CONSTANT csm.interactions := csm_private.lock_interaction(interaction_id);
BEGIN
    IF i.requester_id IS DISTINCT FROM csm_private.person_id() THEN
        PERFORM csm_private.require_work(i);
    END IF;
    IF i.requester_id IS NULL THEN
        RAISE EXCEPTION 'nobody knows for whom interaction % is', i.id USING ERRCODE = '55000', HINT = 'csm.verify_interaction() says so first.';
    END IF;
    RETURN i;
END $$;
COMMENT ON FUNCTION csm_private.interaction_for_case(bigint) IS
'The interaction, locked, where the caller may make a case of it; errors 42501 and 55000 of csm.case_from_interaction()';

CREATE OR REPLACE FUNCTION csm_private.open_interaction_case(i csm.interactions, subject text, description text, case_type text, priority integer) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
BEGIN
    IF i.case_id IS NOT NULL THEN
        SELECT * INTO c FROM csm.cases x WHERE x.id = i.case_id;
        RETURN c;
    END IF;
    RETURN csm.open_case(subject => coalesce(open_interaction_case.subject, i.subject), description => open_interaction_case.description,
                         case_type => open_interaction_case.case_type, account_id => i.account_id, requester_id => i.requester_id,
                         priority => open_interaction_case.priority, channel => i.channel);
END $$;
COMMENT ON FUNCTION csm_private.open_interaction_case(csm.interactions, text, text, text, integer) IS
'Body of csm.case_from_interaction(): the case that came of it, as far as the caller sees it, else a new one with his rights';

CREATE OR REPLACE FUNCTION csm_private.link_interaction(c csm.cases, interaction_id bigint) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE csm.interactions i SET case_id = c.id
    WHERE i.id = link_interaction.interaction_id AND i.tenant_id = c.tenant_id AND (i.case_id IS NULL OR i.case_id = c.id);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'interaction % has a case already', interaction_id USING ERRCODE = '55000', HINT = 'It is not among those that you see.';
    END IF;
    RETURN c;
END $$;
COMMENT ON FUNCTION csm_private.link_interaction(csm.cases, bigint) IS
'Body of csm.case_from_interaction(): links interaction and case; 55000 where it has one that the caller does not see';

CREATE OR REPLACE FUNCTION csm.case_from_interaction(interaction_id bigint, subject text DEFAULT NULL, description text DEFAULT NULL,
    case_type text DEFAULT 'case', priority integer DEFAULT NULL) RETURNS csm.cases
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT csm_private.link_interaction(csm_private.open_interaction_case(
        csm_private.interaction_for_case(interaction_id), subject, description, case_type, priority), interaction_id);
END;
COMMENT ON FUNCTION csm.case_from_interaction(bigint, text, text, text, integer) IS
'Opens a case out of an interaction and returns it, once: called again it returns the same case. subject: that of the interaction by default; requester, account and channel are the interaction''s. The transcript stays where it is, csm.interactions.case_id leads to it. By staff who work on such cases, and the requester. Errors: 42501 no such interaction, or not permitted, 55000 nobody is known as requester, or a case that the caller does not see; those of csm.open_case()';

CREATE VIEW csm_report.interactions WITH (security_invoker = true) AS
SELECT i.id, i.branch, i.account_id, i.channel, i.state, i.handled_by, i.assigned_to, i.verification, i.verified_how, i.case_id,
       i.case_id IS NOT NULL AS became_case, i.opened_at, i.closed_at,
       extract(epoch FROM i.answered_at - i.opened_at)::bigint AS first_answer_seconds,
       extract(epoch FROM i.waited)::bigint AS waited_seconds,
       extract(epoch FROM i.lasted)::bigint AS lasted_seconds
FROM csm.interactions i;
ALTER VIEW csm_report.interactions OWNER TO csm_owner;
REVOKE ALL ON csm_report.interactions FROM PUBLIC;
GRANT SELECT ON csm_report.interactions TO csm_agent, csm_reporter, csm_admin;
COMMENT ON VIEW csm_report.interactions IS 'One row for each interaction that the reader may see, without what was said and with whom';
COMMENT ON COLUMN csm_report.interactions.id IS 'Key, csm.interactions.id';
COMMENT ON COLUMN csm_report.interactions.branch IS 'b2b, b2c or internal';
COMMENT ON COLUMN csm_report.interactions.account_id IS 'Account of a b2b interaction';
COMMENT ON COLUMN csm_report.interactions.channel IS 'chat, phone, email, bot or social';
COMMENT ON COLUMN csm_report.interactions.state IS 'new, active, wrap_up or closed';
COMMENT ON COLUMN csm_report.interactions.handled_by IS 'bot or agent';
COMMENT ON COLUMN csm_report.interactions.assigned_to IS 'The agent who has it';
COMMENT ON COLUMN csm_report.interactions.verification IS 'none, claimed or verified';
COMMENT ON COLUMN csm_report.interactions.verified_how IS 'By what; NULL for none';
COMMENT ON COLUMN csm_report.interactions.case_id IS 'The case that came of it';
COMMENT ON COLUMN csm_report.interactions.became_case IS 'Whether a case came of it';
COMMENT ON COLUMN csm_report.interactions.opened_at IS 'When it was opened';
COMMENT ON COLUMN csm_report.interactions.closed_at IS 'When it was closed';
COMMENT ON COLUMN csm_report.interactions.first_answer_seconds IS 'From the opening to the first answer of a bot or agent; NULL before';
COMMENT ON COLUMN csm_report.interactions.waited_seconds IS 'How long the customer last waited for an agent; NULL while none has taken it';
COMMENT ON COLUMN csm_report.interactions.lasted_seconds IS 'How long the conversation lasted; NULL while it lasts';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.interaction_setting(jsonb, text)',
        'csm_private.check_interaction_settings()',
        'csm_private.count_interaction(bigint, text, text)',
        'csm_private.interaction_allows(csm.interactions, text)',
        'csm_private.lock_interaction(bigint)',
        'csm_private.require_work(csm.interactions)',
        'csm_private.affiliation(bigint, bigint, text, bigint)',
        'csm_private.write_interaction(csm.interactions, text, bigint, text)',
        'csm_private.guest_interaction(text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
    FOREACH f IN ARRAY ARRAY[
        'csm.open_interaction(text, text, bigint, bigint, text, boolean)',
        'csm.say(bigint, text, text)',
        'csm.act_on_interaction(bigint, text)',
        'csm_private.interaction_for_case(bigint)',
        'csm_private.open_interaction_case(csm.interactions, text, text, text, integer)',
        'csm_private.link_interaction(csm.cases, bigint)',
        'csm.case_from_interaction(bigint, text, text, text, integer)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_portal, csm_agent', f);
    END LOOP;
    FOREACH f IN ARRAY ARRAY[
        'csm.verify_interaction(bigint, text, text, bigint, bigint)',
        'csm.open_guest_interaction(text, text, text, boolean)',
        'csm.guest_say(text, text)',
        'csm.guest_transcript(text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
    GRANT EXECUTE ON FUNCTION csm.verify_interaction(bigint, text, text, bigint, bigint) TO csm_agent;
    GRANT EXECUTE ON FUNCTION csm.open_guest_interaction(text, text, text, boolean), csm.guest_say(text, text), csm.guest_transcript(text)
        TO csm_guest;
END $$;
CREATE OR REPLACE FUNCTION csm_private.merge_users(keep bigint, remove bigint, reason text, merged_by bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    k csm.users;
    g csm.users;
    lost jsonb := jsonb '[]';
BEGIN
    PERFORM FROM csm.users u WHERE u.id IN (keep, remove) ORDER BY u.id FOR UPDATE;
    SELECT * INTO k FROM csm.users u WHERE u.id = keep;
    SELECT * INTO g FROM csm.users u WHERE u.id = remove;
    lost := lost || csm_private.merge_votes(remove, keep);
    PERFORM csm_private.begin_merge(remove, keep);

    -- One does not speak for oneself, nor stand above oneself.
    WITH d AS (
        DELETE FROM csm.representations r
        WHERE r.representative_id IN (keep, remove) AND r.represented_id IN (keep, remove) RETURNING r
    )
    SELECT lost || coalesce(jsonb_agg(csm_private.given_up('csm.representations', to_jsonb(d.r))), '[]') INTO lost FROM d;
    UPDATE csm.employees e SET manager_id = NULL
    WHERE e.user_id IN (keep, remove) AND e.manager_id IN (keep, remove);
    -- What the one left open, the other fills.
    UPDATE csm.employees e SET department = coalesce(e.department, o.department), manager_id = coalesce(e.manager_id, o.manager_id)
    FROM csm.employees o WHERE e.user_id = keep AND o.user_id = remove;
    UPDATE csm.consumers c SET registered_at = least(c.registered_at, o.registered_at)
    FROM csm.consumers o WHERE c.user_id = keep AND o.user_id = remove;

    -- What is on its way to one of them is void, the other's sessions and keys end; a login that was disabled opens nothing anew.
    DELETE FROM csm.password_resets r WHERE r.user_id IN (keep, remove);
    DELETE FROM csm_private.email_changes c WHERE c.user_id IN (keep, remove);
    DELETE FROM csm.sessions s WHERE s.user_id = remove;
    IF NOT g.enabled THEN
        DELETE FROM csm.passwords p WHERE p.user_id = remove;
        DELETE FROM csm.external_identities x WHERE x.user_id = remove;
    END IF;

    PERFORM csm_private.widen_rights(remove, keep);
    lost := lost || csm_private.trim_ranges(remove, keep);
    UPDATE csm.contacts c SET is_home = false
    WHERE c.user_id = remove AND c.is_home
      AND EXISTS (SELECT FROM csm.contacts h
                  WHERE h.user_id = keep AND h.is_home
                    AND coalesce(h.valid_during, tstzrange(NULL, NULL)) && coalesce(c.valid_during, tstzrange(NULL, NULL)));
    lost := lost || csm_private.repoint('csm.users', remove, keep);

    DELETE FROM csm.users u WHERE u.id = remove;
    UPDATE csm.users u SET email = coalesce(u.email, g.email), phone = coalesce(u.phone, g.phone), title = coalesce(u.title, g.title),
        external_id = coalesce(u.external_id, g.external_id)
    WHERE u.id = keep;
    INSERT INTO csm.user_merges (removed_id, tenant_id, kept_id, reason, merged_by, removed, given_up)
    VALUES (remove, g.tenant_id, keep, btrim(merge_users.reason), nullif(merge_users.merged_by, remove), to_jsonb(g), lost);
    PERFORM csm_private.end_merge();
    PERFORM csm_private.audit('users_merged', merge_users.merged_by, keep, NULL,
        jsonb_build_object('removed_id', remove, 'given_up', jsonb_array_length(lost)), k.tenant_id);
END $$;

-- Search and suggestion
-- Search over everything that a person may read (R A5, B55).
--
-- Every statement below runs with the rights of whoever searches, so a hit is a
-- row that he may read, and what he may not read has no part in anything: a
-- score comes from the row and the query (csm.search_score()), never from how
-- many rows hold a word; what bounds the work is an order of the rows he sees.
--
-- Kinds of things are searched one by one, each by its own indexes:
--	cases, articles, questions	by words; where no row has them all, by some of
--		them; where that finds nothing either, by titles that resemble what was typed
--	accounts, people, products	by names that resemble it
-- and a number (an e-mail) that was typed is looked up first.  Of very common
-- words the newest rows are ranked (500 of a kind).
--
-- Paging.  A cursor holds the time of the first page and the place of a row in
-- the order. The order of two rows depends on these rows and that time, so
-- nothing that is opened, asked or published meanwhile moves a page; cases and
-- questions of later are left out.

CREATE OR REPLACE FUNCTION csm_private.search_languages() RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := coalesce(csm.current_tenant_id(), csm.guest_tenant_id());
    own CONSTANT text := (SELECT u.language FROM csm.users u WHERE u.id = csm.current_user_id() AND u.tenant_id = tenant);
    shared jsonb;
BEGIN
    IF tenant IS NULL THEN
        RETURN '{}'::text[];
    END IF;
    SELECT t.settings -> 'search' -> 'languages' INTO shared FROM csm.tenants t WHERE t.id = tenant;
    IF jsonb_typeof(shared) IS DISTINCT FROM 'array' THEN
        shared := '["english"]';
    END IF;
    RETURN array_remove(own || ARRAY(SELECT jsonb_array_elements_text(shared)), NULL);
END $$;
ALTER FUNCTION csm_private.search_languages() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_languages() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.search_languages() TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.search_languages() IS
'Languages in which the caller searches: his own, and those of csm.tenants.settings -> search -> languages (english where there are none); empty for nobody';

CREATE OR REPLACE FUNCTION csm.search_query(query text) RETURNS tsquery
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT csm_private.search_query_in(query, csm_private.search_languages(), false);
END;
ALTER FUNCTION csm.search_query(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.search_query(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.search_query(text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.search_query(text) IS
'What somebody typed as a query for csm.matches(), in his language and in those of the tenant (csm.tenants.settings -> search -> languages, english by default); NULL for NULL';

-- Names by trigrams.  They stand here because tables come before csm.resembles().
DO $$
DECLARE
    ops CONSTANT text := csm_private.schema_of('pg_trgm') || '.gin_trgm_ops';
BEGIN
    EXECUTE format('CREATE INDEX accounts_name_trgm_idx ON csm.accounts USING gin (name %s)', ops);
    EXECUTE format('CREATE INDEX users_display_name_trgm_idx ON csm.users USING gin (display_name %s)', ops);
    EXECUTE format('CREATE INDEX products_name_trgm_idx ON csm.products USING gin (name %s)', ops);
END $$;

-- ---- what was asked ----

-- Lists throughout, and texts that can be cast.
CREATE OR REPLACE FUNCTION csm_private.search_filters(filters jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    f record;
    v record;
    checked jsonb := '{}'::jsonb;
    shape text;
BEGIN
    IF jsonb_typeof(filters) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'filters are not a JSON object' USING ERRCODE = '22023', HINT = 'Pass {} for none.';
    END IF;
    FOR f IN SELECT e.key, CASE jsonb_typeof(e.value) WHEN 'array' THEN e.value ELSE jsonb_build_array(e.value) END AS list
             FROM jsonb_each(filters) e
    LOOP
        shape := CASE
            WHEN f.key IN ('language', 'state_class', 'case_type', 'state') THEN '^.{1,100}$'
            WHEN f.key IN ('account_id', 'product_id', 'base_id', 'category_id', 'forum_id', 'priority') THEN '^[0-9]{1,18}$'
            WHEN f.key = 'answered' THEN '^(true|false)$'
            WHEN f.key IN ('since', 'until') THEN '^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?([+-][0-9]{2}(:?[0-9]{2})?|Z)?)?$' END;
        IF shape IS NULL THEN
            RAISE EXCEPTION 'unknown filter "%"', left(f.key, 63) USING ERRCODE = '22023',
                HINT = 'Filters are language, since, until, state_class, state, case_type, priority, account_id, product_id, base_id, category_id, forum_id and answered.';
        END IF;
        FOR v IN SELECT a.value, a.value #>> '{}' AS said FROM jsonb_array_elements(f.list) a LOOP
            IF jsonb_typeof(v.value) NOT IN ('string', 'number', 'boolean') OR v.said !~ shape OR jsonb_array_length(f.list) > 100 THEN
                RAISE EXCEPTION 'filter "%" has a value that it cannot have', f.key USING ERRCODE = '22023',
                    DETAIL = left(v.value::text, 100);
            END IF;
        END LOOP;
        IF f.key IN ('since', 'until') THEN
            BEGIN
                checked := checked || jsonb_build_object(f.key, (f.list ->> 0)::timestamptz);
            EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
                RAISE EXCEPTION 'filter "%" has a value that it cannot have', f.key USING ERRCODE = '22023',
                    DETAIL = left(f.list ->> 0, 100);
            END;
        ELSE
            checked := checked || jsonb_build_object(f.key, (SELECT jsonb_agg(a.value #>> '{}') FROM jsonb_array_elements(f.list) a));
        END IF;
    END LOOP;
    RETURN checked;
END $$;
ALTER FUNCTION csm_private.search_filters(jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_filters(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.search_filters(jsonb) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.search_filters(jsonb) IS 'The filters of a search, checked, with a list for each; error 22023 for what is none';

-- A kind that has not what a filter asks about is left out.
CREATE OR REPLACE FUNCTION csm_private.search_kinds(kinds text[], filters jsonb) RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    everything CONSTANT text[] := '{account,article,case,person,product,question}'::text[];
    wanted text[] := coalesce(kinds, everything);
BEGIN
    IF NOT wanted <@ everything THEN
        RAISE EXCEPTION 'unknown kind "%"', (SELECT left(k, 63) FROM unnest(wanted) k WHERE k IS NULL OR k <> ALL (everything) LIMIT 1)
            USING ERRCODE = '22023', HINT = format('Kinds are %s.', array_to_string(everything, ', '));
    -- Nobody finds nothing; a visitor finds what is public.
    ELSIF csm.current_tenant_id() IS NULL
          AND (csm.guest_tenant_id() IS NULL OR NOT pg_has_role('csm_guest', 'USAGE')) THEN
        RETURN '{}'::text[];
    END IF;
    RETURN ARRAY(
        SELECT DISTINCT k.kind
        FROM unnest(wanted) AS w(kind)
        JOIN (VALUES ('account', 'csm.accounts', 'name', '{}'::text[]),
                     ('person', 'csm.users', 'display_name', '{}'),
                     ('product', 'csm.products', 'name', '{}'),
                     ('case', 'csm.cases', 'search', '{language,since,until,state_class,state,case_type,priority,account_id,product_id}'),
                     ('article', 'csm.articles', 'search', '{language,since,until,base_id,category_id,product_id}'),
                     ('question', 'csm.questions', 'search', '{language,since,until,forum_id,answered}'))
             AS k(kind, of_table, column_name, knows) ON k.kind = w.kind
        WHERE has_column_privilege(k.of_table, k.column_name, 'SELECT') AND ARRAY(SELECT jsonb_object_keys(filters)) <@ k.knows);
END $$;
ALTER FUNCTION csm_private.search_kinds(text[], jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_kinds(text[], jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.search_kinds(text[], jsonb) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.search_kinds(text[], jsonb) IS
'Kinds that the caller''s search looks through: those asked for (NULL: all) that his role may read and whose rows have what the filters name; none for nobody; error 22023 for an unknown one';

-- The digest shows damage and a cursor of another search. It is no proof of
-- anything: whoever makes one up gets the rows that he may read, from where he says.
CREATE OR REPLACE FUNCTION csm_private.search_cursor(asked text, as_of timestamptz, score numeric, kind text, id bigint) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place CONSTANT text := concat_ws('|', (extract(epoch FROM as_of) * 1000000)::bigint, score, kind, id);
BEGIN
    RETURN translate(encode(convert_to(place || '|' || left(md5(place || asked), 12), 'UTF8'), 'base64'), E'+/=\n', '-_');
END $$;
ALTER FUNCTION csm_private.search_cursor(text, timestamptz, numeric, text, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_cursor(text, timestamptz, numeric, text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.search_cursor(text, timestamptz, numeric, text, bigint) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.search_cursor(text, timestamptz, numeric, text, bigint) IS
'Cursor for the page after a row: time of the first page and place of the row';

CREATE OR REPLACE FUNCTION csm_private.search_place("limit" integer, after text, asked text)
RETURNS TABLE (as_of timestamptz, score numeric, kind text, id bigint)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place text[];
    said text;
BEGIN
    IF "limit" IS NULL OR "limit" NOT BETWEEN 1 AND 100 THEN
        RAISE EXCEPTION 'limit is %', coalesce("limit"::text, 'NULL') USING ERRCODE = '22023', HINT = 'A page has 1 to 100 rows.';
    END IF;
    as_of := clock_timestamp();
    IF after IS NOT NULL THEN
        BEGIN
            said := convert_from(decode(rpad(translate(after, '-_', '+/'), (length(after) + 3) / 4 * 4, '='), 'base64'), 'UTF8');
            place := string_to_array(said, '|');
            as_of := timestamptz 'epoch' + place[1]::bigint * interval '1 microsecond';
            score := place[2]::numeric;
            kind := place[3];
            id := place[4]::bigint;
        EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
            place := NULL;
        END;
        IF cardinality(place) IS DISTINCT FROM 5
           OR place[5] IS DISTINCT FROM left(md5(array_to_string(place[1:4], '|') || asked), 12)
           OR after <> translate(encode(convert_to(said, 'UTF8'), 'base64'), E'+/=\n', '-_') THEN
            RAISE EXCEPTION 'the cursor is not one of this search' USING ERRCODE = '22023',
                HINT = 'Pass the cursor of a row that the same query, kinds and filters gave, or NULL for the first page.';
        END IF;
    END IF;
    RETURN NEXT;
END $$;
ALTER FUNCTION csm_private.search_place(integer, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_place(integer, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.search_place(integer, text, text) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.search_place(integer, text, text) IS
'Where a page begins: time of the first page and, after it, the place that a cursor holds; errors 22023: limit, a cursor that is damaged or of another search';

-- ---- kinds, one by one ----
--
-- They name nothing of csm_private, because they run with the rights of whoever
-- searches. Plans are made for the very words, which decide whether an index is
-- worth it.

CREATE OR REPLACE FUNCTION csm_private.search_cases(kinds text[], strict tsquery, loose tsquery, typed text, filters jsonb, as_of timestamptz)
RETURNS TABLE (kind text, id bigint, number text, title text, score numeric, found_by text, at timestamptz)
LANGUAGE plpgsql STABLE ROWS 500
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    languages CONSTANT text[] := CASE WHEN filters ? 'language' THEN ARRAY(SELECT jsonb_array_elements_text(filters -> 'language')) END;
    classes CONSTANT text[] := CASE WHEN filters ? 'state_class' THEN ARRAY(SELECT jsonb_array_elements_text(filters -> 'state_class')) END;
    states CONSTANT text[] := CASE WHEN filters ? 'state' THEN ARRAY(SELECT jsonb_array_elements_text(filters -> 'state')) END;
    types CONSTANT text[] := CASE WHEN filters ? 'case_type' THEN ARRAY(SELECT jsonb_array_elements_text(filters -> 'case_type')) END;
    priorities CONSTANT bigint[] := CASE WHEN filters ? 'priority' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'priority') v) END;
    accounts CONSTANT bigint[] := CASE WHEN filters ? 'account_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'account_id') v) END;
    products CONSTANT bigint[] := CASE WHEN filters ? 'product_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'product_id') v) END;
    since CONSTANT timestamptz := coalesce((filters ->> 'since')::timestamptz, '-infinity');
    before CONSTANT timestamptz := least((filters ->> 'until')::timestamptz, as_of);
    exact bigint;
    q tsquery;
    n bigint := 0;
BEGIN
    IF NOT 'case' = ANY (kinds) THEN
        RETURN;
    END IF;
    SELECT c.id INTO exact FROM csm.cases c
    WHERE c.number = ANY (ARRAY[typed, upper(typed)])
      AND c.opened_at BETWEEN since AND before
      AND (classes IS NULL OR c.state_class = ANY (classes)) AND (states IS NULL OR c.state = ANY (states))
      AND (types IS NULL OR c.case_type = ANY (types)) AND (priorities IS NULL OR c.priority = ANY (priorities))
      AND (accounts IS NULL OR c.account_id = ANY (accounts)) AND (products IS NULL OR c.product_id = ANY (products))
      AND (languages IS NULL OR c.language = ANY (languages))
    ORDER BY c.number = typed DESC LIMIT 1;
    IF exact IS NOT NULL THEN
        RETURN QUERY SELECT 'case', c.id, c.number, c.subject, 2::numeric, 'number', c.opened_at FROM csm.cases c WHERE c.id = exact;
    END IF;

    FOREACH q IN ARRAY ARRAY[strict, loose] LOOP
        CONTINUE WHEN numnode(q) = 0 OR q = loose AND (n > 0 OR exact IS NOT NULL);
        RETURN QUERY
        SELECT 'case', c.id, c.number, c.subject,
               round((csm.search_score(c.search, strict) * CASE WHEN q = strict THEN 0.9 ELSE 0.5 END
                      + 0.1 * exp(- extract(epoch FROM as_of - c.opened_at) / 31536000.0)::float8)::numeric, 6),
               CASE WHEN q = strict THEN 'words' ELSE 'some words' END, c.opened_at
        FROM (SELECT c.id, c.number, c.subject, c.search, c.opened_at FROM csm.cases c
              WHERE csm.matches(c.search, q)
                AND c.opened_at BETWEEN since AND before
                AND (classes IS NULL OR c.state_class = ANY (classes)) AND (states IS NULL OR c.state = ANY (states))
                AND (types IS NULL OR c.case_type = ANY (types)) AND (priorities IS NULL OR c.priority = ANY (priorities))
                AND (accounts IS NULL OR c.account_id = ANY (accounts)) AND (products IS NULL OR c.product_id = ANY (products))
                AND (languages IS NULL OR c.language = ANY (languages))
              ORDER BY c.opened_at DESC, c.id DESC LIMIT 500) c
        WHERE c.id IS DISTINCT FROM exact;
        GET DIAGNOSTICS n = ROW_COUNT;
    END LOOP;

    -- Subjects of the newest cases: an index on trigrams of all of them would
    -- take longer than reading these.
    IF n = 0 AND exact IS NULL AND length(typed) BETWEEN 4 AND 100 THEN
        RETURN QUERY
        SELECT 'case', c.id, c.number, c.subject, round((0.5 * csm.resemblance(c.subject, typed))::numeric, 6), 'similar', c.opened_at
        FROM (SELECT c.id, c.number, c.subject, c.opened_at FROM csm.cases c
              WHERE c.opened_at BETWEEN since AND before
                AND (classes IS NULL OR c.state_class = ANY (classes)) AND (states IS NULL OR c.state = ANY (states))
                AND (types IS NULL OR c.case_type = ANY (types)) AND (priorities IS NULL OR c.priority = ANY (priorities))
                AND (accounts IS NULL OR c.account_id = ANY (accounts)) AND (products IS NULL OR c.product_id = ANY (products))
                AND (languages IS NULL OR c.language = ANY (languages))
              ORDER BY c.opened_at DESC, c.id DESC LIMIT 2000) c
        WHERE csm.resembles(c.subject, typed);
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.search_cases(text[], tsquery, tsquery, text, jsonb, timestamptz) IS
'Hits of a search among the caller''s cases: the number, the newest 500 with all words, where there are none the newest 500 with some words, else of the newest 2,000 those whose subject resembles what was typed';

CREATE OR REPLACE FUNCTION csm_private.search_articles(kinds text[], strict tsquery, loose tsquery, typed text, filters jsonb)
RETURNS TABLE (kind text, id bigint, number text, title text, score numeric, found_by text, at timestamptz)
LANGUAGE plpgsql STABLE ROWS 500
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET pg_trgm.word_similarity_threshold = 0.5
AS $$
#variable_conflict use_column
DECLARE
    languages CONSTANT text[] := CASE WHEN filters ? 'language' THEN ARRAY(SELECT jsonb_array_elements_text(filters -> 'language')) END;
    bases CONSTANT bigint[] := CASE WHEN filters ? 'base_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'base_id') v) END;
    categories CONSTANT bigint[] := CASE WHEN filters ? 'category_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'category_id') v) END;
    products CONSTANT bigint[] := CASE WHEN filters ? 'product_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'product_id') v) END;
    since CONSTANT timestamptz := coalesce((filters ->> 'since')::timestamptz, '-infinity');
    before CONSTANT timestamptz := coalesce((filters ->> 'until')::timestamptz, 'infinity');
    exact bigint;
    q tsquery;
    n bigint := 0;
BEGIN
    IF NOT 'article' = ANY (kinds) THEN
        RETURN;
    END IF;
    SELECT a.id INTO exact FROM csm.articles a
    WHERE a.number = ANY (ARRAY[typed, upper(typed)])
      AND a.state = 'published' AND a.published_at BETWEEN since AND before
      AND (languages IS NULL OR a.language = ANY (languages)) AND (bases IS NULL OR a.base_id = ANY (bases))
      AND (categories IS NULL OR a.category_id = ANY (categories)) AND (products IS NULL OR a.product_id = ANY (products))
    ORDER BY a.number = typed DESC LIMIT 1;
    IF exact IS NOT NULL THEN
        RETURN QUERY SELECT 'article', a.id, a.number, a.title, 2::numeric, 'number', a.published_at FROM csm.articles a WHERE a.id = exact;
    END IF;

    FOREACH q IN ARRAY ARRAY[strict, loose] LOOP
        CONTINUE WHEN numnode(q) = 0 OR q = loose AND (n > 0 OR exact IS NOT NULL);
        RETURN QUERY
        SELECT 'article', a.id, a.number, a.title,
               round((csm.search_score(a.search, strict) * CASE WHEN q = strict THEN 1 ELSE 0.5 END)::numeric, 6),
               CASE WHEN q = strict THEN 'words' ELSE 'some words' END, a.published_at
        FROM (SELECT a.id, a.number, a.title, a.search, a.published_at FROM csm.articles a
              WHERE csm.matches(a.search, q)
                AND a.state = 'published' AND a.published_at BETWEEN since AND before
                AND (languages IS NULL OR a.language = ANY (languages)) AND (bases IS NULL OR a.base_id = ANY (bases))
                AND (categories IS NULL OR a.category_id = ANY (categories)) AND (products IS NULL OR a.product_id = ANY (products))
              ORDER BY a.published_at DESC, a.id DESC LIMIT 500) a
        WHERE a.id IS DISTINCT FROM exact;
        GET DIAGNOSTICS n = ROW_COUNT;
    END LOOP;

    IF n = 0 AND exact IS NULL AND length(typed) BETWEEN 4 AND 100 THEN
        RETURN QUERY
        SELECT 'article', a.id, a.number, a.title, round((0.5 * csm.resemblance(a.title, typed))::numeric, 6), 'similar', a.published_at
        FROM (SELECT a.id, a.number, a.title, a.published_at FROM csm.articles a
              WHERE csm.resembles(a.title, typed)
                AND a.state = 'published' AND a.published_at BETWEEN since AND before
                AND (languages IS NULL OR a.language = ANY (languages)) AND (bases IS NULL OR a.base_id = ANY (bases))
                AND (categories IS NULL OR a.category_id = ANY (categories)) AND (products IS NULL OR a.product_id = ANY (products))
              ORDER BY a.published_at DESC, a.id DESC LIMIT 500) a;
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.search_articles(text[], tsquery, tsquery, text, jsonb) IS
'Hits of a search among published articles that the caller reads: the number, the newest 500 with all words, where there are none the newest 500 with some words, else the newest 500 whose title resembles what was typed. Age has no part in the score';

CREATE OR REPLACE FUNCTION csm_private.search_questions(kinds text[], strict tsquery, loose tsquery, typed text, filters jsonb, as_of timestamptz)
RETURNS TABLE (kind text, id bigint, number text, title text, score numeric, found_by text, at timestamptz)
LANGUAGE plpgsql STABLE ROWS 500
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET pg_trgm.word_similarity_threshold = 0.5
AS $$
#variable_conflict use_column
DECLARE
    languages CONSTANT text[] := CASE WHEN filters ? 'language' THEN ARRAY(SELECT jsonb_array_elements_text(filters -> 'language')) END;
    forums CONSTANT bigint[] := CASE WHEN filters ? 'forum_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'forum_id') v) END;
    answers CONSTANT boolean[] := CASE WHEN filters ? 'answered' THEN ARRAY(SELECT v::boolean FROM jsonb_array_elements_text(filters -> 'answered') v) END;
    since CONSTANT timestamptz := coalesce((filters ->> 'since')::timestamptz, '-infinity');
    before CONSTANT timestamptz := least((filters ->> 'until')::timestamptz, as_of);
    q tsquery;
    n bigint := 0;
BEGIN
    IF NOT 'question' = ANY (kinds) THEN
        RETURN;
    END IF;
    FOREACH q IN ARRAY ARRAY[strict, loose] LOOP
        CONTINUE WHEN numnode(q) = 0 OR q = loose AND n > 0;
        RETURN QUERY
        SELECT 'question', t.id, NULL::text, t.title,
               round((csm.search_score(t.search, strict) * CASE WHEN q = strict THEN 0.8 ELSE 0.4 END
                      + 0.1 * exp(- extract(epoch FROM as_of - t.created_at) / 31536000.0)::float8)::numeric, 6),
               CASE WHEN q = strict THEN 'words' ELSE 'some words' END, t.created_at
        FROM (SELECT t.id, t.title, t.search, t.created_at FROM csm.questions t
              WHERE csm.matches(t.search, q)
                AND t.created_at BETWEEN since AND before
                AND (languages IS NULL OR t.language = ANY (languages)) AND (forums IS NULL OR t.forum_id = ANY (forums))
                AND (answers IS NULL OR t.answered = ANY (answers))
              ORDER BY t.created_at DESC, t.id DESC LIMIT 500) t;
        GET DIAGNOSTICS n = ROW_COUNT;
    END LOOP;

    IF n = 0 AND length(typed) BETWEEN 4 AND 100 THEN
        RETURN QUERY
        SELECT 'question', t.id, NULL::text, t.title, round((0.4 * csm.resemblance(t.title, typed))::numeric, 6), 'similar', t.created_at
        FROM (SELECT t.id, t.title, t.created_at FROM csm.questions t
              WHERE csm.resembles(t.title, typed) AND t.search IS NOT NULL
                AND t.created_at BETWEEN since AND before
                AND (languages IS NULL OR t.language = ANY (languages)) AND (forums IS NULL OR t.forum_id = ANY (forums))
                AND (answers IS NULL OR t.answered = ANY (answers))
              ORDER BY t.created_at DESC, t.id DESC LIMIT 500) t;
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.search_questions(text[], tsquery, tsquery, text, jsonb, timestamptz) IS
'Hits of a search among questions that the caller reads: the newest 500 with all words, where there are none the newest 500 with some words, else the newest 500 whose title resembles what was typed';

CREATE OR REPLACE FUNCTION csm_private.search_names(kinds text[], typed text)
RETURNS TABLE (kind text, id bigint, number text, title text, score numeric, found_by text, at timestamptz)
LANGUAGE plpgsql STABLE ROWS 500
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET pg_trgm.word_similarity_threshold = 0.5
AS $$
#variable_conflict use_column
BEGIN
    IF 'account' = ANY (kinds) THEN
        RETURN QUERY
        SELECT 'account', a.id, a.number, a.name,
               CASE WHEN a.number = ANY (ARRAY[typed, upper(typed)]) THEN 2 ELSE round(csm.resemblance(a.name, typed)::numeric, 6) END,
               CASE WHEN a.number = ANY (ARRAY[typed, upper(typed)]) THEN 'number' WHEN csm.contains(a.name, typed) THEN 'words' ELSE 'similar' END,
               a.created_at
        FROM (SELECT a.id, a.number, a.name, a.created_at FROM csm.accounts a WHERE a.number = ANY (ARRAY[typed, upper(typed)])
              UNION
              (SELECT a.id, a.number, a.name, a.created_at FROM csm.accounts a WHERE csm.resembles(a.name, typed)
               ORDER BY a.id DESC LIMIT 1000)) a;
    END IF;
    IF 'person' = ANY (kinds) THEN
        RETURN QUERY
        SELECT 'person', u.id, NULL::text, u.display_name,
               CASE WHEN u.email_key = lower(typed) THEN 2 ELSE round(csm.resemblance(u.display_name, typed)::numeric, 6) END,
               CASE WHEN u.email_key = lower(typed) THEN 'number' WHEN csm.contains(u.display_name, typed) THEN 'words' ELSE 'similar' END,
               u.created_at
        FROM (SELECT u.id, u.display_name, u.email_key, u.created_at FROM csm.users u WHERE u.email_key = lower(typed)
              UNION
              (SELECT u.id, u.display_name, u.email_key, u.created_at FROM csm.users u WHERE csm.resembles(u.display_name, typed)
               ORDER BY u.id DESC LIMIT 1000)) u;
    END IF;
    IF 'product' = ANY (kinds) THEN
        RETURN QUERY
        SELECT 'product', p.id, NULL::text, p.name, round(csm.resemblance(p.name, typed)::numeric, 6),
               CASE WHEN csm.contains(p.name, typed) THEN 'words' ELSE 'similar' END, NULL::timestamptz
        FROM (SELECT p.id, p.name FROM csm.products p WHERE csm.resembles(p.name, typed) ORDER BY p.id DESC LIMIT 1000) p;
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.search_names(text[], text) IS
'Hits of a search among the caller''s accounts, people and products: number or e-mail, and names that resemble what was typed (of each kind the newest 1,000)';

-- The words that were found, in the text of one row.
CREATE OR REPLACE FUNCTION csm_private.search_snippet(kind text, id bigint, typed text, words integer) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- One statement a table: a role needs rights on the tables of a statement only.
    IF kind = 'case' THEN
        RETURN (SELECT csm.highlight(c.language, coalesce(c.description, c.subject), typed, words) FROM csm.cases c WHERE c.id = search_snippet.id);
    ELSIF kind = 'article' THEN
        RETURN (SELECT csm.highlight(a.language, a.body, typed, words) FROM csm.articles a WHERE a.id = search_snippet.id);
    ELSIF kind = 'question' THEN
        RETURN (SELECT csm.highlight(t.language, t.body, typed, words) FROM csm.questions t WHERE t.id = search_snippet.id);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.search_snippet(text, bigint, text, integer) IS
'Passage of a hit that holds what was typed, as safe HTML; NULL for kinds that have no text and for what the caller may not read';

DO $$
DECLARE
    f text;
BEGIN
    FOREACH f IN ARRAY ARRAY['csm_private.search_cases(text[], tsquery, tsquery, text, jsonb, timestamptz)',
                             'csm_private.search_articles(text[], tsquery, tsquery, text, jsonb)',
                             'csm_private.search_questions(text[], tsquery, tsquery, text, jsonb, timestamptz)',
                             'csm_private.search_names(text[], text)', 'csm_private.search_snippet(text, bigint, text, integer)'] LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_guest, csm_portal, csm_agent, csm_admin', f);
    END LOOP;
END $$;

-- ---- search ----

CREATE OR REPLACE FUNCTION csm.search(query text, kinds text[] DEFAULT NULL, filters jsonb DEFAULT '{}', "limit" integer DEFAULT 20, after text DEFAULT NULL)
RETURNS TABLE (kind text, id bigint, number text, title text, snippet text, score numeric, found_by text, at timestamptz, cursor text)
LANGUAGE sql STABLE ROWS 20
BEGIN ATOMIC
    SELECT h.kind, h.id, h.number, h.title, csm_private.search_snippet(h.kind, h.id, h.typed, 30), h.score, h.found_by, h.at,
           csm_private.search_cursor(h.asked, h.as_of, h.score, h.kind, h.id)
    FROM (
        SELECT x.*, a.typed, a.asked, p.as_of
        FROM (SELECT btrim(left(query, 1000)) AS typed, md5(concat_ws('|', query, kinds::text, filters::text)) AS asked) a
        CROSS JOIN LATERAL csm_private.search_place("limit", after, a.asked) p
        CROSS JOIN LATERAL csm_private.search_filters(filters) f
        CROSS JOIN LATERAL csm_private.search_kinds(kinds, f) k
        CROSS JOIN LATERAL csm_private.search_languages() l
        CROSS JOIN LATERAL csm_private.search_query_in(a.typed, l, false) strict
        CROSS JOIN LATERAL csm_private.search_query_in(a.typed, l, true) loose
        CROSS JOIN LATERAL (
            SELECT * FROM csm_private.search_cases(k, strict, loose, a.typed, f, p.as_of)
            UNION ALL SELECT * FROM csm_private.search_articles(k, strict, loose, a.typed, f)
            UNION ALL SELECT * FROM csm_private.search_questions(k, strict, loose, a.typed, f, p.as_of)
            UNION ALL SELECT * FROM csm_private.search_names(k, a.typed)
        ) x
        WHERE a.typed <> '' AND (after IS NULL OR (x.score, p.kind, p.id) < (p.score, x.kind, x.id))
        ORDER BY x.score DESC, x.kind, x.id
        LIMIT greatest("limit", 1)
    ) h
    ORDER BY h.score DESC, h.kind, h.id;
END;
ALTER FUNCTION csm.search(text, text[], jsonb, integer, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.search(text, text[], jsonb, integer, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.search(text, text[], jsonb, integer, text) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm.search(text, text[], jsonb, integer, text) IS
'What the caller may read and what answers the query, best first, a page of limit rows (1 to 100). kinds: account, article, case, person, product, question (NULL: all that his role reads). filters: language, since, until, state_class, state, case_type, priority, account_id, product_id, base_id, category_id, forum_id, answered, each a value or a list; a kind without such a column is left out. snippet is HTML in which all but <mark> is escaped, NULL where there is no text. found_by: number (or e-mail), words, some words (where no row of the kind has all), similar. at: when it was opened, published or made. after: the cursor of the last row of the page before. NULL and empty queries find nothing. Error 22023: limit, kind, filter, cursor';

-- ---- facets ----

-- Up to 10,000 rows of a kind are counted, the newest.
CREATE OR REPLACE FUNCTION csm_private.facets_of(kinds text[], strict tsquery, typed text, filters jsonb)
RETURNS TABLE (kind text, n bigint, facet text, value text, count bigint)
LANGUAGE plpgsql STABLE ROWS 50
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET pg_trgm.word_similarity_threshold = 0.5
AS $$
#variable_conflict use_column
DECLARE
    languages CONSTANT text[] := CASE WHEN filters ? 'language' THEN ARRAY(SELECT jsonb_array_elements_text(filters -> 'language')) END;
    classes CONSTANT text[] := CASE WHEN filters ? 'state_class' THEN ARRAY(SELECT jsonb_array_elements_text(filters -> 'state_class')) END;
    states CONSTANT text[] := CASE WHEN filters ? 'state' THEN ARRAY(SELECT jsonb_array_elements_text(filters -> 'state')) END;
    types CONSTANT text[] := CASE WHEN filters ? 'case_type' THEN ARRAY(SELECT jsonb_array_elements_text(filters -> 'case_type')) END;
    priorities CONSTANT bigint[] := CASE WHEN filters ? 'priority' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'priority') v) END;
    accounts CONSTANT bigint[] := CASE WHEN filters ? 'account_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'account_id') v) END;
    products CONSTANT bigint[] := CASE WHEN filters ? 'product_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'product_id') v) END;
    bases CONSTANT bigint[] := CASE WHEN filters ? 'base_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'base_id') v) END;
    categories CONSTANT bigint[] := CASE WHEN filters ? 'category_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'category_id') v) END;
    forums CONSTANT bigint[] := CASE WHEN filters ? 'forum_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'forum_id') v) END;
    answers CONSTANT boolean[] := CASE WHEN filters ? 'answered' THEN ARRAY(SELECT v::boolean FROM jsonb_array_elements_text(filters -> 'answered') v) END;
    since CONSTANT timestamptz := coalesce((filters ->> 'since')::timestamptz, '-infinity');
    before CONSTANT timestamptz := coalesce((filters ->> 'until')::timestamptz, 'infinity');
BEGIN
    IF 'case' = ANY (kinds) AND numnode(strict) > 0 THEN
        RETURN QUERY
        WITH hit AS MATERIALIZED (
            SELECT c.state_class, c.case_type, c.priority, c.language, c.product_id FROM csm.cases c
            WHERE csm.matches(c.search, strict) AND c.opened_at BETWEEN since AND before
              AND (classes IS NULL OR c.state_class = ANY (classes)) AND (states IS NULL OR c.state = ANY (states))
              AND (types IS NULL OR c.case_type = ANY (types)) AND (priorities IS NULL OR c.priority = ANY (priorities))
              AND (accounts IS NULL OR c.account_id = ANY (accounts)) AND (products IS NULL OR c.product_id = ANY (products))
              AND (languages IS NULL OR c.language = ANY (languages))
            ORDER BY c.opened_at DESC, c.id DESC LIMIT 10001)
        SELECT 'case', (SELECT count(*) FROM hit), f.facet, f.value, count(*)
        FROM hit h CROSS JOIN LATERAL (VALUES ('kind', 'case'), ('state_class', h.state_class), ('case_type', h.case_type),
            ('priority', h.priority::text), ('language', h.language), ('product_id', h.product_id::text)) AS f(facet, value)
        GROUP BY f.facet, f.value;
    END IF;
    IF 'article' = ANY (kinds) AND numnode(strict) > 0 THEN
        RETURN QUERY
        WITH hit AS MATERIALIZED (
            SELECT a.base_id, a.category_id, a.language, a.product_id FROM csm.articles a
            WHERE csm.matches(a.search, strict) AND a.state = 'published' AND a.published_at BETWEEN since AND before
              AND (languages IS NULL OR a.language = ANY (languages)) AND (bases IS NULL OR a.base_id = ANY (bases))
              AND (categories IS NULL OR a.category_id = ANY (categories)) AND (products IS NULL OR a.product_id = ANY (products))
            ORDER BY a.published_at DESC, a.id DESC LIMIT 10001)
        SELECT 'article', (SELECT count(*) FROM hit), f.facet, f.value, count(*)
        FROM hit h CROSS JOIN LATERAL (VALUES ('kind', 'article'), ('base_id', h.base_id::text), ('category_id', h.category_id::text),
            ('language', h.language), ('product_id', h.product_id::text)) AS f(facet, value)
        GROUP BY f.facet, f.value;
    END IF;
    IF 'question' = ANY (kinds) AND numnode(strict) > 0 THEN
        RETURN QUERY
        WITH hit AS MATERIALIZED (
            SELECT t.forum_id, t.answered, t.language FROM csm.questions t
            WHERE csm.matches(t.search, strict) AND t.created_at BETWEEN since AND before
              AND (languages IS NULL OR t.language = ANY (languages)) AND (forums IS NULL OR t.forum_id = ANY (forums))
              AND (answers IS NULL OR t.answered = ANY (answers))
            ORDER BY t.created_at DESC, t.id DESC LIMIT 10001)
        SELECT 'question', (SELECT count(*) FROM hit), f.facet, f.value, count(*)
        FROM hit h CROSS JOIN LATERAL (VALUES ('kind', 'question'), ('forum_id', h.forum_id::text), ('answered', h.answered::text),
            ('language', h.language)) AS f(facet, value)
        GROUP BY f.facet, f.value;
    END IF;
    IF 'account' = ANY (kinds) THEN
        RETURN QUERY SELECT 'account', count(*), 'kind', 'account', count(*)
        FROM (SELECT FROM csm.accounts a WHERE csm.resembles(a.name, typed) ORDER BY a.id DESC LIMIT 10001) x;
    END IF;
    IF 'person' = ANY (kinds) THEN
        RETURN QUERY SELECT 'person', count(*), 'kind', 'person', count(*)
        FROM (SELECT FROM csm.users u WHERE csm.resembles(u.display_name, typed) ORDER BY u.id DESC LIMIT 10001) x;
    END IF;
    IF 'product' = ANY (kinds) THEN
        RETURN QUERY SELECT 'product', count(*), 'kind', 'product', count(*)
        FROM (SELECT FROM csm.products p WHERE csm.resembles(p.name, typed) ORDER BY p.id DESC LIMIT 10001) x;
    END IF;
END $$;
ALTER FUNCTION csm_private.facets_of(text[], tsquery, text, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.facets_of(text[], tsquery, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.facets_of(text[], tsquery, text, jsonb) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.facets_of(text[], tsquery, text, jsonb) IS
'Counts of csm.search_facets() by kind; n: rows of the kind, up to 10,001';

CREATE OR REPLACE FUNCTION csm.search_facets(query text, kinds text[] DEFAULT NULL, filters jsonb DEFAULT '{}')
RETURNS TABLE (kind text, facet text, value text, count bigint, complete boolean)
LANGUAGE sql STABLE ROWS 50
BEGIN ATOMIC
    SELECT x.kind, x.facet, x.value, least(x.count, 10000), x.n <= 10000
    FROM (SELECT btrim(left(query, 1000)) AS typed) a
    CROSS JOIN LATERAL csm_private.search_filters(filters) f
    CROSS JOIN LATERAL csm_private.search_kinds(kinds, f) k
    CROSS JOIN LATERAL csm_private.search_languages() l
    CROSS JOIN LATERAL csm_private.search_query_in(a.typed, l, false) strict
    CROSS JOIN LATERAL csm_private.facets_of(k, strict, a.typed, f) x
    WHERE a.typed <> '' AND x.count > 0 AND x.value IS NOT NULL
    ORDER BY x.kind, x.facet, x.count DESC, x.value;
END;
ALTER FUNCTION csm.search_facets(text, text[], jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.search_facets(text, text[], jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.search_facets(text, text[], jsonb) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm.search_facets(text, text[], jsonb) IS
'How many rows that the caller may read answer a query (all words of it, or a name that resembles it), by kind and by value: of cases state_class, case_type, priority, language, product_id; of articles base_id, category_id, language, product_id; of questions forum_id, answered, language. complete = false: only the newest 10,000 of the kind were counted. Arguments and errors as csm.search()';
-- What is offered before anybody asks for it: suggestions while somebody types
-- his question (R A5, deflection), cases like this one with their solutions
-- (R A30, B55), passages for a chat bot, and what fields a case will have.
--
-- As in 88_search.sql everything runs with the caller's rights, and nothing
-- counts rows that he does not see.

-- ---- while typing ----

-- The last word is a fragment while it is being typed: it is looked for in
-- titles from three letters on, the words before it in the whole text.  Few
-- candidates, the newest, because an answer is wanted before the next key.
CREATE OR REPLACE FUNCTION csm_private.suggestions(kinds text[], strict tsquery, rest tsquery, loose tsquery, typed text, fragment text)
RETURNS TABLE (kind text, id bigint, number text, title text, score numeric)
LANGUAGE plpgsql STABLE ROWS 50
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    n bigint;
    found_some boolean;
BEGIN
    IF 'article' = ANY (kinds) THEN
        found_some := false;
        IF length(fragment) >= 3 THEN
            RETURN QUERY
            SELECT 'article', a.id, a.number, a.title, round((0.5 + 0.5 * csm.resemblance(a.title, typed))::numeric, 6)
            FROM (SELECT a.id, a.number, a.title FROM csm.articles a
                  WHERE csm.contains(a.title, fragment) AND (numnode(rest) = 0 OR csm.matches(a.search, rest))
                    AND a.state = 'published' AND (a.expires_at IS NULL OR a.expires_at > statement_timestamp())
                  ORDER BY a.published_at DESC, a.id DESC LIMIT 50) a;
            GET DIAGNOSTICS n = ROW_COUNT;
            found_some := n > 0;
        END IF;
        IF numnode(strict) > 0 AND (NOT found_some OR numnode(rest) > 0) THEN
            RETURN QUERY
            SELECT 'article', a.id, a.number, a.title, round(csm.search_score(a.search, strict)::numeric, 6)
            FROM (SELECT a.id, a.number, a.title, a.search FROM csm.articles a
                  WHERE csm.matches(a.search, strict)
                    AND a.state = 'published' AND (a.expires_at IS NULL OR a.expires_at > statement_timestamp())
                  ORDER BY a.published_at DESC, a.id DESC LIMIT 50) a;
            GET DIAGNOSTICS n = ROW_COUNT;
            found_some := found_some OR n > 0;
        END IF;
        IF numnode(loose) > 0 AND NOT found_some THEN
            RETURN QUERY
            SELECT 'article', a.id, a.number, a.title, round((0.5 * csm.search_score(a.search, strict))::numeric, 6)
            FROM (SELECT a.id, a.number, a.title, a.search FROM csm.articles a
                  WHERE csm.matches(a.search, loose)
                    AND a.state = 'published' AND (a.expires_at IS NULL OR a.expires_at > statement_timestamp())
                  ORDER BY a.published_at DESC, a.id DESC LIMIT 200) a;
        END IF;
    END IF;

    IF 'question' = ANY (kinds) THEN
        found_some := false;
        IF length(fragment) >= 3 THEN
            RETURN QUERY
            SELECT 'question', t.id, NULL::text, t.title, round((0.5 + 0.5 * csm.resemblance(t.title, typed))::numeric * 0.9, 6)
            FROM (SELECT t.id, t.title FROM csm.questions t
                  WHERE csm.contains(t.title, fragment) AND (numnode(rest) = 0 OR csm.matches(t.search, rest))
                    AND t.search IS NOT NULL
                  ORDER BY t.created_at DESC, t.id DESC LIMIT 50) t;
            GET DIAGNOSTICS n = ROW_COUNT;
            found_some := n > 0;
        END IF;
        IF numnode(strict) > 0 AND (NOT found_some OR numnode(rest) > 0) THEN
            RETURN QUERY
            SELECT 'question', t.id, NULL::text, t.title, round(csm.search_score(t.search, strict)::numeric * 0.9, 6)
            FROM (SELECT t.id, t.title, t.search FROM csm.questions t
                  WHERE csm.matches(t.search, strict)
                  ORDER BY t.created_at DESC, t.id DESC LIMIT 50) t;
            GET DIAGNOSTICS n = ROW_COUNT;
            found_some := found_some OR n > 0;
        END IF;
        IF numnode(loose) > 0 AND NOT found_some THEN
            RETURN QUERY
            SELECT 'question', t.id, NULL::text, t.title, round((0.5 * csm.search_score(t.search, strict))::numeric * 0.9, 6)
            FROM (SELECT t.id, t.title, t.search FROM csm.questions t
                  WHERE csm.matches(t.search, loose)
                  ORDER BY t.created_at DESC, t.id DESC LIMIT 200) t;
        END IF;
    END IF;

    -- Major cases that are open: few, so the text is looked at row by row.
    IF 'case' = ANY (kinds) THEN
        RETURN QUERY
        SELECT 'case', c.id, c.number, c.subject, round((csm.search_score(c.search, strict))::numeric, 6)
        FROM csm.cases c
        WHERE c.major_state = 'accepted' AND c.state_class IN ('new', 'open', 'waiting')
          AND (csm.matches(c.search, strict) OR csm.matches(c.search, loose));
    END IF;
END $$;
ALTER FUNCTION csm_private.suggestions(text[], tsquery, tsquery, tsquery, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.suggestions(text[], tsquery, tsquery, tsquery, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.suggestions(text[], tsquery, tsquery, tsquery, text, text) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.suggestions(text[], tsquery, tsquery, tsquery, text, text) IS
'Candidates of csm.suggest(): strict asks for all that was typed, rest for all but the last word, loose for some of it; fragment is the last word while it is typed';

CREATE OR REPLACE FUNCTION csm.suggest(typed text, "limit" integer DEFAULT 5)
RETURNS TABLE (kind text, id bigint, number text, title text, score numeric)
LANGUAGE sql STABLE ROWS 5
BEGIN ATOMIC
    SELECT s.kind, s.id, s.number, s.title, max(s.score)
    FROM (SELECT t.typed, t.fragment, left(t.typed, length(t.typed) - length(t.fragment)) AS before
          FROM (SELECT left(suggest.typed, 400) AS typed, coalesce(substring(left(suggest.typed, 400) FROM '[[:alnum:]]+$'), '') AS fragment) t) a
    CROSS JOIN LATERAL csm_private.search_kinds('{article,case,question}', '{}') k
    CROSS JOIN LATERAL csm_private.search_languages() l
    CROSS JOIN LATERAL csm_private.suggestions(k, csm_private.search_query_in(a.typed, l, false), csm_private.search_query_in(a.before, l, false),
                                               csm_private.search_query_in(a.typed, l, true), btrim(a.typed), a.fragment) s
    WHERE btrim(a.typed) <> ''
    GROUP BY s.kind, s.id, s.number, s.title
    ORDER BY max(s.score) DESC, s.kind, s.id
    LIMIT greatest(least("limit", 20), 0);
END;
ALTER FUNCTION csm.suggest(text, integer) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.suggest(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.suggest(text, integer) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm.suggest(text, integer) IS
'What may answer a question while it is typed: published articles, questions of the community and open major cases that the caller may read, best first, at most limit (up to 20). The last word counts from three letters on, unfinished; 400 characters count. NULL and empty text: no row; no input is an error';

-- ---- cases like this one ----

CREATE OR REPLACE FUNCTION csm_private.case_to_compare(case_id bigint) RETURNS csm.cases
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
    IF c.id IS NULL THEN
        RAISE EXCEPTION 'case % does not exist', coalesce(case_id::text, 'NULL') USING ERRCODE = 'SM001',
            HINT = 'Pass csm.cases.id of a case that you can see.';
    END IF;
    RETURN c;
END $$;
COMMENT ON FUNCTION csm_private.case_to_compare(bigint) IS 'The case, read with the caller''s rights; SM001 for a hidden and a missing one';

CREATE OR REPLACE FUNCTION csm_private.cases_like(this csm.cases, strict tsquery, loose tsquery, "limit" integer)
RETURNS TABLE (id bigint, number text, subject text, state_class text, resolution_code text, resolution_notes text, opened_at timestamptz,
    closed_at timestamptz, score numeric)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    q CONSTANT tsquery := CASE WHEN numnode(loose) > 0 THEN loose ELSE strict END;
BEGIN
    IF numnode(q) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT c.id, c.number, c.subject, c.state_class, c.resolution_code, c.resolution_notes, c.opened_at, c.closed_at,
           round((0.7 * csm.search_score(c.search, strict)
                  + CASE WHEN c.resolution_notes IS NOT NULL THEN 0.2 ELSE 0 END
                  + CASE WHEN c.product_id = this.product_id THEN 0.05 ELSE 0 END
                  + CASE WHEN c.case_type = this.case_type THEN 0.05 ELSE 0 END)::numeric, 6) AS score
    FROM (SELECT c.* FROM csm.cases c
          WHERE csm.matches(c.search, q) AND c.id <> this.id
          ORDER BY c.opened_at DESC, c.id DESC LIMIT 300) c
    ORDER BY 9 DESC, c.id DESC LIMIT greatest(least("limit", 100), 0);
END $$;
COMMENT ON FUNCTION csm_private.cases_like(csm.cases, tsquery, tsquery, integer) IS
'Of the newest 300 cases of the caller that share words with this one, those that are most like it';

CREATE OR REPLACE FUNCTION csm.similar_cases(case_id bigint, "limit" integer DEFAULT 10)
RETURNS TABLE (id bigint, number text, subject text, state_class text, resolution_code text, resolution_notes text, opened_at timestamptz,
    closed_at timestamptz, score numeric)
LANGUAGE sql STABLE ROWS 10
BEGIN ATOMIC
    SELECT s.id, s.number, s.subject, s.state_class, s.resolution_code, s.resolution_notes, s.opened_at, s.closed_at, s.score
    FROM csm_private.case_to_compare(case_id) c
    CROSS JOIN LATERAL (SELECT regexp_replace(c.subject, '["-]', ' ', 'g') AS words) w
    CROSS JOIN LATERAL csm_private.cases_like(ROW(c.*)::csm.cases, csm_private.search_query_in(w.words, ARRAY[c.language], false),
                                              csm_private.search_query_in(w.words, ARRAY[c.language], true), "limit") s
    ORDER BY s.score DESC, s.id DESC;
END;
COMMENT ON FUNCTION csm.similar_cases(bigint, integer) IS
'Cases that the caller may read and whose subject or description shares words with the subject of this one, best first, at most limit (up to 100): solved ones, those of the same product and type first. With how they were solved, for the agent to take over. Of the newest 300 that share two words. Error SM001: no such case, hidden and missing alike';

-- ---- for a chat bot ----

CREATE OR REPLACE FUNCTION csm_private.answer_passage(kind text, id bigint, typed text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF kind = 'article' THEN
        RETURN (SELECT csm.highlight(a.language, a.body, typed, 100) FROM csm.articles a WHERE a.id = answer_passage.id);
    END IF;
    RETURN (SELECT csm.highlight(t.language, w.body, typed, 100) FROM csm.questions t
            JOIN csm.answers w ON w.question_id = t.id AND w.accepted WHERE t.id = answer_passage.id);
END $$;
COMMENT ON FUNCTION csm_private.answer_passage(text, bigint, text) IS
'Passage of an article, or of the accepted answer of a question, that answers best; NULL where the caller reads none';

CREATE OR REPLACE FUNCTION csm.answer(question text, "limit" integer DEFAULT 3)
RETURNS TABLE (kind text, id bigint, number text, title text, passage text, score numeric)
LANGUAGE sql STABLE ROWS 3
BEGIN ATOMIC
    SELECT h.kind, h.id, h.number, h.title, p, h.score
    FROM (
        SELECT x.kind, x.id, x.number, x.title, x.score, a.words
        FROM (SELECT btrim(regexp_replace(left(question, 1000), '["-]', ' ', 'g')) AS words) a
        CROSS JOIN LATERAL csm_private.search_kinds('{article,question}', '{}') k
        CROSS JOIN LATERAL csm_private.search_languages() l
        CROSS JOIN LATERAL csm_private.search_query_in(a.words, l, false) strict
        CROSS JOIN LATERAL csm_private.search_query_in(a.words, l, true) loose
        CROSS JOIN LATERAL (
            SELECT * FROM csm_private.search_articles(k, strict, loose, a.words, '{}')
            UNION ALL SELECT * FROM csm_private.search_questions(k, strict, loose, a.words, '{"answered": ["true"]}', clock_timestamp())
        ) x
        WHERE a.words <> ''
        ORDER BY x.score DESC, x.kind, x.id
        LIMIT greatest(least("limit", 10), 0)
    ) h
    CROSS JOIN LATERAL csm_private.answer_passage(h.kind, h.id, h.words) p
    WHERE p IS NOT NULL
    ORDER BY h.score DESC, h.kind, h.id;
END;
COMMENT ON FUNCTION csm.answer(text, integer) IS
'For a chat bot: passages that answer a question, best first, at most limit (up to 10), each with its source: a published article or a question whose accepted answer is quoted. Only what the caller may read, so the bot signs in as whom it talks to. passage is HTML as csm.highlight() gives it; score 0 to 1, half of it where only some words were found. No input is an error';

-- ---- plain statistics ----

CREATE OR REPLACE FUNCTION csm_private.guess_fields(q tsquery, strict tsquery)
RETURNS TABLE (field text, value text, share numeric, cases bigint)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    IF numnode(q) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH alike AS MATERIALIZED (
        SELECT c.case_type, c.priority, c.product_id, c.assigned_group_id, c.resolution_code
        FROM (SELECT c.* FROM csm.cases c WHERE csm.matches(c.search, q) AND c.state_class = 'closed' ORDER BY c.opened_at DESC, c.id DESC LIMIT 300) c
        ORDER BY csm.search_score(c.search, strict) DESC, c.id DESC LIMIT 100
    )
    SELECT DISTINCT ON (v.field) v.field, v.value, round(count(*)::numeric / sum(count(*)) OVER (PARTITION BY v.field), 4), count(*)
    FROM alike a CROSS JOIN LATERAL (VALUES ('case_type', a.case_type), ('priority', a.priority::text), ('product_id', a.product_id::text),
                                            ('assigned_group_id', a.assigned_group_id::text), ('resolution_code', a.resolution_code)) AS v(field, value)
    WHERE v.value IS NOT NULL
    GROUP BY v.field, v.value
    ORDER BY v.field, count(*) DESC, v.value;
    RETURN QUERY
    WITH alike AS MATERIALIZED (
        SELECT c.id, c.search, extract(epoch FROM c.closed_at - c.opened_at) / 3600 AS hours
        FROM csm.cases c WHERE csm.matches(c.search, q) AND c.state_class = 'closed' ORDER BY c.opened_at DESC, c.id DESC LIMIT 300
    ), nearest AS (SELECT a.hours FROM alike a ORDER BY csm.search_score(a.search, strict) DESC, a.id DESC LIMIT 100)
    SELECT x.field, round(x.value::numeric, 2)::text, NULL::numeric, x.cases
    FROM (SELECT 'hours_to_close_median' AS field, percentile_cont(0.5) WITHIN GROUP (ORDER BY n.hours) AS value, count(n.hours) AS cases FROM nearest n
          UNION ALL SELECT 'hours_to_close_90', percentile_cont(0.9) WITHIN GROUP (ORDER BY n.hours), count(n.hours) FROM nearest n) x
    WHERE x.cases > 0;
END $$;
COMMENT ON FUNCTION csm_private.guess_fields(tsquery, tsquery) IS 'Counts behind csm.predict_fields()';

CREATE OR REPLACE FUNCTION csm.predict_fields(words text)
RETURNS TABLE (field text, value text, share numeric, cases bigint)
LANGUAGE sql STABLE ROWS 10
BEGIN ATOMIC
    SELECT g.field, g.value, g.share, g.cases
    FROM (SELECT regexp_replace(left(predict_fields.words, 1000), '["-]', ' ', 'g') AS said) w
    CROSS JOIN LATERAL csm_private.search_languages() l
    CROSS JOIN LATERAL csm_private.search_query_in(w.said, l, false) strict
    CROSS JOIN LATERAL csm_private.search_query_in(w.said, l, true) loose
    CROSS JOIN LATERAL csm_private.guess_fields(CASE WHEN numnode(loose) > 0 THEN loose ELSE strict END, strict) g
    ORDER BY g.field;
END;
COMMENT ON FUNCTION csm.predict_fields(text) IS
'What a case with such a subject will probably have, by the 100 closed cases of the caller that are most like it (of the newest 300 that share two words): for case_type, priority, product_id, assigned_group_id and resolution_code the commonest value, its share among those that have one, and how many cases that are; hours_to_close_median and hours_to_close_90, with the number of cases behind them. No row where there is nothing to go by';

DO $$
DECLARE
    f text;
BEGIN
    FOREACH f IN ARRAY ARRAY['csm_private.case_to_compare(bigint)', 'csm_private.cases_like(csm.cases, tsquery, tsquery, integer)',
                             'csm.similar_cases(bigint, integer)', 'csm_private.answer_passage(text, bigint, text)', 'csm.answer(text, integer)',
                             'csm_private.guess_fields(tsquery, tsquery)', 'csm.predict_fields(text)'] LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_portal, csm_agent, csm_admin', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.answer(text, integer), csm_private.answer_passage(text, bigint, text) TO csm_guest;

-- Surveys
-- Surveys: how content whoever asked for service was (R A32).
--
-- The setting survey of a case type names a survey. When a case of the type is
-- closed, or resolved where the survey says so, its requester is asked, once a
-- case whatever becomes of it later. He answers by the single-use token of a
-- mail, or signed in. The asking is time's work (csm.run_due()), so that whoever
-- closes a case does not wait for it.
--
-- Scores stand apart from free text: csm_reporter reads the former alone.

CREATE TABLE csm.surveys (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    key text NOT NULL,
    label text NOT NULL,
    ask_when text NOT NULL DEFAULT 'closed',
    delay interval NOT NULL DEFAULT '0',
    valid_for interval NOT NULL DEFAULT '30 days',
    quarantine interval NOT NULL DEFAULT '0',
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT surveys_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT surveys_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT surveys_key_key UNIQUE (tenant_id, key),
    CONSTRAINT surveys_key_check CHECK (key ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT surveys_label_check CHECK (length(label) BETWEEN 1 AND 200),
    CONSTRAINT surveys_when_check CHECK (ask_when IN ('closed', 'resolved')),
    CONSTRAINT surveys_time_check CHECK (delay BETWEEN '0' AND '90 days' AND valid_for BETWEEN '1 hour' AND '366 days'
        AND quarantine BETWEEN '0' AND '3660 days')
);
SELECT csm_private.adopt_table('csm.surveys');

CREATE TABLE csm.survey_questions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    survey_id bigint NOT NULL,
    key text NOT NULL,
    position smallint NOT NULL DEFAULT 1,
    kind text NOT NULL,
    label text NOT NULL,
    required boolean NOT NULL DEFAULT false,
    low smallint,
    CONSTRAINT survey_questions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT survey_questions_survey_fkey FOREIGN KEY (survey_id, tenant_id) REFERENCES csm.surveys (id, tenant_id),
    CONSTRAINT survey_questions_key_key UNIQUE (survey_id, key),
    CONSTRAINT survey_questions_key_check CHECK (key ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT survey_questions_kind_check CHECK (kind IN ('csat', 'nps', 'ces', 'text')),
    CONSTRAINT survey_questions_label_check CHECK (length(label) BETWEEN 1 AND 1000),
    CONSTRAINT survey_questions_low_check CHECK (low IS NULL OR kind <> 'text' AND low BETWEEN 0 AND 10)
);
-- A report knows one score of a kind for each answer.
CREATE UNIQUE INDEX survey_questions_score_idx ON csm.survey_questions (survey_id, kind) WHERE kind <> 'text';
SELECT csm_private.adopt_table('csm.survey_questions');

CREATE TABLE csm.survey_responses (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    survey_id bigint NOT NULL,
    user_id bigint NOT NULL,
    sent_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    answered_at timestamptz,
    csat smallint,
    nps smallint,
    ces smallint,
    low boolean NOT NULL DEFAULT false,
    CONSTRAINT survey_responses_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT survey_responses_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT survey_responses_survey_fkey FOREIGN KEY (survey_id, tenant_id) REFERENCES csm.surveys (id, tenant_id),
    CONSTRAINT survey_responses_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT survey_responses_case_key UNIQUE (case_id, tenant_id),
    CONSTRAINT survey_responses_score_check CHECK (csat BETWEEN 1 AND 5 AND nps BETWEEN 0 AND 10 AND ces BETWEEN 1 AND 7),
    CONSTRAINT survey_responses_answered_check CHECK (answered_at IS NOT NULL OR num_nonnulls(csat, nps, ces) = 0 AND NOT low)
);
CREATE INDEX survey_responses_user_idx ON csm.survey_responses (user_id, sent_at);
CREATE INDEX survey_responses_answered_idx ON csm.survey_responses (tenant_id, answered_at) WHERE answered_at IS NOT NULL;
SELECT csm_private.adopt_table('csm.survey_responses');

CREATE TABLE csm.survey_answers (
    response_id bigint NOT NULL,
    question_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    user_id bigint NOT NULL,
    score smallint,
    body text,
    CONSTRAINT survey_answers_pkey PRIMARY KEY (response_id, question_id, tenant_id),
    CONSTRAINT survey_answers_response_fkey FOREIGN KEY (response_id, tenant_id) REFERENCES csm.survey_responses (id, tenant_id),
    CONSTRAINT survey_answers_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.survey_questions (id, tenant_id),
    CONSTRAINT survey_answers_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT survey_answers_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT survey_answers_body_check CHECK (length(body) <= 4000)
);
CREATE INDEX survey_answers_case_idx ON csm.survey_answers (case_id);
CREATE INDEX survey_answers_user_idx ON csm.survey_answers (user_id);
SELECT csm_private.adopt_table('csm.survey_answers');

CREATE TABLE csm_private.survey_tokens (
    response_id bigint NOT NULL,
    tenant_id bigint NOT NULL,
    user_id bigint NOT NULL,
    token_hash bytea NOT NULL,
    CONSTRAINT survey_tokens_pkey PRIMARY KEY (response_id, tenant_id),
    CONSTRAINT survey_tokens_hash_key UNIQUE (token_hash),
    CONSTRAINT survey_tokens_response_fkey FOREIGN KEY (response_id, tenant_id)
        REFERENCES csm.survey_responses (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT survey_tokens_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE
);
CREATE INDEX survey_tokens_user_idx ON csm_private.survey_tokens (user_id);
ALTER TABLE csm_private.survey_tokens OWNER TO csm_owner;
REVOKE ALL ON csm_private.survey_tokens FROM PUBLIC;
ALTER TABLE csm_private.survey_tokens ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.survey_tokens', '');

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{surveys,survey_questions}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_agent, csm_reporter, csm_admin '
                       'USING (tenant_id = csm.current_tenant_id())', t);
        EXECUTE format('CREATE POLICY %1$s_write ON csm.%1$s FOR ALL TO csm_admin '
                       'USING (csm.all_in(tenant_id, ''internal'', ''configure''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS ''Staff connections read what the tenant asks''', t);
        EXECUTE format('COMMENT ON POLICY %1$s_write ON csm.%1$s IS ''Administrators keep it''', t);
        EXECUTE format('GRANT SELECT ON csm.%1$s TO csm_agent, csm_reporter, csm_admin', t);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON csm.%1$s TO csm_admin', t);
    END LOOP;
    FOREACH t IN ARRAY '{survey_responses,survey_answers}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_agent, csm_admin '
                       'USING (csm_private.case_allows(case_id, tenant_id, ''case_work''))', t);
        EXECUTE format('CREATE POLICY %1$s_select_reporter ON csm.%1$s FOR SELECT TO csm_reporter '
                       'USING (csm_private.case_allows(case_id, tenant_id, ''case_read''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS ''Staff who work on the case''', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select_reporter ON csm.%1$s IS ''Reports: cases that the reader sees; scores, by column privileges''', t);
    END LOOP;
END $$;
GRANT SELECT ON csm.survey_responses, csm.survey_answers TO csm_agent, csm_admin;
GRANT SELECT (id, tenant_id, case_id, survey_id, sent_at, expires_at, answered_at, csat, nps, ces, low) ON csm.survey_responses TO csm_reporter;
GRANT SELECT (response_id, question_id, tenant_id, case_id, score) ON csm.survey_answers TO csm_reporter;

COMMENT ON TABLE csm.surveys IS 'What is asked after a case; the setting survey of a case type names one by its key';
COMMENT ON COLUMN csm.surveys.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.surveys.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.surveys.key IS 'Name by which case types refer to it, unique in the tenant';
COMMENT ON COLUMN csm.surveys.label IS 'Title that people read';
COMMENT ON COLUMN csm.surveys.ask_when IS 'closed: when the case is closed; resolved: when a solution is proposed or the case is closed, whichever comes first';
COMMENT ON COLUMN csm.surveys.delay IS 'How long after that, up to 90 days; a case that is open again by then is not asked about yet';
COMMENT ON COLUMN csm.surveys.valid_for IS 'How long it can be answered, from an hour to 366 days';
COMMENT ON COLUMN csm.surveys.quarantine IS 'For so long after any survey a person is not asked again; zero for no such time';
COMMENT ON COLUMN csm.surveys.active IS 'False: nobody is asked any more';
COMMENT ON TABLE csm.survey_questions IS 'Questions of a survey; of each kind of score at most one';
COMMENT ON COLUMN csm.survey_questions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.survey_questions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.survey_questions.survey_id IS 'The survey';
COMMENT ON COLUMN csm.survey_questions.key IS 'Name of the answer, unique in the survey';
COMMENT ON COLUMN csm.survey_questions.position IS 'Place among the questions';
COMMENT ON COLUMN csm.survey_questions.kind IS 'csat (satisfaction, 1 to 5), nps (would recommend, 0 to 10), ces (it was easy, 1 to 7) or text';
COMMENT ON COLUMN csm.survey_questions.label IS 'The question';
COMMENT ON COLUMN csm.survey_questions.required IS 'Whether an answer without it is refused';
COMMENT ON COLUMN csm.survey_questions.low IS 'A score up to this one is followed up; NULL: none is';
COMMENT ON TABLE csm.survey_responses IS 'Who was asked about which case, once a case, and his scores; written by csm.run_due() and csm.answer_survey()';
COMMENT ON COLUMN csm.survey_responses.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.survey_responses.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.survey_responses.case_id IS 'The case';
COMMENT ON COLUMN csm.survey_responses.survey_id IS 'What was asked';
COMMENT ON COLUMN csm.survey_responses.user_id IS 'The person asked: who requested the case';
COMMENT ON COLUMN csm.survey_responses.sent_at IS 'When';
COMMENT ON COLUMN csm.survey_responses.expires_at IS 'Until when he can answer';
COMMENT ON COLUMN csm.survey_responses.answered_at IS 'When he answered; NULL while he has not';
COMMENT ON COLUMN csm.survey_responses.csat IS 'Satisfaction, 1 (not at all) to 5; NULL for none';
COMMENT ON COLUMN csm.survey_responses.nps IS 'Would recommend, 0 to 10: 9 and 10 promoters, up to 6 detractors; NULL for none';
COMMENT ON COLUMN csm.survey_responses.ces IS 'It was easy, 1 (not at all) to 7; NULL for none';
COMMENT ON COLUMN csm.survey_responses.low IS 'A score was low as its question says: followed up';
COMMENT ON TABLE csm.survey_answers IS 'The single answers';
COMMENT ON COLUMN csm.survey_answers.response_id IS 'To which survey';
COMMENT ON COLUMN csm.survey_answers.question_id IS 'The question';
COMMENT ON COLUMN csm.survey_answers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.survey_answers.case_id IS 'The case, copied';
COMMENT ON COLUMN csm.survey_answers.user_id IS 'Who answered, copied';
COMMENT ON COLUMN csm.survey_answers.score IS 'The score; NULL for free text';
COMMENT ON COLUMN csm.survey_answers.body IS 'Free text, up to 4,000 characters; NULL for a score';
COMMENT ON TABLE csm_private.survey_tokens IS 'The tokens by which surveys are answered from a mail, as hashes; gone when used';
COMMENT ON COLUMN csm_private.survey_tokens.response_id IS 'Which survey of which case';
COMMENT ON COLUMN csm_private.survey_tokens.tenant_id IS 'Its tenant';
COMMENT ON COLUMN csm_private.survey_tokens.user_id IS 'The person asked, copied';
COMMENT ON COLUMN csm_private.survey_tokens.token_hash IS 'As csm_private.token_hash() makes it';

-- Asking --------------------------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.survey_of(c csm.cases) RETURNS csm.surveys
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s FROM csm.surveys s
    WHERE s.tenant_id = c.tenant_id AND s.key = csm_private.type_text(c.tenant_id, c.case_type, 'survey') AND s.active
$$;
COMMENT ON FUNCTION csm_private.survey_of(csm.cases) IS
'The survey that the case''s type names, itself or by its parent types; NULL where it names none that is active';

-- Run as the person by csm_private.as_person().
CREATE OR REPLACE FUNCTION csm_private.sees_case(argument jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT to_jsonb(EXISTS (SELECT FROM csm.cases c WHERE c.id = (argument ->> 'case_id')::bigint))
$$;
COMMENT ON FUNCTION csm_private.sees_case(jsonb) IS
'Whether whoever runs it sees the case case_id; run by csm_private.as_person()';

CREATE OR REPLACE FUNCTION csm_private.due_survey(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
    s csm.surveys;
    person csm.users;
    asked_at timestamptz;
    response bigint;
    token CONSTANT text := csm_private.new_token();
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = due_survey.object_id AND x.tenant_id = due_survey.tenant_id;
    s := csm_private.survey_of(c);
    SELECT * INTO person FROM csm.users u WHERE u.id = c.requester_id AND u.tenant_id = c.tenant_id AND u.enabled;
    IF s.id IS NULL OR person.id IS NULL OR c.state_class NOT IN ('closed', s.ask_when) OR c.parent_id IS NOT NULL
       OR csm_private.wants_notification(person.id, c.tenant_id, 'survey', 'email') IS FALSE
       OR s.quarantine > '0' AND EXISTS (SELECT FROM csm.survey_responses r WHERE r.user_id = person.id AND r.sent_at > due_survey.at - s.quarantine)
       OR csm_private.as_person(person.id, 'csm_portal', 'csm_private.sees_case(jsonb)', jsonb_build_object('case_id', c.id)) <> 'true' THEN
        RETURN;
    END IF;
    asked_at := CASE s.ask_when WHEN 'resolved' THEN coalesce(c.resolved_at, c.closed_at) ELSE c.closed_at END + s.delay;
    IF asked_at > due_survey.at THEN
        PERFORM csm_private.set_timer(c.tenant_id, 'survey', c.id, c.id, asked_at);
        RETURN;
    END IF;
    INSERT INTO csm.survey_responses AS r (tenant_id, case_id, survey_id, user_id, sent_at, expires_at)
    VALUES (c.tenant_id, c.id, s.id, person.id, due_survey.at, due_survey.at + s.valid_for)
    ON CONFLICT ON CONSTRAINT survey_responses_case_key DO NOTHING
    RETURNING r.id INTO response;
    IF response IS NOT NULL AND person.email IS NOT NULL THEN
        INSERT INTO csm_private.survey_tokens (response_id, tenant_id, user_id, token_hash)
        VALUES (response, c.tenant_id, person.id, csm_private.token_hash(token));
        PERFORM csm_private.send_mail(c.tenant_id, 'survey', person.email, person.id, person.language,
            jsonb_build_object('token', token, 'name', person.display_name, 'number', c.number, 'label', s.label), due_survey.at + s.valid_for);
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.due_survey(bigint, bigint, timestamptz) IS
'Handler of timers of kind survey: asks who requested the case and sees it, by mail where he has an address. Not while the case is open again, within the quarantine, after he said that he does not want it (event survey, channel email), nor twice';

-- Answering -----------------------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.survey_form(survey_id bigint, tenant_id bigint) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('key', q.key, 'kind', q.kind, 'label', q.label, 'required', q.required,
                                                 'from', CASE q.kind WHEN 'nps' THEN 0 WHEN 'text' THEN NULL ELSE 1 END,
                                                 'to', CASE q.kind WHEN 'csat' THEN 5 WHEN 'nps' THEN 10 WHEN 'ces' THEN 7 END)
                              ORDER BY q.position, q.id), '[]')
    FROM csm.survey_questions q WHERE q.survey_id = survey_form.survey_id AND q.tenant_id = survey_form.tenant_id
$$;
COMMENT ON FUNCTION csm_private.survey_form(bigint, bigint) IS
'The questions of a survey as a JSON array: key, kind, label, required, from and to (of a score)';

CREATE OR REPLACE FUNCTION csm_private.survey_fault(survey_id bigint, tenant_id bigint, answers jsonb) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_typeof(answers) IS DISTINCT FROM 'object'
        OR EXISTS (SELECT FROM jsonb_object_keys(CASE jsonb_typeof(answers) WHEN 'object' THEN answers ELSE '{}' END) k
                   WHERE NOT EXISTS (SELECT FROM csm.survey_questions q
                                     WHERE q.survey_id = survey_fault.survey_id AND q.tenant_id = survey_fault.tenant_id AND q.key = k))
        OR EXISTS (SELECT FROM csm.survey_questions q,
                          LATERAL (SELECT nullif(CASE jsonb_typeof(answers) WHEN 'object' THEN answers -> q.key END, 'null') AS v) a
                   WHERE q.survey_id = survey_fault.survey_id AND q.tenant_id = survey_fault.tenant_id
                     AND CASE WHEN a.v IS NULL THEN q.required
                              WHEN q.kind = 'text' THEN jsonb_typeof(a.v) <> 'string' OR length(a.v #>> '{}') > 4000 OR q.required AND a.v #>> '{}' !~ '[^[:space:]]'
                              WHEN jsonb_typeof(a.v) <> 'number' OR a.v::text !~ '^(10|[0-9])$' THEN true
                              ELSE (a.v #>> '{}')::integer NOT BETWEEN CASE q.kind WHEN 'nps' THEN 0 ELSE 1 END
                                                               AND CASE q.kind WHEN 'csat' THEN 5 WHEN 'nps' THEN 10 ELSE 7 END END)
$$;
COMMENT ON FUNCTION csm_private.survey_fault(bigint, bigint, jsonb) IS
'True where the answers are not those of the survey: an unknown key, a required one missing, a score out of range, no text or one of more than 4,000 characters';

-- The row of the response is locked; of two who answer at once the second finds it answered.
CREATE OR REPLACE FUNCTION csm_private.record_answers(response bigint, tenant bigint, answers jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.survey_responses;
BEGIN
    SELECT * INTO r FROM csm.survey_responses x WHERE x.id = response AND x.tenant_id = tenant FOR UPDATE;
    IF r.id IS NULL OR r.answered_at IS NOT NULL OR r.expires_at <= clock_timestamp() THEN
        RETURN 'refused';
    ELSIF csm_private.survey_fault(r.survey_id, tenant, answers) THEN
        RETURN 'invalid';
    END IF;
    INSERT INTO csm.survey_answers (response_id, question_id, tenant_id, case_id, user_id, score, body)
    SELECT r.id, q.id, tenant, r.case_id, r.user_id, CASE WHEN q.kind <> 'text' THEN (answers ->> q.key)::smallint END,
           CASE WHEN q.kind = 'text' THEN csm_private.mail_clean(answers ->> q.key, true) END
    FROM csm.survey_questions q
    WHERE q.survey_id = r.survey_id AND q.tenant_id = tenant AND answers ->> q.key IS NOT NULL;
    UPDATE csm.survey_responses x
    SET answered_at = clock_timestamp(), csat = a.csat, nps = a.nps, ces = a.ces, low = a.low
    FROM (SELECT max(w.score) FILTER (WHERE q.kind = 'csat') AS csat, max(w.score) FILTER (WHERE q.kind = 'nps') AS nps,
                 max(w.score) FILTER (WHERE q.kind = 'ces') AS ces, coalesce(bool_or(w.score <= q.low), false) AS low
          FROM csm.survey_answers w JOIN csm.survey_questions q ON q.id = w.question_id AND q.tenant_id = w.tenant_id
          WHERE w.response_id = r.id AND w.tenant_id = tenant) a
    WHERE x.id = r.id AND x.tenant_id = tenant RETURNING x.* INTO r;
    DELETE FROM csm_private.survey_tokens t WHERE t.response_id = r.id AND t.tenant_id = tenant;
    PERFORM csm_private.emit(tenant, r.case_id, 'survey_answered', jsonb_build_object('response_id', r.id, 'csat', r.csat, 'nps', r.nps, 'ces', r.ces),
                             'internal', NULL, r.user_id);
    IF r.low THEN
        PERFORM csm_private.set_timer(tenant, 'survey_low', r.id, r.case_id, clock_timestamp());
    END IF;
    RETURN 'accepted';
END $$;
COMMENT ON FUNCTION csm_private.record_answers(bigint, bigint, jsonb) IS
'Writes the answers of a survey: accepted, invalid (nothing written), or refused where it is answered, expired or not there. Asks nothing';

CREATE OR REPLACE FUNCTION csm.survey_by_token(token text) RETURNS TABLE (label text, questions jsonb)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.label, csm_private.survey_form(s.id, s.tenant_id)
    FROM csm_private.survey_tokens t
    JOIN csm.survey_responses r ON r.id = t.response_id AND r.tenant_id = t.tenant_id
    JOIN csm.surveys s ON s.id = r.survey_id AND s.tenant_id = r.tenant_id
    WHERE t.token_hash = csm_private.token_hash(survey_by_token.token) AND r.answered_at IS NULL AND r.expires_at > clock_timestamp()
$$;
COMMENT ON FUNCTION csm.survey_by_token(text) IS
'Title and questions of the survey whose mail carried the token, for the page on which it is answered; nothing of the case. No row where the token is unknown, used or expired';

CREATE OR REPLACE FUNCTION csm.answer_survey(token text, answers jsonb, OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t csm_private.survey_tokens;
BEGIN
    SELECT * INTO t FROM csm_private.survey_tokens x WHERE x.token_hash = csm_private.token_hash(answer_survey.token);
    status := CASE WHEN FOUND THEN csm_private.record_answers(t.response_id, t.tenant_id, answers) ELSE 'refused' END;
END $$;
COMMENT ON FUNCTION csm.answer_survey(text, jsonb) IS
'Answers a survey by the token of its mail, signed in or not: an object of question keys with scores and texts. accepted; invalid: not the answers of this survey, try again; refused: the token is unknown, used or expired, all alike';

CREATE OR REPLACE FUNCTION csm.my_surveys() RETURNS TABLE (response_id bigint, case_id bigint, label text, questions jsonb, sent_at timestamptz, expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.id, CASE WHEN csm_private.case_allows(r.case_id, r.tenant_id, 'case_read') THEN r.case_id END, s.label,
           csm_private.survey_form(s.id, s.tenant_id), r.sent_at, r.expires_at
    FROM csm.survey_responses r JOIN csm.surveys s ON s.id = r.survey_id AND s.tenant_id = r.tenant_id
    WHERE r.user_id = csm.current_user_id() AND r.tenant_id = csm.current_tenant_id() AND csm_private.person_id() = r.user_id
      AND r.answered_at IS NULL AND r.expires_at > clock_timestamp()
    ORDER BY r.sent_at, r.id
$$;
COMMENT ON FUNCTION csm.my_surveys() IS
'Surveys that the caller is asked to answer, by csm.answer_my_survey(); case_id is NULL where he does not see the case any more';

CREATE OR REPLACE FUNCTION csm.answer_my_survey(response_id bigint, answers jsonb, OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
BEGIN
    status := 'refused';
    IF EXISTS (SELECT FROM csm.survey_responses r
               WHERE r.id = answer_my_survey.response_id AND r.user_id = me AND r.tenant_id = csm.current_tenant_id()
                 AND csm_private.person_id() = me) THEN
        status := csm_private.record_answers(answer_my_survey.response_id, csm.current_tenant_id(), answers);
    END IF;
END $$;
COMMENT ON FUNCTION csm.answer_my_survey(bigint, jsonb) IS
'Answers one of csm.my_surveys(); answers and status as csm.answer_survey(). refused also for somebody else''s';

-- Following up --------------------------------------------------------------

-- A closed case takes no task; what follows it up is a case of its own.
CREATE OR REPLACE FUNCTION csm_private.due_survey_low(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.survey_responses;
    c csm.cases;
    made bigint;
    said text;
BEGIN
    SELECT * INTO r FROM csm.survey_responses x WHERE x.id = due_survey_low.object_id AND x.tenant_id = due_survey_low.tenant_id;
    SELECT * INTO c FROM csm.cases x WHERE x.id = r.case_id AND x.tenant_id = r.tenant_id;
    said := concat_ws(', ', 'CSAT ' || r.csat, 'NPS ' || r.nps, 'CES ' || r.ces);
    PERFORM csm_private.emit(r.tenant_id, r.case_id, 'survey_low_score', jsonb_build_object('response_id', r.id, 'csat', r.csat, 'nps', r.nps, 'ces', r.ces),
                             'internal', NULL, NULL);
    IF c.state_class IN ('closed', 'cancelled') THEN
        INSERT INTO csm.cases (tenant_id, subject, requester_id, account_id, channel, assigned_group_id, description)
        VALUES (c.tenant_id, left('Follow-up of a survey: ' || c.number, 400), c.requester_id, c.account_id, 'survey', c.assigned_group_id, said)
        RETURNING id INTO made;
        INSERT INTO csm.case_links (tenant_id, from_case_id, to_case_id, kind) VALUES (c.tenant_id, made, c.id, 'follow_up');
    ELSE
        INSERT INTO csm.case_tasks (tenant_id, case_id, subject, description, blocking, assigned_group_id)
        VALUES (c.tenant_id, c.id, 'Follow up a low score', said, false, c.assigned_group_id);
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.due_survey_low(bigint, bigint, timestamptz) IS
'Handler of timers of kind survey_low: event survey_low_score, and for the group of the case a task, or, where it is closed, a case that follows it up';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.survey_of(csm.cases)',
        'csm_private.sees_case(jsonb)',
        'csm_private.due_survey(bigint, bigint, timestamptz)',
        'csm_private.due_survey_low(bigint, bigint, timestamptz)',
        'csm_private.survey_form(bigint, bigint)',
        'csm_private.survey_fault(bigint, bigint, jsonb)',
        'csm_private.record_answers(bigint, bigint, jsonb)',
        'csm.survey_by_token(text)',
        'csm.answer_survey(text, jsonb)',
        'csm.my_surveys()',
        'csm.answer_my_survey(bigint, jsonb)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.survey_by_token(text), csm.answer_survey(text, jsonb) TO csm_guest, csm_portal, csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.my_surveys(), csm.answer_my_survey(bigint, jsonb) TO csm_portal, csm_agent, csm_admin;

-- Reports -------------------------------------------------------------------

CREATE VIEW csm_report.surveys WITH (security_invoker = true) AS
SELECT r.id, r.case_id, s.key AS survey, r.sent_at, r.expires_at, r.answered_at, r.csat, r.nps, r.ces,
       CASE WHEN r.nps >= 9 THEN 'promoter' WHEN r.nps >= 7 THEN 'passive' WHEN r.nps IS NOT NULL THEN 'detractor' END AS nps_group,
       r.low, c.branch, c.case_type, c.account_id, c.assigned_group_id, c.assigned_to AS assignee_id
FROM csm.survey_responses r
JOIN csm.surveys s ON s.id = r.survey_id AND s.tenant_id = r.tenant_id
JOIN csm.cases c ON c.id = r.case_id AND c.tenant_id = r.tenant_id;
ALTER VIEW csm_report.surveys OWNER TO csm_owner;
REVOKE ALL ON csm_report.surveys FROM PUBLIC;
GRANT SELECT ON csm_report.surveys TO csm_agent, csm_reporter, csm_admin;
COMMENT ON VIEW csm_report.surveys IS 'One row for each survey sent about a case that the reader may see; scores, no text, no personal data';
COMMENT ON COLUMN csm_report.surveys.id IS 'Key, csm.survey_responses.id';
COMMENT ON COLUMN csm_report.surveys.case_id IS 'The case';
COMMENT ON COLUMN csm_report.surveys.survey IS 'Key of the survey';
COMMENT ON COLUMN csm_report.surveys.sent_at IS 'When the person was asked';
COMMENT ON COLUMN csm_report.surveys.expires_at IS 'Until when it can be answered';
COMMENT ON COLUMN csm_report.surveys.answered_at IS 'When it was answered; NULL while it is not';
COMMENT ON COLUMN csm_report.surveys.csat IS 'Satisfaction, 1 to 5';
COMMENT ON COLUMN csm_report.surveys.nps IS 'Would recommend, 0 to 10';
COMMENT ON COLUMN csm_report.surveys.ces IS 'It was easy, 1 to 7';
COMMENT ON COLUMN csm_report.surveys.nps_group IS 'promoter (9, 10), passive (7, 8) or detractor (0 to 6); NULL without that score';
COMMENT ON COLUMN csm_report.surveys.low IS 'A score was low as its question says';
COMMENT ON COLUMN csm_report.surveys.branch IS 'Branch of the case';
COMMENT ON COLUMN csm_report.surveys.case_type IS 'Type of the case';
COMMENT ON COLUMN csm_report.surveys.account_id IS 'Customer account of the case; NULL unless b2b';
COMMENT ON COLUMN csm_report.surveys.assigned_group_id IS 'Group that worked on it';
COMMENT ON COLUMN csm_report.surveys.assignee_id IS 'Who worked on it (csm.users.id)';

CREATE VIEW csm_report.satisfaction WITH (security_invoker = true) AS
SELECT s.survey || ' ' || s.case_type || ' ' || to_char(s.sent_at AT TIME ZONE 'UTC', 'YYYY-MM') AS id,
       s.survey, s.case_type, (date_trunc('month', s.sent_at AT TIME ZONE 'UTC'))::date AS month,
       count(*) AS sent,
       count(s.answered_at) AS answered,
       round(avg(s.csat), 2) AS csat,
       round(100.0 * count(*) FILTER (WHERE s.csat >= 4) / nullif(count(s.csat), 0), 1) AS csat_satisfied,
       round(100.0 * (count(*) FILTER (WHERE s.nps >= 9) - count(*) FILTER (WHERE s.nps <= 6)) / nullif(count(s.nps), 0), 1) AS nps,
       round(avg(s.ces), 2) AS ces,
       count(*) FILTER (WHERE s.low) AS low
FROM csm_report.surveys s
GROUP BY s.survey, s.case_type, to_char(s.sent_at AT TIME ZONE 'UTC', 'YYYY-MM'), date_trunc('month', s.sent_at AT TIME ZONE 'UTC');
ALTER VIEW csm_report.satisfaction OWNER TO csm_owner;
REVOKE ALL ON csm_report.satisfaction FROM PUBLIC;
GRANT SELECT ON csm_report.satisfaction TO csm_agent, csm_reporter, csm_admin;
COMMENT ON VIEW csm_report.satisfaction IS 'Scores by survey, case type and month, of cases that the reader may see';
COMMENT ON COLUMN csm_report.satisfaction.id IS 'Key: survey, type and month';
COMMENT ON COLUMN csm_report.satisfaction.survey IS 'Key of the survey';
COMMENT ON COLUMN csm_report.satisfaction.case_type IS 'Type of case';
COMMENT ON COLUMN csm_report.satisfaction.month IS 'First day of the month (UTC) in which people were asked';
COMMENT ON COLUMN csm_report.satisfaction.sent IS 'How many were asked';
COMMENT ON COLUMN csm_report.satisfaction.answered IS 'How many answered';
COMMENT ON COLUMN csm_report.satisfaction.csat IS 'Average satisfaction, 1 to 5; NULL without answers';
COMMENT ON COLUMN csm_report.satisfaction.csat_satisfied IS 'Per cent of those answers that are 4 or 5';
COMMENT ON COLUMN csm_report.satisfaction.nps IS 'Net promoter score: per cent of promoters (9, 10) less per cent of detractors (0 to 6)';
COMMENT ON COLUMN csm_report.satisfaction.ces IS 'Average customer effort score, 1 to 7';
COMMENT ON COLUMN csm_report.satisfaction.low IS 'How many had a low score';

-- Notifications: what is configured, and shipped; placeholders, which response
-- templates share; tokens in mail that is answered; making and sending
-- Texts with placeholders, whatever they are for: judged when they are written,
-- filled in when they are used.

CREATE OR REPLACE FUNCTION csm_private.check_placeholders(template text, body text, known text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unknown text;
BEGIN
    SELECT string_agg(DISTINCT m[1], ', ') INTO unknown
    FROM regexp_matches(body, '\{\{([^{}]*)\}\}', 'g') m WHERE m[1] <> ALL (known);
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'template "%" has unknown placeholders', template USING ERRCODE = '22023',
            DETAIL = format('Unknown: %s.', unknown), HINT = format('Placeholders are %s.', array_to_string(known, ', '));
    ELSIF regexp_replace(body, '\{\{[^{}]*\}\}', '', 'g') ~ '\{\{|\}\}' THEN
        RAISE EXCEPTION 'template "%" has a placeholder that is not closed', template USING ERRCODE = '22023',
            HINT = 'Write {{name}}; two braces in a row always mean a placeholder.';
    END IF;
END $$;
ALTER FUNCTION csm_private.check_placeholders(text, text, text[]) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.check_placeholders(text, text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.check_placeholders(text, text, text[]) IS
'Error 22023 for a placeholder that is not known, and for braces that make none; template names it in the message';

-- The text between placeholders and the values are put together in one pass, so
-- that braces in a value stay what they are.
CREATE OR REPLACE FUNCTION csm_private.fill_in(body text, "values" jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT string_agg(concat(between.text, "values" ->> named.name[1]), '' ORDER BY between.n)
            FROM regexp_split_to_table(body, '\{\{[^{}]*\}\}') WITH ORDINALITY AS between(text, n)
            LEFT JOIN LATERAL regexp_matches(body, '\{\{([^{}]*)\}\}', 'g') WITH ORDINALITY AS named(name, n) ON named.n = between.n);
END $$;
ALTER FUNCTION csm_private.fill_in(text, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.fill_in(text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.fill_in(text, jsonb) TO csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.fill_in(text, jsonb) IS
'The text with its placeholders replaced by the values, a JSON object; one without a value becomes empty';
-- Who is told of what, and in which words: configuration of a tenant, of which
-- csm ships a first version (43_merge_shipped.sql copies it).  What is made of
-- it stands in 94_notifications.sql.

CREATE TABLE csm.notification_rules (
    event text NOT NULL,
    channel text NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    recipients text[] NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    CONSTRAINT notification_rules_pkey PRIMARY KEY (event, channel, tenant_id),
    CONSTRAINT notification_rules_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT notification_rules_event_check CHECK (event ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT notification_rules_channel_check CHECK (channel ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT notification_rules_recipients_check CHECK (recipients <@ '{requester,opener,partner_contact,customer_admin,approver,party,counterparty,internal_contact,assignee,group,desk,account_team}'::text[])
);
SELECT csm_private.adopt_table('csm.notification_rules');
CREATE POLICY notification_rules_select ON csm.notification_rules FOR SELECT TO csm_portal, csm_agent
    USING (csm.current_user_id() IS NOT NULL);
CREATE POLICY notification_rules_write ON csm.notification_rules FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.notification_rules TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (event, channel, recipients, enabled), UPDATE (recipients, enabled), DELETE ON csm.notification_rules TO csm_admin;

COMMENT ON TABLE csm.notification_rules IS 'Which events are told to whom, by which channel; R A11. An event without a row is told to nobody';
COMMENT ON COLUMN csm.notification_rules.event IS 'Kind of event: as csm.events.kind, and submitted, approval_requested, declined, info_requested, ruled, group_assigned (csm_private.notification_kinds())';
COMMENT ON COLUMN csm.notification_rules.channel IS 'Way by which it is told: portal (the inbox, read in place) or one that a sender process serves, such as email';
COMMENT ON COLUMN csm.notification_rules.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notification_rules.recipients IS 'Relations to the case: requester, opener, partner_contact, customer_admin, approver (who may decide for the account, but for requester and opener), party, counterparty, internal_contact; of the desk assignee, group, desk (the assignee, else the group), account_team';
COMMENT ON COLUMN csm.notification_rules.enabled IS 'Whether it is told to those who say nothing in csm.notification_preferences; false: to those only who ask for it';
COMMENT ON POLICY notification_rules_select ON csm.notification_rules IS 'Everyone who is signed in: what he may have a preference for';
COMMENT ON POLICY notification_rules_write ON csm.notification_rules IS 'Administrators';

CREATE TABLE csm.notification_templates (
    event text NOT NULL,
    channel text NOT NULL,
    language text NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    subject text NOT NULL,
    body text NOT NULL,
    CONSTRAINT notification_templates_pkey PRIMARY KEY (event, channel, language, tenant_id),
    CONSTRAINT notification_templates_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT notification_templates_event_check CHECK (event = '*' OR event ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT notification_templates_channel_check CHECK (channel = '*' OR channel ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT notification_templates_language_check CHECK (length(language) <= 35 AND language ~ '^[a-z]{2,3}(-[a-z0-9]{2,8})*$'),
    CONSTRAINT notification_templates_text_check CHECK (length(subject) BETWEEN 1 AND 400 AND length(body) BETWEEN 1 AND 20000)
);
SELECT csm_private.adopt_table('csm.notification_templates');
CREATE POLICY notification_templates_write ON csm.notification_templates FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT, INSERT (event, channel, language, subject, body), UPDATE (subject, body), DELETE
    ON csm.notification_templates TO csm_admin;

COMMENT ON TABLE csm.notification_templates IS 'The words of notifications, with placeholders';
COMMENT ON COLUMN csm.notification_templates.event IS 'Event of csm.notification_rules; * for those without a template of their own';
COMMENT ON COLUMN csm.notification_templates.channel IS 'Channel; * for those without a template of their own';
COMMENT ON COLUMN csm.notification_templates.language IS 'Language tag (BCP 47) in lower case';
COMMENT ON COLUMN csm.notification_templates.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notification_templates.subject IS 'Subject; what is filled in becomes one line';
COMMENT ON COLUMN csm.notification_templates.body IS 'Text, with placeholders as in csm.response_templates, and {{entry.author}}, {{entry.body}} of the comment';
COMMENT ON POLICY notification_templates_write ON csm.notification_templates IS 'Administrators';

CREATE OR REPLACE FUNCTION csm_private.shipped_notification_rules()
RETURNS TABLE (event text, channel text, recipients text[], enabled boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 30
BEGIN ATOMIC
    SELECT r.event, c.channel, r.recipients, true
    FROM (VALUES
        ('opened', '{requester,opener,partner_contact,group}'::text[]),
        ('submitted', '{requester,counterparty,partner_contact,desk}'),
        ('approval_requested', '{approver}'),
        ('declined', '{requester,opener}'),
        ('commented', '{requester,opener,partner_contact,party,counterparty,internal_contact,desk}'),
        ('info_requested', '{requester,opener,partner_contact}'),
        ('resolved', '{requester,opener,partner_contact,party,counterparty,internal_contact}'),
        ('reopened', '{requester,partner_contact,counterparty,desk}'),
        ('closed', '{requester,opener,partner_contact,party,counterparty,internal_contact,assignee}'),
        ('escalated', '{requester,partner_contact,counterparty,assignee,group,account_team}'),
        ('ruled', '{requester,partner_contact,counterparty}'),
        ('assigned', '{assignee}'),
        ('group_assigned', '{requester,group}'),
        ('sla_breached', '{desk}')
    ) AS r(event, recipients),
    unnest('{email,portal}'::text[]) AS c(channel);
END;

-- The subject begins with the number, so that a mailbox sorts by it.
CREATE OR REPLACE FUNCTION csm_private.shipped_notification_templates()
RETURNS TABLE (event text, channel text, language text, subject text, body text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 40
BEGIN ATOMIC
    SELECT t.event, '*', t.language, '[{{case.number}}] ' || t.subject,
           CASE t.language WHEN 'de' THEN E'Guten Tag {{me.name}},\n\n' ELSE E'Hello {{me.name}},\n\n' END || t.body
               || E'\n\n{{case.number}}: {{case.subject}}\n'
    FROM (VALUES
        ('*', 'en', '{{case.subject}}', 'there is news on your case. Its state is: {{case.state}}.'),
        ('*', 'de', '{{case.subject}}', 'es gibt Neues zu Ihrem Vorgang. Sein Stand: {{case.state}}.'),
        ('opened', 'en', 'Opened: {{case.subject}}', 'a case was opened for {{requester.name}}.'),
        ('opened', 'de', 'Eröffnet: {{case.subject}}', 'ein Vorgang wurde für {{requester.name}} eröffnet.'),
        ('submitted', 'en', 'Submitted: {{case.subject}}', 'a case was submitted by {{requester.name}}.'),
        ('submitted', 'de', 'Eingereicht: {{case.subject}}', 'ein Vorgang wurde von {{requester.name}} eingereicht.'),
        ('approval_requested', 'en', 'Please approve: {{case.subject}}', '{{requester.name}} asks for your approval.'),
        ('approval_requested', 'de', 'Bitte freigeben: {{case.subject}}', '{{requester.name}} bittet um Ihre Freigabe.'),
        ('declined', 'en', 'Not approved: {{case.subject}}', 'your request was not approved. Please see the comments on the case.'),
        ('declined', 'de', 'Nicht freigegeben: {{case.subject}}', 'Ihre Anfrage wurde nicht freigegeben. Bitte lesen Sie die Kommentare am Vorgang.'),
        ('commented', 'en', 'Comment: {{case.subject}}', E'{{entry.author}} wrote:\n\n{{entry.body}}'),
        ('commented', 'de', 'Kommentar: {{case.subject}}', E'{{entry.author}} schrieb:\n\n{{entry.body}}'),
        ('info_requested', 'en', 'Your answer is needed: {{case.subject}}', 'we need something from you before we can go on. Please see the comments on the case.'),
        ('info_requested', 'de', 'Ihre Antwort fehlt: {{case.subject}}', 'um weiterarbeiten zu können, brauchen wir etwas von Ihnen. Bitte lesen Sie die Kommentare am Vorgang.'),
        ('resolved', 'en', 'Solution proposed: {{case.subject}}', E'a solution was proposed:\n\n{{case.resolution_notes}}'),
        ('resolved', 'de', 'Lösung vorgeschlagen: {{case.subject}}', E'eine Lösung wurde vorgeschlagen:\n\n{{case.resolution_notes}}'),
        ('reopened', 'en', 'Reopened: {{case.subject}}', 'the solution was not accepted; the case is open again.'),
        ('reopened', 'de', 'Wieder offen: {{case.subject}}', 'die Lösung wurde nicht angenommen; der Vorgang ist wieder offen.'),
        ('closed', 'en', 'Ended: {{case.subject}}', 'the case has ended. Its state is: {{case.state}}.'),
        ('closed', 'de', 'Beendet: {{case.subject}}', 'der Vorgang ist beendet. Sein Stand: {{case.state}}.'),
        ('escalated', 'en', 'Escalated: {{case.subject}}', 'the case was escalated.'),
        ('escalated', 'de', 'Eskaliert: {{case.subject}}', 'der Vorgang wurde eskaliert.'),
        ('ruled', 'en', 'Decided: {{case.subject}}', E'the operator has decided:\n\n{{case.resolution_notes}}'),
        ('ruled', 'de', 'Entschieden: {{case.subject}}', E'der Betreiber hat entschieden:\n\n{{case.resolution_notes}}'),
        ('assigned', 'en', 'Assigned to you: {{case.subject}}', 'this case is now yours. Priority: {{case.priority}}.'),
        ('assigned', 'de', 'Ihnen zugewiesen: {{case.subject}}', 'dieser Vorgang gehört jetzt Ihnen. Priorität: {{case.priority}}.'),
        ('group_assigned', 'en', 'With another group: {{case.subject}}', 'another group works on the case now.'),
        ('group_assigned', 'de', 'Bei einer anderen Gruppe: {{case.subject}}', 'der Vorgang wird jetzt von einer anderen Gruppe bearbeitet.'),
        ('sla_breached', 'en', 'Late: {{case.subject}}', 'a target of service was missed. Priority: {{case.priority}}.'),
        ('sla_breached', 'de', 'Überfällig: {{case.subject}}', 'ein Serviceziel wurde verfehlt. Priorität: {{case.priority}}.')
    ) AS t(event, language, subject, body);
END;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.shipped_notification_rules()', 'Rules of notifications that csm ships'),
        ('csm_private.shipped_notification_templates()', 'Words of notifications that csm ships, in English and German')
    ) AS v(name, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
    END LOOP;
END $$;
-- How a tenant gets what csm ships: both sides in one form, and their merge.

-- All of it in one form: one row for each thing that a tenant may change as a
-- whole.  A role is one thing with its permissions, so that a role which a
-- tenant narrowed is never widened behind his back.
CREATE OR REPLACE FUNCTION csm_private.shipped_items()
RETURNS TABLE (kind text, key text[], content jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 120
BEGIN ATOMIC
    SELECT 'role', ARRAY[r.role],
           to_jsonb(r) || jsonb_build_object('permissions',
               (SELECT coalesce(jsonb_agg(p.action || ' ' || p.reach ORDER BY p.action COLLATE "C", p.reach COLLATE "C"), '[]')
                FROM csm_private.shipped_permissions() p WHERE p.role = r.role))
    FROM csm_private.shipped_roles() r
  UNION ALL
    SELECT 'case_type', ARRAY[t.case_type], to_jsonb(t) FROM csm_private.shipped_case_types() t
  UNION ALL
    SELECT 'case_state', ARRAY[s.case_type, s.state], to_jsonb(s) FROM csm_private.shipped_case_states() s
  UNION ALL
    SELECT 'case_transition', ARRAY[t.case_type, t.from_state, t.action], to_jsonb(t)
    FROM csm_private.shipped_case_transitions() t
  UNION ALL
    SELECT 'case_field', ARRAY[f.case_type, f.name], to_jsonb(f) FROM csm_private.shipped_case_fields() f
  UNION ALL
    SELECT 'notification_rule', ARRAY[r.event, r.channel], to_jsonb(r) FROM csm_private.shipped_notification_rules() r
  UNION ALL
    SELECT 'notification_template', ARRAY[t.event, t.channel, t.language], to_jsonb(t)
    FROM csm_private.shipped_notification_templates() t;
END;

-- The same form of what a tenant has now.
CREATE OR REPLACE FUNCTION csm_private.tenant_items(tenant bigint)
RETURNS TABLE (kind text, key text[], content jsonb)
LANGUAGE sql STABLE STRICT ROWS 120
BEGIN ATOMIC
    SELECT 'role', ARRAY[r.role],
           jsonb_build_object('role', r.role, 'kind', r.kind, 'user_class', r.user_class, 'label', r.label,
               'branches', r.branches, 'permissions',
               (SELECT coalesce(jsonb_agg(p.action || ' ' || p.reach ORDER BY p.action COLLATE "C", p.reach COLLATE "C"), '[]')
                FROM csm.role_permissions p WHERE p.role = r.role AND p.tenant_id = r.tenant_id))
    FROM csm.roles r WHERE r.tenant_id = tenant
  UNION ALL
    SELECT 'case_type', ARRAY[t.case_type],
           jsonb_build_object('case_type', t.case_type, 'parent_type', t.parent_type, 'label', t.label,
               'settings', t.settings, 'own_machine', t.own_machine)
    FROM csm.case_types t WHERE t.tenant_id = tenant
  UNION ALL
    SELECT 'case_state', ARRAY[s.case_type, s.state], to_jsonb(s) - 'tenant_id'
    FROM csm.case_states s WHERE s.tenant_id = tenant
  UNION ALL
    SELECT 'case_transition', ARRAY[t.case_type, t.from_state, t.action], to_jsonb(t) - '{tenant_id,from_type,to_type}'::text[]
    FROM csm.case_transitions t WHERE t.tenant_id = tenant
  UNION ALL
    SELECT 'case_field', ARRAY[f.case_type, f.name], to_jsonb(f) - 'tenant_id'
    FROM csm.case_type_fields f WHERE f.tenant_id = tenant
  UNION ALL
    SELECT 'notification_rule', ARRAY[r.event, r.channel], to_jsonb(r) - 'tenant_id'
    FROM csm.notification_rules r WHERE r.tenant_id = tenant
  UNION ALL
    SELECT 'notification_template', ARRAY[t.event, t.channel, t.language], to_jsonb(t) - 'tenant_id'
    FROM csm.notification_templates t WHERE t.tenant_id = tenant;
END;

-- Puts one shipped thing into a tenant's tables, new or in place of the old.
-- False where it cannot stand: the state that a transition leads to is gone,
-- another state has its number.
CREATE OR REPLACE FUNCTION csm_private.put_item(tenant bigint, kind text, content jsonb) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A type of the same key that the tenant made himself is left alone.
    IF kind IN ('case_state', 'case_transition', 'case_field')
       AND NOT EXISTS (SELECT FROM csm.case_types t
                       WHERE t.tenant_id = tenant AND t.case_type = content ->> 'case_type' AND t.shipped) THEN
        RETURN false;
    END IF;
    CASE kind
    WHEN 'role' THEN
        INSERT INTO csm.roles AS r (tenant_id, role, kind, user_class, label, branches, shipped)
        SELECT tenant, c.role, c.kind, c.user_class, c.label, c.branches, true
        FROM jsonb_to_record(content) AS c(role text, kind text, user_class text, label text, branches text[])
        ON CONFLICT ON CONSTRAINT roles_pkey DO UPDATE
            SET kind = excluded.kind, user_class = excluded.user_class, label = excluded.label,
                branches = excluded.branches, shipped = true;
        DELETE FROM csm.role_permissions p
        WHERE p.tenant_id = tenant AND p.role = content ->> 'role'
          AND NOT content -> 'permissions' ? (p.action || ' ' || p.reach);
        INSERT INTO csm.role_permissions (tenant_id, role, action, reach)
        SELECT tenant, content ->> 'role', split_part(p, ' ', 1), split_part(p, ' ', 2)
        FROM jsonb_array_elements_text(content -> 'permissions') AS p
        ON CONFLICT DO NOTHING;
    WHEN 'case_type' THEN
        IF content ->> 'parent_type' IS NOT NULL
           AND NOT EXISTS (SELECT FROM csm.case_types t
                           WHERE t.tenant_id = tenant AND t.case_type = content ->> 'parent_type') THEN
            RETURN false;
        END IF;
        INSERT INTO csm.case_types AS t (tenant_id, case_type, parent_type, label, settings, own_machine, shipped)
        SELECT tenant, c.case_type, c.parent_type, c.label, c.settings, c.own_machine, true
        FROM jsonb_to_record(content) AS c(case_type text, parent_type text, label text, settings jsonb, own_machine boolean)
        ON CONFLICT ON CONSTRAINT case_types_pkey DO UPDATE
            SET parent_type = excluded.parent_type, label = excluded.label, settings = excluded.settings,
                own_machine = excluded.own_machine, shipped = true;
    WHEN 'case_state' THEN
        IF EXISTS (SELECT FROM csm.case_states s
                      WHERE s.tenant_id = tenant AND s.case_type = content ->> 'case_type'
                        AND s.state <> content ->> 'state' AND s.value = (content ->> 'value')::integer) THEN
            RETURN false;
        END IF;
        INSERT INTO csm.case_states AS s (tenant_id, case_type, state, value, state_class, label, active)
        SELECT tenant, c.case_type, c.state, c.value, c.state_class, c.label, c.active
        FROM jsonb_to_record(content) AS c(case_type text, state text, value integer, state_class text, label text, active boolean)
        ON CONFLICT ON CONSTRAINT case_states_pkey DO UPDATE
            SET value = excluded.value, state_class = excluded.state_class, label = excluded.label, active = excluded.active;
    WHEN 'case_transition' THEN
        IF EXISTS (SELECT FROM unnest(ARRAY[content ->> 'from_state', content ->> 'to_state']) AS n(state)
                   WHERE NOT EXISTS (SELECT FROM csm_private.type_chain(tenant, content ->> 'case_type') c
                                     JOIN csm.case_states s ON s.case_type = c.case_type AND s.tenant_id = tenant
                                     WHERE c.in_machine AND s.state = n.state)) THEN
            RETURN false;
        END IF;
        INSERT INTO csm.case_transitions AS t (tenant_id, case_type, from_state, action, to_state, actors,
                                               required_fields, note_required, effects, label, active)
        SELECT tenant, c.case_type, c.from_state, c.action, c.to_state, c.actors,
               c.required_fields, c.note_required, c.effects, c.label, c.active
        FROM jsonb_to_record(content) AS c(case_type text, from_state text, action text, to_state text, actors text[],
                                           required_fields text[], note_required boolean, effects jsonb, label text, active boolean)
        ON CONFLICT ON CONSTRAINT case_transitions_pkey DO UPDATE
            SET to_state = excluded.to_state, actors = excluded.actors, required_fields = excluded.required_fields,
                note_required = excluded.note_required, effects = excluded.effects, label = excluded.label, active = excluded.active;
    WHEN 'case_field' THEN
        INSERT INTO csm.case_type_fields AS f (tenant_id, case_type, name, label, type, audience, required, required_for,
                                               choices, reference, "position", active)
        SELECT tenant, c.case_type, c.name, c.label, c.type, c.audience, c.required, c.required_for,
               c.choices, c.reference, c."position", c.active
        FROM jsonb_to_record(content) AS c(case_type text, name text, label text, type text, audience text, required boolean,
                                           required_for text[], choices text[], reference text, "position" integer, active boolean)
        ON CONFLICT ON CONSTRAINT case_type_fields_pkey DO UPDATE
            SET label = excluded.label, type = excluded.type, audience = excluded.audience, required = excluded.required,
                required_for = excluded.required_for, choices = excluded.choices, reference = excluded.reference,
                "position" = excluded."position", active = excluded.active;
    WHEN 'notification_rule' THEN
        INSERT INTO csm.notification_rules AS r (tenant_id, event, channel, recipients, enabled)
        SELECT tenant, c.event, c.channel, c.recipients, c.enabled
        FROM jsonb_to_record(content) AS c(event text, channel text, recipients text[], enabled boolean)
        ON CONFLICT ON CONSTRAINT notification_rules_pkey DO UPDATE
            SET recipients = excluded.recipients, enabled = excluded.enabled;
    WHEN 'notification_template' THEN
        INSERT INTO csm.notification_templates AS t (tenant_id, event, channel, language, subject, body)
        SELECT tenant, c.event, c.channel, c.language, c.subject, c.body
        FROM jsonb_to_record(content) AS c(event text, channel text, language text, subject text, body text)
        ON CONFLICT ON CONSTRAINT notification_templates_pkey DO UPDATE SET subject = excluded.subject, body = excluded.body;
    END CASE;
    RETURN true;
END $$;

-- Three-way merge of what csm gave (base), what the tenant has (mine) and what
-- csm ships now (theirs), thing by thing.
CREATE OR REPLACE FUNCTION csm_private.merge_shipped(tenant bigint)
RETURNS TABLE (kind text, added integer, changed integer, removed integer, kept integer)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item record;
    untouched boolean;
BEGIN
    PERFORM FROM csm.tenants t WHERE t.id = tenant FOR NO KEY UPDATE;
    FOREACH kind IN ARRAY ARRAY['role', 'case_type', 'case_state', 'case_transition', 'case_field',
                                  'notification_rule', 'notification_template'] LOOP
        added := 0;
        changed := 0;
        removed := 0;
        kept := 0;
        FOR item IN
            SELECT key, b.content AS base, m.content AS mine, s.content AS theirs
            FROM (SELECT c.key, c.content FROM csm_private.shipped_copies c
                  WHERE c.tenant_id = tenant AND c.kind = merge_shipped.kind) b
            FULL JOIN (SELECT i.key, i.content FROM csm_private.shipped_items() i
                       WHERE i.kind = merge_shipped.kind) s USING (key)
            LEFT JOIN (SELECT i.key, i.content FROM csm_private.tenant_items(tenant) i
                       WHERE i.kind = merge_shipped.kind) m USING (key)
            -- a parent type before its children
            ORDER BY s.content ->> 'parent_type' NULLS FIRST, key
        LOOP
            -- Only what the base knew is compared: a later version may write more.
            untouched := item.mine IS NOT NULL AND item.base IS NOT NULL
                AND item.base = (SELECT jsonb_object_agg(k, item.mine -> k) FROM jsonb_object_keys(item.base) k);
            IF item.theirs IS NULL THEN
                -- No longer shipped.  What no row may name goes.
                IF untouched AND kind IN ('case_transition', 'notification_rule', 'notification_template') THEN
                    DELETE FROM csm.case_transitions t
                    WHERE kind = 'case_transition' AND t.tenant_id = tenant AND ARRAY[t.case_type, t.from_state, t.action] = item.key;
                    DELETE FROM csm.notification_rules r
                    WHERE kind = 'notification_rule' AND r.tenant_id = tenant AND ARRAY[r.event, r.channel] = item.key;
                    DELETE FROM csm.notification_templates t
                    WHERE kind = 'notification_template' AND t.tenant_id = tenant AND ARRAY[t.event, t.channel, t.language] = item.key;
                    removed := removed + 1;
                ELSIF item.mine IS NOT NULL THEN
                    kept := kept + 1;
                END IF;
                DELETE FROM csm_private.shipped_copies c
                WHERE c.tenant_id = tenant AND c.kind = merge_shipped.kind AND c.key = item.key;
            ELSIF item.mine = item.theirs
                  OR untouched AND csm_private.put_item(tenant, kind, item.theirs)
                  OR item.base IS NULL AND item.mine IS NULL AND csm_private.put_item(tenant, kind, item.theirs) THEN
                added := added + (item.mine IS NULL)::integer;
                changed := changed + coalesce(item.mine <> item.theirs, false)::integer;
                INSERT INTO csm_private.shipped_copies AS c (tenant_id, kind, key, content)
                VALUES (tenant, merge_shipped.kind, item.key, item.theirs)
                ON CONFLICT ON CONSTRAINT shipped_copies_pkey DO UPDATE SET content = excluded.content
                    WHERE c.content <> excluded.content;
            ELSE
                kept := kept + 1;
            END IF;
        END LOOP;
        RETURN NEXT;
    END LOOP;
END $$;


DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.shipped_items()', 'Everything that csm ships, one row for each thing that a tenant may change: role (with its permissions), case_type, case_state, case_transition, case_field, notification_rule, notification_template'),
        ('csm_private.tenant_items(bigint)', 'What a tenant has, in the form of csm_private.shipped_items()'),
        ('csm_private.put_item(bigint, text, jsonb)', 'Writes one shipped thing into a tenant''s tables; false where what it refers to is missing or the tenant''s own, or its number is taken'),
        ('csm_private.merge_shipped(bigint)', 'Brings one tenant up to what csm ships and keeps what he changed; no check of the caller')
    ) AS v(name, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
    END LOOP;
END $$;
CREATE OR REPLACE FUNCTION csm_private.template_values(case_id bigint) RETURNS TABLE (placeholder text, value text)
LANGUAGE plpgsql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH c AS (
        SELECT c.* FROM csm.cases c WHERE c.id = template_values.case_id
    ), named AS (
        SELECT p.relation, min(p.display_name) AS name FROM csm.case_people(template_values.case_id) p GROUP BY p.relation
    )
    SELECT v.placeholder, v.value
    FROM (VALUES (1)) AS always(n)
    LEFT JOIN c ON true
    CROSS JOIN LATERAL (VALUES
        ('case.number', c.number),
        ('case.subject', c.subject),
        -- of the type itself or of the nearest one that it inherits from
        ('case.state', (WITH RECURSIVE t(case_type, depth) AS (
                            SELECT c.case_type, 0
                          UNION ALL
                            SELECT p.parent_type, t.depth + 1
                            FROM t JOIN csm.case_types p ON p.case_type = t.case_type AND p.tenant_id = c.tenant_id
                            WHERE p.parent_type IS NOT NULL AND t.depth < 100)
                        SELECT s.label
                        FROM t JOIN csm.case_states s ON s.case_type = t.case_type AND s.state = c.state AND s.tenant_id = c.tenant_id
                        ORDER BY t.depth LIMIT 1)),
        ('case.priority', c.priority::text),
        ('case.channel', c.channel),
        ('case.opened_on', to_char(c.opened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')),
        ('case.resolution_code', c.resolution_code),
        ('case.resolution_notes', c.resolution_notes),
        ('requester.name', (SELECT n.name FROM named n WHERE n.relation = 'requester')),
        ('opener.name', (SELECT n.name FROM named n WHERE n.relation = 'opener')),
        ('assignee.name', (SELECT n.name FROM named n WHERE n.relation = 'assignee')),
        ('account.name', (SELECT n.name FROM named n WHERE n.relation = 'account')),
        ('counterparty.name', (SELECT n.name FROM named n WHERE n.relation = 'counterparty')),
        ('partner.name', (SELECT n.name FROM named n WHERE n.relation = 'partner')),
        ('product.name', (SELECT p.name FROM csm.products p WHERE p.id = c.product_id AND p.tenant_id = c.tenant_id)),
        ('me.name', (SELECT u.display_name FROM csm.users u WHERE u.id = csm.current_user_id()))
    ) AS v(placeholder, value);
END $$;
CREATE OR REPLACE FUNCTION csm_private.template_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        PERFORM csm_private.check_placeholders(NEW.name, NEW.body, ARRAY(SELECT v.placeholder FROM csm_private.template_values(NULL) v));
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION csm.render_template(template text, case_id bigint) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT csm_private.fill_in(t.body, (SELECT jsonb_object_agg(v.placeholder, v.value) FROM csm_private.template_values(case_id) v))
    FROM csm_private.render_template_text(template, case_id) AS t(body);
END;
GRANT EXECUTE ON FUNCTION csm_private.template_values(bigint) TO csm_portal;
CREATE OR REPLACE FUNCTION csm_private.run_timer(t csm.timers, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE t.kind
        WHEN 'awaiting_timeout' THEN PERFORM csm_private.due_awaiting_timeout(t.tenant_id, t.object_id, at);
        WHEN 'follow_up' THEN PERFORM csm_private.due_follow_up(t.tenant_id, t.object_id, at);
        WHEN 'dispute_response' THEN PERFORM csm_private.due_dispute_response(t.tenant_id, t.object_id, at);
        WHEN 'dispute_auto_accept' THEN PERFORM csm_private.due_dispute_auto_accept(t.tenant_id, t.object_id, at);
        WHEN 'dispute_appeal' THEN PERFORM csm_private.due_dispute_appeal(t.tenant_id, t.object_id, at);
        WHEN 'sla' THEN PERFORM csm_private.due_sla(t.tenant_id, t.object_id, at);
        WHEN 'seal' THEN PERFORM csm_private.due_seal(t.tenant_id, t.object_id, at);
        WHEN 'retention' THEN PERFORM csm_private.due_retention(t.tenant_id, t.object_id, at);
        WHEN 'follow_parent' THEN PERFORM csm_private.due_follow_parent(t.tenant_id, t.object_id, at);
        WHEN 'article_publish' THEN PERFORM csm_private.due_article_publish(t.tenant_id, t.object_id, at);
        WHEN 'article_expiry' THEN PERFORM csm_private.due_article_expiry(t.tenant_id, t.object_id, at);
        WHEN 'article_views' THEN PERFORM csm_private.due_article_views(t.tenant_id, t.object_id, at);
        WHEN 'survey' THEN PERFORM csm_private.due_survey(t.tenant_id, t.object_id, at);
        WHEN 'survey_low' THEN PERFORM csm_private.due_survey_low(t.tenant_id, t.object_id, at);
        WHEN 'registration' THEN PERFORM csm_private.due_registration(t.tenant_id, t.object_id, at);
        WHEN 'notify' THEN PERFORM csm_private.due_notify(t.tenant_id, t.object_id, at);
        WHEN 'expired' THEN PERFORM csm_private.due_expired(t.tenant_id, t.object_id, at);
        ELSE
            RAISE EXCEPTION 'timers of kind "%" have no handler', t.kind USING ERRCODE = '0A000',
                HINT = 'A newer version of csm wrote it; update the extension.';
    END CASE;
END $$;
-- Tokens in the mail that people get: who answers on which case, and who
-- wants no more of which mail.
--
-- A token is derived from a key of this database, so that the same matter
-- always has the same one, and is stored hashed beside what it stands for, so
-- that mail of long ago is still recognised after a restore, which makes a new
-- key.  Lower-case hexadecimal, because an address may be folded on its way.

INSERT INTO csm_private.secrets (name, value)
VALUES ('mail', sha256(convert_to(gen_random_uuid()::text || gen_random_uuid() || gen_random_uuid(), 'UTF8')));

CREATE TABLE csm_private.mail_tokens (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL,
    token_hash bytea NOT NULL,
    user_id bigint NOT NULL,
    case_id bigint,
    event text,
    channel text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT mail_tokens_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT mail_tokens_hash_key UNIQUE (token_hash),
    CONSTRAINT mail_tokens_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT mail_tokens_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT mail_tokens_matter_check CHECK (CASE WHEN case_id IS NULL THEN event IS NOT NULL AND channel IS NOT NULL
                                                    ELSE event IS NULL AND channel IS NULL END)
);
CREATE INDEX mail_tokens_user_idx ON csm_private.mail_tokens (user_id);
ALTER TABLE csm_private.mail_tokens OWNER TO csm_owner;
REVOKE ALL ON csm_private.mail_tokens FROM PUBLIC;
ALTER TABLE csm_private.mail_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE csm_private.mail_tokens ALTER COLUMN token_hash SET STATISTICS 0;
SELECT pg_extension_config_dump('csm_private.mail_tokens', '');
SELECT pg_extension_config_dump('csm_private.mail_tokens_id_seq', '');

COMMENT ON TABLE csm_private.mail_tokens IS 'Tokens in mail that was sent: a case on which its reader answers, or an event that he may unsubscribe from';
COMMENT ON COLUMN csm_private.mail_tokens.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm_private.mail_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.mail_tokens.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm_private.mail_tokens.user_id IS 'The person to whom it was sent';
COMMENT ON COLUMN csm_private.mail_tokens.case_id IS 'The case that the mail is about; NULL for a token that unsubscribes';
COMMENT ON COLUMN csm_private.mail_tokens.event IS 'Event to unsubscribe from; NULL for a token of a case';
COMMENT ON COLUMN csm_private.mail_tokens.channel IS 'Channel to unsubscribe from; NULL for a token of a case';
COMMENT ON COLUMN csm_private.mail_tokens.created_at IS 'When it was first given out';

-- 160 bits. The key has a fixed length and stands before either hash.
CREATE OR REPLACE FUNCTION csm_private.derived_token(matter bytea) RETURNS text
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT encode(substr(sha256(s.value || sha256(s.value || derived_token.matter)), 1, 20), 'hex')
    FROM csm_private.secrets s WHERE s.name = 'mail'
$$;
COMMENT ON FUNCTION csm_private.derived_token(bytea) IS
'The token of a matter: 40 hexadecimal digits that nobody without the key of the database can guess';

CREATE OR REPLACE FUNCTION csm_private.mail_token(case_id bigint, user_id bigint) RETURNS text
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    token CONSTANT text := csm_private.derived_token('\x72'::bytea || int8send(case_id) || int8send(user_id));
BEGIN
    IF NOT EXISTS (SELECT FROM csm_private.mail_tokens t WHERE t.token_hash = csm_private.token_hash(token)) THEN
        INSERT INTO csm_private.mail_tokens (tenant_id, token_hash, user_id, case_id)
        SELECT c.tenant_id, csm_private.token_hash(token), mail_token.user_id, c.id FROM csm.cases c WHERE c.id = mail_token.case_id
        ON CONFLICT ON CONSTRAINT mail_tokens_hash_key DO NOTHING;
    END IF;
    RETURN token;
END $$;
COMMENT ON FUNCTION csm_private.mail_token(bigint, bigint) IS
'The token by which an answer of this person on this case is recognised: for Message-ID and Reply-To. Always the same until a restore. No check of the caller, nor of what the person sees';

CREATE OR REPLACE FUNCTION csm_private.unsubscribe_token(user_id bigint, tenant_id bigint, event text, channel text) RETURNS text
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    token CONSTANT text := csm_private.derived_token('\x75'::bytea || int8send(user_id) || convert_to(event || '/' || channel, 'UTF8'));
BEGIN
    IF NOT EXISTS (SELECT FROM csm_private.mail_tokens t WHERE t.token_hash = csm_private.token_hash(token)) THEN
        INSERT INTO csm_private.mail_tokens (tenant_id, token_hash, user_id, event, channel)
        VALUES (unsubscribe_token.tenant_id, csm_private.token_hash(token), unsubscribe_token.user_id, unsubscribe_token.event, unsubscribe_token.channel)
        ON CONFLICT ON CONSTRAINT mail_tokens_hash_key DO NOTHING;
    END IF;
    RETURN token;
END $$;
COMMENT ON FUNCTION csm_private.unsubscribe_token(bigint, bigint, text, text) IS
'The token by which whoever has it lets this person hear no more of the event on the channel: csm.unsubscribe()';

-- Reads what a mail answers to: any text that may contain a token, such as the
-- headers To, In-Reply-To and References.
CREATE OR REPLACE FUNCTION csm_private.mail_token_target(header text, OUT tenant_id bigint, OUT case_id bigint, OUT user_id bigint)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.tenant_id, t.case_id, t.user_id
    FROM (SELECT m.word[1] AS token, m.n
          FROM regexp_matches(lower(left(header, 20000)), '(?:^|[^0-9a-z])([0-9a-f]{40})(?![0-9a-z])', 'g') WITH ORDINALITY m(word, n)
          ORDER BY m.n LIMIT 100) found
    JOIN csm_private.mail_tokens t ON t.token_hash = csm_private.token_hash(found.token) AND t.case_id IS NOT NULL
    ORDER BY found.n LIMIT 1
$$;
COMMENT ON FUNCTION csm_private.mail_token_target(text) IS
'The case and the person of the first token of csm_private.mail_token() in the text; nulls where there is none. Says nothing about who sent the text';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.derived_token(bytea)',
        'csm_private.mail_token(bigint, bigint)',
        'csm_private.unsubscribe_token(bigint, bigint, text, text)',
        'csm_private.mail_token_target(text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
-- Notifications: who is told of an event, once each, by which channel.
--
-- csm.run_due() reads the events of a tenant in the order of their positions,
-- as every subscriber does, and writes one row for each event, person and
-- channel. A row says that somebody is to be told, and holds no words: these are
-- put together when it is read or sent, of what the person may see at that time
-- (94_send_notifications.sql). So nothing that was taken from him since reaches
-- him, and nothing of a case is stored twice.

ALTER TABLE csm.tenants ADD CONSTRAINT tenants_notifications_check CHECK (
    NOT settings ? 'notifications'
    OR (jsonb_typeof(settings->'notifications') = 'object'
        AND (settings->'notifications') - '{language,domain,unsubscribe_url,keep_days}'::text[] = '{}'
        AND coalesce(settings->'notifications'->>'language', 'en') ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$'
        AND coalesce(settings->'notifications'->>'domain', 'x.example') ~ '^([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{1,63}$'
        AND coalesce(settings->'notifications'->>'unsubscribe_url', 'https://x.example') ~ '^https://[^[:space:][:cntrl:]<>"]+$'
        AND coalesce(length(settings->'notifications'->>'unsubscribe_url'), 0) <= 1000
        AND coalesce(settings->'notifications'->>'keep_days', '1') ~ '^[1-9][0-9]{0,4}$'));

CREATE TABLE csm.notifications (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    user_id bigint NOT NULL,
    case_id bigint NOT NULL,
    event_id bigint NOT NULL,
    kind text NOT NULL,
    channel text NOT NULL,
    audience text NOT NULL,
    side text,
    entry_id bigint,
    state text NOT NULL DEFAULT 'waiting',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    read_at timestamptz,
    claimed_until timestamptz,
    sent_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    error text,
    CONSTRAINT notifications_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT notifications_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT notifications_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT notifications_once UNIQUE (event_id, user_id, channel),
    CONSTRAINT notifications_kind_check CHECK (kind ~ '^[a-z][a-z_]{0,39}$' AND channel ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT notifications_audience_check CHECK (audience IN ('shared', 'internal', 'private')
        AND (audience = 'private') = (side IS NOT NULL) AND side IN ('customer', 'counterparty', 'operator')),
    CONSTRAINT notifications_state_check CHECK (state IN ('waiting', 'sent', 'withheld', 'failed')
        AND (state = 'sent') = (sent_at IS NOT NULL)),
    CONSTRAINT notifications_attempts_check CHECK (attempts >= 0),
    CONSTRAINT notifications_error_check CHECK (length(error) <= 1000)
);
CREATE INDEX notifications_inbox_idx ON csm.notifications (user_id, id DESC);
CREATE INDEX notifications_waiting_idx ON csm.notifications (channel, id) WHERE state = 'waiting';
CREATE INDEX notifications_age_idx ON csm.notifications (tenant_id, created_at);
SELECT csm_private.adopt_table('csm.notifications');
ALTER TABLE csm.notifications ALTER COLUMN error SET STATISTICS 0;

-- One's own, while one sees what it tells of: the rule of an entry, which a
-- notification shares with what it is about. No branch is named, so that the
-- case itself is looked at.
CREATE POLICY notifications_select ON csm.notifications FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id()
        AND csm_private.entry_allows(case_id, tenant_id, '', audience, coalesce(side, '')));
GRANT SELECT ON csm.notifications TO csm_portal, csm_agent, csm_admin;

COMMENT ON TABLE csm.notifications IS 'Who is told of which event, once by each channel. Written by csm.run_due(), deleted after a time (README)';
COMMENT ON COLUMN csm.notifications.id IS 'Identity, unique in the database; tells a repeated message';
COMMENT ON COLUMN csm.notifications.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notifications.user_id IS 'The person who is told';
COMMENT ON COLUMN csm.notifications.case_id IS 'The case';
COMMENT ON COLUMN csm.notifications.event_id IS 'The event (csm.events.id, no foreign key: events are deleted sooner)';
COMMENT ON COLUMN csm.notifications.kind IS 'What happened: event of csm.notification_rules';
COMMENT ON COLUMN csm.notifications.channel IS 'Way by which he is told; portal is read in place by csm.my_notifications()';
COMMENT ON COLUMN csm.notifications.audience IS 'As csm.events.audience: who besides may know';
COMMENT ON COLUMN csm.notifications.side IS 'As csm.events.side';
COMMENT ON COLUMN csm.notifications.entry_id IS 'The comment that it is about (csm.case_entries.id, no foreign key); NULL for other events';
COMMENT ON COLUMN csm.notifications.state IS 'waiting: for a sender process; sent (in the portal: at once); withheld: when it was to be sent he saw the case no more, wanted no such mail any more, or had no address; failed: given up after ten attempts';
COMMENT ON COLUMN csm.notifications.created_at IS 'When it was made';
COMMENT ON COLUMN csm.notifications.read_at IS 'When he marked it as read; NULL until then';
COMMENT ON COLUMN csm.notifications.claimed_until IS 'Not handed out again before; NULL: never handed out, or done with';
COMMENT ON COLUMN csm.notifications.sent_at IS 'When a sender process said that it was sent; in the portal when it was made';
COMMENT ON COLUMN csm.notifications.attempts IS 'How often it was handed out';
COMMENT ON COLUMN csm.notifications.error IS 'What the sender process said of the last attempt that failed, up to 1,000 characters; NULL for none';
COMMENT ON POLICY notifications_select ON csm.notifications IS 'One''s own, while one sees the case, and what happened there';

CREATE TABLE csm_private.notification_readers (
    tenant_id bigint NOT NULL,
    position bigint NOT NULL DEFAULT 0,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    read_at timestamptz,
    CONSTRAINT notification_readers_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT notification_readers_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id) ON DELETE CASCADE
);
ALTER TABLE csm_private.notification_readers OWNER TO csm_owner;
REVOKE ALL ON csm_private.notification_readers FROM PUBLIC;
ALTER TABLE csm_private.notification_readers ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.notification_readers', '');
COMMENT ON TABLE csm_private.notification_readers IS 'How far csm.run_due() has read the events of each tenant to make notifications';
COMMENT ON COLUMN csm_private.notification_readers.tenant_id IS 'The tenant';
COMMENT ON COLUMN csm_private.notification_readers.position IS 'Position in csm.events up to which notifications were made';
COMMENT ON COLUMN csm_private.notification_readers.since IS 'What happened before is told to nobody';
COMMENT ON COLUMN csm_private.notification_readers.read_at IS 'When it last read; NULL for never';

-- ---- what is configured ----

-- The first rule of a tenant sets the reader going, from now on.
CREATE OR REPLACE FUNCTION csm_private.begin_notifications() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() OR EXISTS (SELECT FROM csm_private.notification_readers r WHERE r.tenant_id = NEW.tenant_id) THEN
        RETURN NULL;
    END IF;
    INSERT INTO csm_private.notification_readers (tenant_id, position)
    VALUES (NEW.tenant_id, coalesce((SELECT p.last FROM csm.event_positions p WHERE p.tenant_id = NEW.tenant_id), 0))
    ON CONFLICT DO NOTHING;
    PERFORM csm_private.set_timer(NEW.tenant_id, 'notify', NEW.tenant_id, NULL, clock_timestamp());
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.begin_notifications() IS
'Trigger of csm.notification_rules: with the first rule of a tenant, its events are read by csm.run_due()';
CREATE TRIGGER notification_rules_50_begin AFTER INSERT ON csm.notification_rules
    FOR EACH ROW EXECUTE FUNCTION csm_private.begin_notifications();

-- Comments alone have words of their own to be quoted.
CREATE OR REPLACE FUNCTION csm_private.notification_values(case_id bigint, entry_id bigint) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT (SELECT jsonb_object_agg(v.placeholder, v.value) FROM csm_private.template_values(notification_values.case_id) v)
        || jsonb_build_object('entry.author', e.author_name, 'entry.body', e.body)
    FROM (VALUES (1)) AS always(n)
    LEFT JOIN csm.case_entries e ON e.id = notification_values.entry_id AND e.case_id = notification_values.case_id;
END;
COMMENT ON FUNCTION csm_private.notification_values(bigint, bigint) IS
'Every placeholder of a notification, with what the caller may read there; null for what he may not';

CREATE OR REPLACE FUNCTION csm_private.notification_template_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        PERFORM csm_private.check_placeholders(concat_ws(' ', NEW.event, NEW.channel, NEW.language), t.text,
            ARRAY(SELECT jsonb_object_keys(csm_private.notification_values(NULL, NULL))))
        FROM (VALUES (NEW.subject), (NEW.body)) t(text);
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION csm_private.notification_template_guard() IS
'Trigger of csm.notification_templates: error 22023 for an unknown placeholder and for braces that make none';
CREATE TRIGGER notification_templates_10_guard BEFORE INSERT OR UPDATE ON csm.notification_templates
    FOR EACH ROW EXECUTE FUNCTION csm_private.notification_template_guard();

-- ---- whom an event concerns ----

CREATE OR REPLACE FUNCTION csm_private.notification_kinds(kind text, payload jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
        WHEN kind = 'assigned' THEN array_remove(ARRAY[
            CASE WHEN payload ->> 'assigned_to' <> '' AND payload ->> 'assigned_to' IS DISTINCT FROM payload ->> 'from_person' THEN 'assigned' END,
            CASE WHEN payload ->> 'assigned_group_id' <> '' AND payload ->> 'assigned_group_id' IS DISTINCT FROM payload ->> 'from_group' THEN 'group_assigned' END], NULL)
        WHEN payload ->> 'action' = 'escalate' AND kind IN ('state_changed', 'reopened') THEN '{escalated}'
        WHEN payload ->> 'action' = 'rule' AND kind = 'resolved' THEN '{ruled}'
        WHEN kind = 'state_changed' AND payload ->> 'action' IN ('submit', 'approve') THEN '{submitted}'
        WHEN kind = 'state_changed' AND payload ->> 'action' = 'request_approval' THEN '{approval_requested}'
        WHEN kind = 'state_changed' AND payload ->> 'action' = 'decline' THEN '{declined}'
        WHEN kind = 'state_changed' AND payload ->> 'action' IN ('request_info', 'request_identity') THEN '{info_requested}'
        ELSE ARRAY[kind] END;
END;
COMMENT ON FUNCTION csm_private.notification_kinds(text, jsonb) IS
'What an event is for csm.notification_rules, what says most first: assigned and group_assigned for what is new, submitted, approval_requested, declined, info_requested, escalated and ruled by the action, else its kind';

-- Of an account that is a party or the other company: those whose role lets
-- them read its cases; where nobody's does, all its contacts (V8).
CREATE OR REPLACE FUNCTION csm_private.account_readers(account_id bigint, tenant_id bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE ROWS 3
BEGIN ATOMIC
    WITH contact AS (
        SELECT k.user_id, EXISTS (SELECT FROM csm.role_permissions p
                                  WHERE p.role = k.role AND p.tenant_id = k.tenant_id AND p.action = 'case_read'
                                    AND p.reach IN ('account', 'subtree')) AS reads
        FROM csm.contacts k
        WHERE k.account_id = account_readers.account_id AND k.tenant_id = account_readers.tenant_id AND k.login_enabled
          AND csm_private.is_valid(k.valid_during, statement_timestamp())
    )
    SELECT c.user_id FROM contact c WHERE c.reads OR NOT EXISTS (SELECT FROM contact r WHERE r.reads);
END;
COMMENT ON FUNCTION csm_private.account_readers(bigint, bigint) IS
'Persons who read cases for an account: by their role, or, where no contact''s role says so, all contacts';

-- By relation, before anything is asked of visibility: what is internal goes to
-- the desk alone, what is one side's not to the other.
CREATE OR REPLACE FUNCTION csm_private.notification_recipients(c csm.cases, audience text, side text, relations text[]) RETURNS SETOF bigint
LANGUAGE sql STABLE ROWS 5
BEGIN ATOMIC
    SELECT DISTINCT p.user_id
    FROM (
        SELECT 'assignee' AS relation, 'operator' AS of_side, c.assigned_to AS user_id
      UNION ALL
        SELECT r.relation, 'operator', m.user_id
        FROM csm.group_members m CROSS JOIN (VALUES ('group'), ('desk')) r(relation)
        WHERE m.group_id = c.assigned_group_id AND m.tenant_id = c.tenant_id AND (r.relation = 'group' OR c.assigned_to IS NULL)
      UNION ALL
        SELECT 'desk', 'operator', c.assigned_to
      UNION ALL
        SELECT 'account_team', 'operator', t.member_id
        FROM csm.account_team t
        WHERE t.tenant_id = c.tenant_id
          AND (t.account_id = c.account_id OR t.user_id = c.requester_id OR t.household_id = c.household_id)
          AND csm_private.is_valid(t.valid_during, statement_timestamp())
      UNION ALL
        SELECT 'internal_contact', 'customer', c.internal_contact_id
      UNION ALL
        SELECT 'requester', 'customer', c.requester_id
      UNION ALL
        SELECT 'opener', 'customer', c.opened_by
      UNION ALL
        SELECT 'partner_contact', 'customer', k.user_id
        FROM csm.contacts k WHERE k.id = c.partner_contact_id AND k.tenant_id = c.tenant_id
      UNION ALL
        SELECT w.relation, 'customer', k.user_id
        FROM csm.contacts k CROSS JOIN (VALUES ('customer_admin', 'contact_manage'), ('approver', 'case_decide')) w(relation, action)
        WHERE k.account_id = c.account_id AND k.tenant_id = c.tenant_id
          AND csm_private.is_valid(k.valid_during, statement_timestamp())
          AND EXISTS (SELECT FROM csm.role_permissions r
                      WHERE r.role = k.role AND r.tenant_id = k.tenant_id AND r.action = w.action AND r.reach IN ('account', 'subtree'))
          AND (w.relation <> 'approver' OR k.user_id NOT IN (c.requester_id, coalesce(c.opened_by, 0)))
      UNION ALL
        SELECT 'party', 'customer', coalesce(s.user_id, r.user_id)
        FROM csm.case_parties s
        LEFT JOIN LATERAL csm_private.account_readers(s.account_id, s.tenant_id) r(user_id) ON s.account_id IS NOT NULL
        WHERE s.case_id = c.id AND s.tenant_id = c.tenant_id AND csm_private.is_valid(s.valid_during, statement_timestamp())
      UNION ALL
        SELECT 'counterparty', 'counterparty', k.user_id
        FROM csm.contacts k WHERE k.id = c.counterparty_contact_id AND k.tenant_id = c.tenant_id
      UNION ALL
        SELECT 'counterparty', 'counterparty', r.user_id
        FROM csm_private.account_readers(c.counterparty_account_id, c.tenant_id) r(user_id)
        WHERE c.counterparty_contact_id IS NULL
    ) p
    WHERE p.user_id IS NOT NULL AND p.relation = ANY (relations)
      AND CASE audience WHEN 'shared' THEN true WHEN 'private' THEN p.of_side IN (side, 'operator') ELSE p.of_side = 'operator' END;
END;
COMMENT ON FUNCTION csm_private.notification_recipients(csm.cases, text, text, text[]) IS
'Persons who stand in one of the relations to the case and on a side that the event is for. Whether they see the case is asked when they are told';

-- ---- reading events ----

-- In the transaction that moves the position on, so that after a crash both
-- happened or neither. Of two who run it, one waits at the timer of the tenant.
CREATE OR REPLACE FUNCTION csm_private.make_notifications(tenant_id bigint, at_most integer) RETURNS integer
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    reader csm_private.notification_readers;
    upto bigint;
    n integer;
    tokens bigint;
BEGIN
    SELECT * INTO reader FROM csm_private.notification_readers r WHERE r.tenant_id = tenant_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    PERFORM csm_private.give_positions(tenant_id);
    SELECT count(*), max(x.position) INTO n, upto
    FROM (SELECT e.position FROM csm.events e
          WHERE e.tenant_id = tenant_id AND e.position > reader.position ORDER BY e.position LIMIT at_most) x;
    IF n > 0 THEN
        -- He who did it is not told. What is one's own affair comes first where
        -- an event is of two kinds. Tokens are made here, by one runner, and not
        -- where messages are claimed: two senders would wait for one another.
        WITH made AS (
            INSERT INTO csm.notifications (tenant_id, user_id, case_id, event_id, kind, channel, audience, side, entry_id, state, sent_at)
            SELECT DISTINCT ON (e.id, u.id, r.channel)
                   e.tenant_id, u.id, e.case_id, e.id, k.kind, r.channel, e.audience, e.side, (e.payload ->> 'entry_id')::bigint,
                   CASE r.channel WHEN 'portal' THEN 'sent' ELSE 'waiting' END, CASE r.channel WHEN 'portal' THEN clock_timestamp() END
            FROM csm.events e
            JOIN csm.cases c ON c.id = e.case_id AND c.tenant_id = e.tenant_id
            CROSS JOIN LATERAL unnest(csm_private.notification_kinds(e.kind, e.payload)) WITH ORDINALITY k(kind, n)
            JOIN csm.notification_rules r ON r.event = k.kind AND r.tenant_id = e.tenant_id
            CROSS JOIN LATERAL csm_private.notification_recipients(c, e.audience, e.side, r.recipients) p(user_id)
            JOIN csm.users u ON u.id = p.user_id AND u.tenant_id = e.tenant_id AND u.enabled
            WHERE e.tenant_id = tenant_id AND e.position > reader.position AND e.position <= upto AND e.created_at >= reader.since
              AND u.id IS DISTINCT FROM e.actor_id
              AND (r.channel <> 'email' OR u.email IS NOT NULL)
              AND coalesce(csm_private.wants_notification(u.id, u.tenant_id, k.kind, r.channel), r.enabled)
            ORDER BY e.id, u.id, r.channel, k.n
            ON CONFLICT ON CONSTRAINT notifications_once DO NOTHING
            RETURNING *
        )
        SELECT (SELECT count(csm_private.mail_token(m.case_id, m.user_id))
                FROM (SELECT DISTINCT x.case_id, x.user_id FROM made x WHERE x.state = 'waiting') m)
             + (SELECT count(csm_private.unsubscribe_token(m.user_id, m.tenant_id, m.kind, m.channel))
                FROM (SELECT DISTINCT x.user_id, x.tenant_id, x.kind, x.channel FROM made x WHERE x.state = 'waiting') m)
        INTO tokens;
    END IF;
    UPDATE csm_private.notification_readers r SET position = coalesce(upto, r.position), read_at = clock_timestamp()
    WHERE r.tenant_id = tenant_id;
    RETURN n;
END $$;
COMMENT ON FUNCTION csm_private.make_notifications(bigint, integer) IS
'Makes the notifications of the next events of a tenant, at most so many; returns how many events were read';

CREATE OR REPLACE FUNCTION csm_private.due_notify(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    at_once CONSTANT integer := 5000;
    keep interval;
    read integer := csm_private.make_notifications(tenant_id, at_once);
BEGIN
    IF read < at_once THEN
        SELECT interval '1 day' * coalesce((t.settings -> 'notifications' ->> 'keep_days')::integer, 90) INTO keep
        FROM csm.tenants t WHERE t.id = tenant_id;
        DELETE FROM csm.notifications n
        WHERE n.tenant_id = tenant_id
          AND n.id IN (SELECT o.id FROM csm.notifications o
                       WHERE o.tenant_id = tenant_id AND o.created_at < at - keep ORDER BY o.created_at LIMIT 1000);
    END IF;
    PERFORM csm_private.set_timer(tenant_id, 'notify', object_id, NULL,
        at + CASE WHEN read < at_once THEN interval '1 second' ELSE interval '0' END);
END $$;
COMMENT ON FUNCTION csm_private.due_notify(bigint, bigint, timestamptz) IS
'Handler of timers of kind notify, one a tenant with rules: makes notifications, and deletes what is older than the tenant keeps (setting notifications, keep_days; 90)';

-- ---- the inbox ----

-- A name in the first language there is: the person's tag, its base, the same of
-- the tenant, English.
CREATE OR REPLACE FUNCTION csm_private.notification_template(event text, channel text)
RETURNS TABLE (language text, subject text, body text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    mine CONSTANT bigint := csm.current_tenant_id();
    tongue text;
    tongues text[] := '{}'::text[];
BEGIN
    FOR tongue IN
        SELECT w.tag FROM (SELECT 1, u.language FROM csm.users u WHERE u.id = csm.current_user_id() AND u.tenant_id = mine
                           UNION ALL SELECT 2, t.settings -> 'notifications' ->> 'language' FROM csm.tenants t WHERE t.id = mine
                           UNION ALL SELECT 3, 'en') w(n, tag)
        WHERE w.tag IS NOT NULL ORDER BY w.n
    LOOP
        tongues := tongues || lower(tongue) || split_part(lower(tongue), '-', 1);
    END LOOP;
    RETURN QUERY
        SELECT t.language, t.subject, t.body FROM csm.notification_templates t
        WHERE t.tenant_id = mine AND t.event IN (notification_template.event, '*')
          AND t.channel IN (notification_template.channel, '*') AND t.language = ANY (tongues)
        ORDER BY t.event = '*', array_position(tongues, t.language), t.channel = '*' LIMIT 1;
END $$;
COMMENT ON FUNCTION csm_private.notification_template(text, text) IS
'The words for the signed-in person: of the event before those of all, in his language (exact tag, base) before the tenant''s and English, of the channel before those of all. No row where there are none, and for nobody';

-- What stands in a header is one line: a line break in a value would begin
-- another header.
CREATE OR REPLACE FUNCTION csm_private.one_line(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN left(btrim(regexp_replace(value, '[[:cntrl:][:space:]\u0080-\u009f\u2028\u2029]+', ' ', 'g')), 400);
COMMENT ON FUNCTION csm_private.one_line(text) IS
'The text as one line of at most 400 characters, without control characters';

-- Runs under the policies of its caller: a notification that he may not see any
-- more has no text, whoever asks in his name.
CREATE OR REPLACE FUNCTION csm_private.notification_message(argument jsonb) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT jsonb_build_object('language', t.language, 'subject', csm_private.one_line(csm_private.fill_in(t.subject, v.filled)),
                              'body', csm_private.fill_in(t.body, v.filled))
    FROM csm.notifications n
    CROSS JOIN LATERAL csm_private.notification_template(n.kind, n.channel) t
    CROSS JOIN LATERAL csm_private.notification_values(n.case_id, n.entry_id) v(filled)
    WHERE n.id = (argument ->> 'id')::bigint;
END;
COMMENT ON FUNCTION csm_private.notification_message(jsonb) IS
'language, subject and body of the notification {"id": …} for the person who reads it; NULL where it is not his, or he sees the case or the entry no more, or the tenant has no words for it';

CREATE OR REPLACE FUNCTION csm.my_notifications("limit" integer DEFAULT 50, before bigint DEFAULT NULL, unread boolean DEFAULT false)
RETURNS TABLE (id bigint, case_id bigint, kind text, subject text, body text, created_at timestamptz, read_at timestamptz)
LANGUAGE sql STABLE ROWS 50
BEGIN ATOMIC
    SELECT n.id, n.case_id, n.kind, m.message ->> 'subject', m.message ->> 'body', n.created_at, n.read_at
    FROM (SELECT x.* FROM csm.notifications x
          WHERE x.user_id = csm.current_user_id() AND x.channel = 'portal' AND (before IS NULL OR x.id < before)
            AND (x.read_at IS NULL OR unread IS NOT TRUE)
          ORDER BY x.id DESC LIMIT least(greatest("limit", 0), 1000)) n
    CROSS JOIN LATERAL csm_private.notification_message(jsonb_build_object('id', n.id)) m(message)
    ORDER BY n.id DESC;
END;
COMMENT ON FUNCTION csm.my_notifications(integer, bigint, boolean) IS
'The caller''s inbox, the newest first, at most limit (up to 1,000) before that id, in his language; unread: only what is not marked as read. Only what he sees now. Words are NULL where the tenant has none';

CREATE OR REPLACE FUNCTION csm.mark_read(ids bigint[] DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    marked bigint;
BEGIN
    WITH m AS (
        UPDATE csm.notifications n SET read_at = clock_timestamp()
        WHERE n.user_id = csm.current_user_id() AND n.tenant_id = csm.current_tenant_id() AND n.channel = 'portal'
          AND n.read_at IS NULL AND (ids IS NULL OR n.id = ANY (ids))
          AND csm_private.entry_allows(n.case_id, n.tenant_id, '', n.audience, coalesce(n.side, ''))
        RETURNING 1
    )
    SELECT count(*) INTO marked FROM m;
    RETURN marked;
END $$;
COMMENT ON FUNCTION csm.mark_read(bigint[]) IS
'Marks these notifications of the caller''s inbox as read, NULL for all; returns how many were unread and are his to see';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.begin_notifications()',
        'csm_private.notification_values(bigint, bigint)',
        'csm_private.notification_template_guard()',
        'csm_private.notification_kinds(text, jsonb)',
        'csm_private.account_readers(bigint, bigint)',
        'csm_private.notification_recipients(csm.cases, text, text, text[])',
        'csm_private.make_notifications(bigint, integer)',
        'csm_private.due_notify(bigint, bigint, timestamptz)',
        'csm_private.notification_template(text, text)',
        'csm_private.one_line(text)',
        'csm_private.notification_message(jsonb)',
        'csm.my_notifications(integer, bigint, boolean)',
        'csm.mark_read(bigint[])']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.mark_read(bigint[]),
    csm.my_notifications(integer, bigint, boolean),
    csm_private.notification_message(jsonb),
    csm_private.notification_template(text, text),
    csm_private.notification_values(bigint, bigint),
    csm_private.one_line(text)
    TO csm_portal, csm_agent, csm_admin;
-- Notifications on their way out, to the process that sends them.
--
-- A message is put together when it is claimed, by the recipient's own rights:
-- csm_private.as_person() runs csm_private.notification_message() as he would,
-- under his role and row security. What he may not see any more has no message,
-- and is recorded as withheld.

-- What an address or a header needs, of the tenant's settings.
CREATE OR REPLACE FUNCTION csm_private.notification_headers(n csm.notifications, settings jsonb,
    OUT reply_token text, OUT message_id text, OUT thread_id text, OUT reply_to text, OUT unsubscribe_token text, OUT list_unsubscribe text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    domain CONSTANT text := settings -> 'notifications' ->> 'domain';
    url CONSTANT text := settings -> 'notifications' ->> 'unsubscribe_url';
BEGIN
    reply_token := csm_private.mail_token(n.case_id, n.user_id);
    unsubscribe_token := csm_private.unsubscribe_token(n.user_id, n.tenant_id, n.kind, n.channel);
    IF domain IS NOT NULL THEN
        message_id := format('<%s.%s@%s>', reply_token, n.id, domain);
        thread_id := format('<%s@%s>', reply_token, domain);
        reply_to := format('reply+%s@%s', reply_token, domain);
    END IF;
    list_unsubscribe := nullif(concat_ws(', ', '<' || url || unsubscribe_token || '>',
                                         '<mailto:unsubscribe+' || unsubscribe_token || '@' || domain || '>'), '');
END $$;
COMMENT ON FUNCTION csm_private.notification_headers(csm.notifications, jsonb) IS
'Tokens of a message, and header values made of them and of the tenant''s setting notifications; these are NULL without domain or unsubscribe_url';

-- One claimed notification: the message, or NULL where it is withheld.
CREATE OR REPLACE FUNCTION csm_private.message_for(n csm.notifications, person csm.users) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT person.enabled
       OR n.channel = 'email' AND coalesce(person.email, '') !~ '^[^@[:space:][:cntrl:],;:<>()"\\[\]]+@[^@[:space:][:cntrl:],;:<>()"\\[\]]+$'
       OR csm_private.wants_notification(n.user_id, n.tenant_id, n.kind, n.channel) IS FALSE THEN
        RETURN NULL;
    END IF;
    RETURN csm_private.as_person(n.user_id, csm_private.role_of_person(n.user_id, n.tenant_id),
                                 'csm_private.notification_message(jsonb)'::regprocedure, jsonb_build_object('id', n.id));
END $$;
COMMENT ON FUNCTION csm_private.message_for(csm.notifications, csm.users) IS
'What csm_private.notification_message() gives the recipient now; NULL where he sees the matter no more, is disabled, has no plain address, or said that he does not want it';

CREATE OR REPLACE FUNCTION csm.next_notifications(channel text DEFAULT 'email', "limit" integer DEFAULT 100, lease interval DEFAULT '5 minutes')
RETURNS TABLE (id bigint, tenant_id bigint, user_id bigint, recipient text, case_id bigint, kind text, language text,
               subject text, body text, message_id text, thread_id text, reply_to text, list_unsubscribe text,
               reply_token text, unsubscribe_token text, attempts integer, created_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    mine CONSTANT bigint := csm_private.sender_tenant();
    at_time CONSTANT timestamptz := clock_timestamp();
    most_attempts CONSTANT integer := 10;
    -- Those that are withheld do not count, but not without end in one call.
    rounds integer := 10;
    wanted integer := next_notifications."limit";
    claimed bigint[];
    of record;
    n csm.notifications;
    message jsonb;
BEGIN
    IF next_notifications.channel IS NULL OR wanted IS NULL OR wanted NOT BETWEEN 1 AND 1000 OR lease IS NULL OR lease < interval '1 second' THEN
        RAISE EXCEPTION 'limit of csm.next_notifications() must be between 1 and 1000, and the lease at least a second' USING ERRCODE = '22023',
            DETAIL = format('They are %s and %s.', coalesce(wanted::text, 'null'), coalesce(lease::text, 'null')),
            HINT = 'Leave them out for 100 messages and five minutes.';
    END IF;
    WHILE wanted > 0 AND rounds > 0 LOOP
        rounds := rounds - 1;
        WITH free AS (
            SELECT o.id, o.tenant_id, o.attempts FROM csm.notifications o
            WHERE o.state = 'waiting' AND o.channel = next_notifications.channel AND (mine IS NULL OR o.tenant_id = mine)
              AND (o.claimed_until IS NULL OR o.claimed_until <= at_time)
            ORDER BY o.id LIMIT wanted FOR UPDATE SKIP LOCKED
        ), taken AS (
            UPDATE csm.notifications o
            SET state = CASE WHEN f.attempts < most_attempts THEN 'waiting' ELSE 'failed' END,
                error = CASE WHEN f.attempts < most_attempts THEN o.error ELSE coalesce(o.error, 'never acknowledged') END,
                claimed_until = CASE WHEN f.attempts < most_attempts THEN at_time + lease END,
                attempts = least(f.attempts + 1, most_attempts)
            FROM free f WHERE o.id = f.id AND o.tenant_id = f.tenant_id
            RETURNING o.id
        )
        SELECT array_agg(t.id) INTO claimed FROM taken t;
        EXIT WHEN claimed IS NULL;
        FOR of IN
            SELECT o AS notification, u AS person, t.settings
            FROM csm.notifications o
            JOIN csm.users u ON u.id = o.user_id AND u.tenant_id = o.tenant_id
            JOIN csm.tenants t ON t.id = o.tenant_id
            WHERE o.id = ANY (claimed) AND o.state = 'waiting' ORDER BY o.id
        LOOP
            n := of.notification;
            -- One that cannot be put together must not hold up the others.
            BEGIN
                message := csm_private.message_for(n, of.person);
            EXCEPTION WHEN OTHERS THEN
                UPDATE csm.notifications o SET error = 'could not be put together: ' || SQLSTATE WHERE o.id = n.id AND o.tenant_id = n.tenant_id;
                CONTINUE;
            END;
            IF message IS NULL THEN
                UPDATE csm.notifications o SET state = 'withheld', claimed_until = NULL WHERE o.id = n.id AND o.tenant_id = n.tenant_id;
                CONTINUE;
            END IF;
            wanted := wanted - 1;
            id := n.id;
            tenant_id := n.tenant_id;
            user_id := n.user_id;
            recipient := CASE n.channel WHEN 'email' THEN (of.person).email END;
            case_id := n.case_id;
            kind := n.kind;
            language := message ->> 'language';
            subject := message ->> 'subject';
            -- Where answers come back, above the line from which on they are cut.
            body := concat(CASE WHEN n.channel = 'email' AND of.settings -> 'notifications' ? 'domain'
                                THEN nullif(csm_private.mail_setting(n.tenant_id, 'marker'), '') || E'\n\n' END, message ->> 'body');
            attempts := n.attempts;
            created_at := n.created_at;
            SELECT h.reply_token, h.message_id, h.thread_id, h.reply_to, h.unsubscribe_token, h.list_unsubscribe
            INTO reply_token, message_id, thread_id, reply_to, unsubscribe_token, list_unsubscribe
            FROM csm_private.notification_headers(n, of.settings) h;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END $$;
COMMENT ON FUNCTION csm.next_notifications(text, integer, interval) IS
'Notifications of a channel that are to be sent, the oldest first, ready to be sent: each to one caller at a time, again when the lease has passed without csm.acknowledge_notifications(), at most ten times. What the recipient does not see any more is withheld. Call it in a transaction of its own and commit before sending. recipient: e-mail address, NULL for other channels. Persons named by csm.allow_mail_sender() for their tenant, members of csm_owner without identity for all. Errors: 42501, 22023';

CREATE OR REPLACE FUNCTION csm.acknowledge_notifications(ids bigint[], error text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mine CONSTANT bigint := csm_private.sender_tenant();
    n bigint;
BEGIN
    -- 1, 2, 4 ... minutes later, at most a day
    UPDATE csm.notifications o
    SET state = CASE WHEN acknowledge_notifications.error IS NULL THEN 'sent' WHEN o.attempts < 10 THEN 'waiting' ELSE 'failed' END,
        sent_at = CASE WHEN acknowledge_notifications.error IS NULL THEN clock_timestamp() END,
        error = left(acknowledge_notifications.error, 1000),
        claimed_until = CASE WHEN acknowledge_notifications.error IS NOT NULL AND o.attempts < 10
                             THEN clock_timestamp() + least(interval '1 minute' * 2 ^ (o.attempts - 1), interval '1 day') END
    WHERE o.id = ANY (ids) AND o.state = 'waiting' AND o.attempts > 0 AND (mine IS NULL OR o.tenant_id = mine);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
COMMENT ON FUNCTION csm.acknowledge_notifications(bigint[], text) IS
'Says that notifications were sent, or, with an error, that they could not be: then they come again after 1, 2, 4 … minutes, and are given up after ten attempts. Returns how many there were. Callers as csm.next_notifications(). Error 42501';

CREATE OR REPLACE FUNCTION csm.notification_status() RETURNS TABLE (channel text, state text, notifications bigint, oldest timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    everywhere CONSTANT boolean := csm_private.acts_as_system();
    mine CONSTANT bigint := csm.current_tenant_id();
BEGIN
    IF NOT everywhere AND csm.all_in(mine, 'internal', 'configure') IS NOT TRUE THEN
        RAISE EXCEPTION 'how notifications are sent is for administrators' USING ERRCODE = '42501',
            HINT = 'Everyone reads his own in csm.notifications.';
    END IF;
    RETURN QUERY
        SELECT n.channel, n.state, count(*), min(n.created_at) FROM csm.notifications n
        WHERE everywhere OR n.tenant_id = mine GROUP BY 1, 2 ORDER BY 1, 2;
END $$;
COMMENT ON FUNCTION csm.notification_status() IS
'How many notifications of the tenant wait, were sent, withheld or given up, and the time of the oldest, by channel: whether the sender process keeps up. Administrators, the system; error 42501 for anybody else';

-- The answer is the same whatever the token: who has none learns nothing.
CREATE OR REPLACE FUNCTION csm.unsubscribe(token text, everything boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t csm_private.mail_tokens;
BEGIN
    SELECT * INTO t FROM csm_private.mail_tokens m
    WHERE m.token_hash = csm_private.token_hash(lower(btrim(left(unsubscribe.token, 200)))) AND m.case_id IS NULL;
    IF FOUND THEN
        IF everything THEN
            -- A row that names the event goes before one that names the channel.
            DELETE FROM csm.notification_preferences p
            WHERE p.user_id = t.user_id AND p.tenant_id = t.tenant_id AND p.channel = t.channel AND p.event <> '*';
            INSERT INTO csm.notification_preferences (user_id, tenant_id, event, channel, enabled)
            SELECT p.user_id, p.tenant_id, p.event, t.channel, false FROM csm.notification_preferences p
            WHERE p.user_id = t.user_id AND p.tenant_id = t.tenant_id AND p.channel = '*' AND p.event <> '*' AND p.enabled;
        END IF;
        INSERT INTO csm.notification_preferences AS p (user_id, tenant_id, event, channel, enabled)
        VALUES (t.user_id, t.tenant_id, CASE WHEN everything THEN '*' ELSE t.event END, t.channel, false)
        ON CONFLICT ON CONSTRAINT notification_preferences_pkey DO UPDATE SET enabled = false WHERE p.enabled;
        IF FOUND THEN
            PERFORM csm_private.audit('unsubscribed', csm.current_user_id(), t.user_id, NULL,
                jsonb_build_object('event', CASE WHEN everything THEN '*' ELSE t.event END, 'channel', t.channel), t.tenant_id);
        END IF;
    END IF;
    RETURN 'accepted';
END $$;
COMMENT ON FUNCTION csm.unsubscribe(text, boolean) IS
'Whoever has the token of a message lets its recipient hear no more of that kind of event on that channel, or of any (everything); as often as he likes. Always returns accepted. Undone in csm.notification_preferences';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.notification_headers(csm.notifications, jsonb)',
        'csm_private.message_for(csm.notifications, csm.users)',
        'csm.next_notifications(text, integer, interval)',
        'csm.acknowledge_notifications(bigint[], text)',
        'csm.notification_status()',
        'csm.unsubscribe(text, boolean)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.next_notifications(text, integer, interval), csm.acknowledge_notifications(bigint[], text)
    TO csm_portal, csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.notification_status() TO csm_admin;
GRANT EXECUTE ON FUNCTION csm.unsubscribe(text, boolean) TO csm_guest, csm_portal, csm_agent, csm_admin;

-- Mail in
-- Mail on its way in.
--
-- A gateway process hands over each mail once; csm finds the person who sent
-- it, the case that it answers, and does with that person's rights what he
-- could have done himself (src/csm_as_person.c): a comment, or a new case.
-- What he may not do is refused, recorded and kept, never raised, so that a
-- gateway has nothing to try again. One answer for a hidden and a missing case.
--
-- A From address proves nobody. It counts where the gateway says that DMARC
-- passed; a tenant may be content with less (setting mail_in).

-- Another trust than that of csm.mail_senders: a sender reads what goes out, a
-- gateway says who wrote.
CREATE TABLE csm.mail_gateways (
    user_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT mail_gateways_pkey PRIMARY KEY (user_id, tenant_id),
    CONSTRAINT mail_gateways_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE
);
SELECT csm_private.adopt_table('csm.mail_gateways');
CREATE POLICY mail_gateways_select ON csm.mail_gateways FOR SELECT TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.mail_gateways TO csm_admin;

COMMENT ON TABLE csm.mail_gateways IS 'Persons, as a rule technical ones, as whom a gateway may hand over mail for the tenant; kept by csm.allow_mail_gateway()';
COMMENT ON COLUMN csm.mail_gateways.user_id IS 'The person';
COMMENT ON COLUMN csm.mail_gateways.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.mail_gateways.created_at IS 'Since when';
COMMENT ON POLICY mail_gateways_select ON csm.mail_gateways IS 'Administrators see who may hand over mail';

CREATE TABLE csm.email_log (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    message_id text,
    from_address text,
    user_id bigint,
    status text NOT NULL,
    reason text,
    detail text,
    case_id bigint,
    entry_id bigint,
    attached integer NOT NULL DEFAULT 0,
    not_attached integer NOT NULL DEFAULT 0,
    subject text,
    body text,
    settled_by bigint,
    settled_at timestamptz,
    CONSTRAINT email_log_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT email_log_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT email_log_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT email_log_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT email_log_entry_fkey FOREIGN KEY (entry_id, tenant_id) REFERENCES csm.case_entries (id, tenant_id),
    CONSTRAINT email_log_settled_by_fkey FOREIGN KEY (settled_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT email_log_message_key UNIQUE (tenant_id, message_id),
    CONSTRAINT email_log_status_check CHECK (status IN ('received', 'opened', 'commented', 'queued', 'refused', 'ignored')),
    CONSTRAINT email_log_reason_check CHECK (reason ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT email_log_text_check CHECK (length(message_id) BETWEEN 3 AND 998 AND length(from_address) <= 320
        AND length(subject) <= 400 AND length(body) <= 100000 AND length(detail) <= 1000),
    CONSTRAINT email_log_count_check CHECK (attached >= 0 AND not_attached >= 0)
);
CREATE INDEX email_log_received_idx ON csm.email_log (tenant_id, received_at);
CREATE INDEX email_log_user_idx ON csm.email_log (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX email_log_case_idx ON csm.email_log (case_id) WHERE case_id IS NOT NULL;
CREATE INDEX email_log_from_idx ON csm.email_log (tenant_id, from_address) WHERE user_id IS NULL;
CREATE INDEX email_log_queue_idx ON csm.email_log (tenant_id, id) WHERE status = 'queued' AND settled_at IS NULL;
SELECT csm_private.adopt_table('csm.email_log');

CREATE POLICY email_log_select ON csm.email_log FOR SELECT TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure')
           OR status = 'queued' AND csm.all_in(tenant_id, 'internal', 'person_manage'));
GRANT SELECT ON csm.email_log TO csm_agent, csm_admin;

COMMENT ON TABLE csm.email_log IS 'Mail that came in and what became of it, a row each; written by csm.receive_email(), the text kept where nothing was done with it';
COMMENT ON COLUMN csm.email_log.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.email_log.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.email_log.received_at IS 'When the gateway received it, or handed it over';
COMMENT ON COLUMN csm.email_log.message_id IS 'Its Message-ID, unique in the tenant; NULL where it had none that could be read';
COMMENT ON COLUMN csm.email_log.from_address IS 'Address of From, in lower case; NULL where there was none that could be read';
COMMENT ON COLUMN csm.email_log.user_id IS 'The person with that address; NULL where nobody had it, or it was not proven';
COMMENT ON COLUMN csm.email_log.status IS 'opened (a case), commented, queued (for staff), refused, ignored (no person wrote it); received only while it is worked on';
COMMENT ON COLUMN csm.email_log.reason IS 'Why nothing was done, as the gateway was told; NULL where something was';
COMMENT ON COLUMN csm.email_log.detail IS 'What the gateway was not told: error and message; NULL for none';
COMMENT ON COLUMN csm.email_log.case_id IS 'The case opened or commented on, or the one that was refused to him; NULL for none';
COMMENT ON COLUMN csm.email_log.entry_id IS 'The entry that it became; NULL for none';
COMMENT ON COLUMN csm.email_log.attached IS 'How many of its attachments were taken';
COMMENT ON COLUMN csm.email_log.not_attached IS 'How many were not: too large, too many, malformed';
COMMENT ON COLUMN csm.email_log.subject IS 'Subject without control and direction characters; NULL where the mail became a case or an entry';
COMMENT ON COLUMN csm.email_log.body IS 'Text likewise, the first 100,000 characters; NULL where the mail became a case or an entry, or was ignored';
COMMENT ON COLUMN csm.email_log.settled_by IS 'Who took it from the queue by csm.settle_email(); NULL for nobody';
COMMENT ON COLUMN csm.email_log.settled_at IS 'When; NULL while it waits, or never waited';
COMMENT ON POLICY email_log_select ON csm.email_log IS 'Administrators all of it; staff with person_manage what waits for them';

-- Settings ------------------------------------------------------------------

ALTER TABLE csm.tenants ADD CONSTRAINT tenants_mail_in_check CHECK (
    (NOT settings ? 'mail_in'
     OR (jsonb_typeof(settings->'mail_in') = 'object'
         AND (settings->'mail_in') - '{trust,unknown,closed,opens,case_type,per_sender,marker}'::text[] = '{}'
         AND coalesce(settings->'mail_in'->>'trust', 'dmarc') IN ('dmarc', 'token', 'any')
         AND coalesce(settings->'mail_in'->>'unknown', 'refuse') IN ('refuse', 'queue')
         AND coalesce(settings->'mail_in'->>'closed', 'refuse') IN ('refuse', 'follow_up')
         AND coalesce(jsonb_typeof(settings->'mail_in'->'opens'), 'boolean') = 'boolean'
         AND coalesce(jsonb_typeof(settings->'mail_in'->'case_type'), 'string') = 'string'
         AND coalesce(jsonb_typeof(settings->'mail_in'->'marker'), 'string') = 'string'
         AND coalesce(settings->'mail_in'->>'per_sender', '1') ~ '^[1-9][0-9]{0,4}$')));

CREATE OR REPLACE FUNCTION csm_private.mail_setting(tenant_id bigint, key text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(t.settings -> 'mail_in' ->> mail_setting.key,
                    CASE mail_setting.key WHEN 'trust' THEN 'dmarc' WHEN 'unknown' THEN 'refuse' WHEN 'closed' THEN 'refuse'
                         WHEN 'opens' THEN 'true' WHEN 'case_type' THEN 'case' WHEN 'per_sender' THEN '20'
                         WHEN 'marker' THEN '-- Please write above this line --' END)
    FROM csm.tenants t WHERE t.id = mail_setting.tenant_id
$$;
COMMENT ON FUNCTION csm_private.mail_setting(bigint, text) IS
'trust (dmarc: From counts where DMARC passed; token: also where the mail carries a token that was sent to that person; any: always, the gateway lets nobody else in), unknown (refuse or queue what an unknown address sends), closed (refuse an answer to a closed case, or open a follow_up), opens (whether mail opens cases), case_type (of those), per_sender (mails of an address in an hour; 20), marker (line above which one writes), from the setting mail_in of a tenant';

-- Reading a mail ------------------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.mail_clean(given text, lines boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT btrim(CASE WHEN lines
                 THEN regexp_replace(regexp_replace(t.shown, '\r\n?', E'\n', 'g'), '[\u0001-\u0008\u000b-\u001f\u007f-\u009f]', '', 'g')
                 ELSE regexp_replace(t.shown, '[\u0001-\u0020\u007f-\u00a0]+', ' ', 'g') END, E' \t\n')
    FROM (SELECT regexp_replace(given, '[\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]', '', 'g') AS shown) t
$$;
COMMENT ON FUNCTION csm_private.mail_clean(text, boolean) IS
'Text without control and direction characters, trimmed; lines: with its lines, ended by line feeds, else as one line';

-- What the person wrote himself: the lines above the marker, without the
-- quotation at the end and the line that introduces it.
CREATE OR REPLACE FUNCTION csm_private.mail_reply(given text, marker text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lines text[] := string_to_array(given, E'\n');
    quoted boolean := false;
    n integer := 0;
BEGIN
    FOR i IN 1 .. coalesce(cardinality(lines), 0) LOOP
        IF marker <> '' AND strpos(lines[i], marker) > 0 THEN
            quoted := true;
            EXIT;
        END IF;
        n := i;
    END LOOP;
    WHILE n > 0 AND lines[n] ~ '^\s*(>.*)?$' LOOP
        quoted := quoted OR lines[n] ~ '>';
        n := n - 1;
    END LOOP;
    IF quoted AND n > 0 AND lines[n] ~ '[:：]\s*$' THEN
        n := n - 1;
    END IF;
    RETURN btrim(array_to_string(lines[1:n], E'\n'), E' \t\n');
END $$;
COMMENT ON FUNCTION csm_private.mail_reply(text, text) IS
'What of a mail''s text is its answer: above the first line with the marker, without quoted lines at the end and a line that ends with a colon before them; may be empty';

CREATE OR REPLACE FUNCTION csm_private.mail_address(given text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT lower(a.address)
    FROM (SELECT CASE WHEN given ~ '[<>]' THEN btrim(substring(given FROM '^[^<>]*<([^<>]*)>\s*$')) ELSE btrim(given) END AS address) a
    WHERE length(given) <= 1000 AND given !~ '[[:cntrl:]]' AND csm_private.is_address(a.address)
$$;
COMMENT ON FUNCTION csm_private.mail_address(text) IS
'The one address of a header From, in lower case; NULL where there is none, more than one, or anything that a header would read otherwise';

-- The shape of what a gateway hands over; what it says is judged later.
CREATE OR REPLACE FUNCTION csm_private.mail_fault(mail jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN EXISTS (SELECT FROM jsonb_each(mail) e
                     WHERE e.key IN ('message_id', 'in_reply_to', 'references', 'from', 'to', 'subject', 'text', 'received_at')
                       AND jsonb_typeof(e.value) NOT IN ('string', 'null'))
          OR jsonb_typeof(mail -> 'headers') NOT IN ('object', 'null')
          OR jsonb_typeof(mail -> 'authentication') NOT IN ('object', 'null')
          OR jsonb_typeof(mail -> 'attachments') NOT IN ('array', 'null') THEN 'malformed'
        WHEN mail ->> 'message_id' IS NULL OR length(mail ->> 'message_id') NOT BETWEEN 3 AND 998
          OR mail ->> 'message_id' !~ '^<[^<>[:space:][:cntrl:]]+>$' THEN 'malformed'
        WHEN csm_private.mail_address(mail ->> 'from') IS NULL AND btrim(mail ->> 'from', ' <>') <> '' THEN 'malformed'
        WHEN length(mail ->> 'text') > 1000000 OR length(mail ->> 'subject') > 10000 OR length(mail ->> 'to') > 20000
          OR length(mail ->> 'in_reply_to') > 20000 OR length(mail ->> 'references') > 20000
          OR jsonb_array_length(coalesce(nullif(mail -> 'attachments', 'null'), '[]')) > 100
          OR (SELECT count(*) FROM jsonb_object_keys(coalesce(nullif(mail -> 'headers', 'null'), '{}'))) > 200 THEN 'too_large'
        END
$$;
COMMENT ON FUNCTION csm_private.mail_fault(jsonb) IS
'malformed or too_large; NULL where the mail can be read';

-- No person wrote it: RFC 3834, RFC 2369 and 2919, what goes by habit, and what
-- csm itself sent.
CREATE OR REPLACE FUNCTION csm_private.mail_loop(mail jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH h AS (
        SELECT lower(k.key) AS name, lower(btrim(k.value)) AS value
        FROM jsonb_each_text(coalesce(nullif(mail -> 'headers', 'null'), '{}')) k
    )
    SELECT CASE
        WHEN btrim(coalesce(mail ->> 'from', ''), ' <>') = ''
          OR csm_private.mail_address(mail ->> 'from') ~ '^(mailer-daemon|postmaster)@'
          OR EXISTS (SELECT FROM h WHERE h.name = 'return-path' AND btrim(h.value, ' <>') = ''
                                      OR h.name = 'content-type' AND h.value LIKE 'multipart/report%') THEN 'bounce'
        WHEN (csm_private.mail_token_target(mail ->> 'message_id')).case_id IS NOT NULL
          OR EXISTS (SELECT FROM h WHERE h.name = 'x-loop') THEN 'loop'
        WHEN EXISTS (SELECT FROM h WHERE h.name = 'auto-submitted' AND h.value !~ '^no\M'
                                      OR h.name IN ('x-autoreply', 'x-autorespond', 'x-auto-response-suppress')
                                      OR h.name = 'precedence' AND h.value ~ '^(bulk|junk|auto_reply)\M') THEN 'auto_submitted'
        WHEN EXISTS (SELECT FROM h WHERE h.name IN ('list-id', 'list-post', 'list-unsubscribe')
                                      OR h.name = 'precedence' AND h.value ~ '^list\M') THEN 'mailing_list'
        END
$$;
COMMENT ON FUNCTION csm_private.mail_loop(jsonb) IS
'Why nobody is to be answered: bounce, loop, auto_submitted or mailing_list; NULL where a person seems to have written';

-- Who wrote it, merged persons included; a disabled one is nobody.
CREATE OR REPLACE FUNCTION csm_private.mail_person(tenant_id bigint, address text) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT u.id
    FROM (SELECT coalesce(
              (SELECT u.id FROM csm.users u WHERE u.tenant_id = mail_person.tenant_id AND u.email_key = mail_person.address),
              (SELECT m.kept_id FROM csm.user_merges m
               WHERE m.tenant_id = mail_person.tenant_id AND m.removed ->> 'email_key' = mail_person.address
               ORDER BY m.merged_at DESC LIMIT 1)) AS id) p
    JOIN csm.users u ON u.id = p.id AND u.tenant_id = mail_person.tenant_id AND u.enabled
$$;
COMMENT ON FUNCTION csm_private.mail_person(bigint, text) IS
'The enabled person who has this address, or had it before he was made one with another; NULL for none';

-- Doing it ------------------------------------------------------------------

-- Run as the sender by csm_private.as_person(): what is named here he may name.
CREATE OR REPLACE FUNCTION csm_private.mail_act(mail jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target csm.cases;
    made csm.cases;
    entry csm.case_entries;
    file jsonb;
    taken integer := 0;
    left_out integer := 0;
BEGIN
    IF mail ->> 'case_id' IS NOT NULL THEN
        SELECT * INTO target FROM csm.cases c WHERE c.id = (mail ->> 'case_id')::bigint;
        IF NOT FOUND THEN
            RETURN jsonb '{"refused": "not_permitted", "detail": "the case that it answers is hidden from the sender"}';
        END IF;
    ELSE
        SELECT c.* INTO target
        FROM jsonb_array_elements_text(mail -> 'candidates') WITH ORDINALITY k(id, n) JOIN csm.cases c ON c.id = k.id::bigint
        ORDER BY k.n LIMIT 1;
        IF NOT FOUND THEN
            SELECT c.* INTO target
            FROM jsonb_array_elements_text(mail -> 'numbers') WITH ORDINALITY k(number, n)
            JOIN csm.cases c ON c.number = k.number AND c.tenant_id = csm.current_tenant_id()
            ORDER BY k.n LIMIT 1;
        END IF;
    END IF;

    IF target.id IS NULL THEN
        IF mail ->> 'opens' <> 'true' THEN
            RETURN jsonb '{"refused": "not_permitted", "detail": "mail opens no case"}';
        END IF;
        made := csm.open_case(subject => mail ->> 'subject', description => nullif(mail ->> 'text', ''),
                              case_type => mail ->> 'case_type', channel => 'email');
    ELSIF mail ->> 'reply' = '' AND jsonb_array_length(mail -> 'attachments') = 0 THEN
        RETURN jsonb '{"refused": "empty"}';
    ELSIF target.state_class IN ('closed', 'cancelled') AND mail ->> 'closed' = 'follow_up' THEN
        made := csm.open_follow_up(target.id, NULL, nullif(mail ->> 'reply', ''));
    ELSE
        entry := csm.comment(target.id, coalesce(nullif(mail ->> 'reply', ''), '[no text]'));
    END IF;

    FOR file IN SELECT * FROM jsonb_array_elements(mail -> 'attachments') LOOP
        BEGIN
            PERFORM csm.attach(coalesce(made.id, target.id), coalesce(file ->> 'file_name', 'attachment'), file ->> 'media_type',
                decode(file ->> 'content', 'base64'), file ->> 'url', entry.id, (file ->> 'size')::bigint, decode(file ->> 'sha256', 'hex'));
            taken := taken + 1;
        EXCEPTION WHEN data_exception OR integrity_constraint_violation OR insufficient_privilege OR SQLSTATE 'SM004' OR SQLSTATE 'SM007' THEN
            left_out := left_out + 1;
        END;
    END LOOP;
    RETURN jsonb_build_object('status', CASE WHEN made.id IS NULL THEN 'commented' ELSE 'opened' END,
        'case_id', coalesce(made.id, target.id), 'entry_id', entry.id, 'attached', taken, 'not_attached', left_out);
END $$;
COMMENT ON FUNCTION csm_private.mail_act(jsonb) IS
'Body of csm.receive_email(), run as the sender: finds the case among what he sees and comments on it, or opens one. Returns what was done, or refused and why; errors as csm.comment() and csm.open_case()';

-- All that depends on the sender; fills in the row of the log.
CREATE OR REPLACE FUNCTION csm_private.judge_mail(e csm.email_log, mail jsonb) RETURNS csm.email_log
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    token_shape CONSTANT text := '(^|[^0-9a-z])[0-9a-f]{40}(?![0-9a-z])';
    trust CONSTANT text := csm_private.mail_setting(e.tenant_id, 'trust');
    target record;
    person CONSTANT bigint := csm_private.mail_person(e.tenant_id, e.from_address);
    proven boolean := trust = 'any' OR lower(mail #>> '{authentication,dmarc}') = 'pass';
    said text;
    done jsonb;
    failure text;
BEGIN
    SELECT t.* INTO target FROM csm_private.mail_token_target(mail ->> 'to') t;
    IF target.case_id IS NULL AND lower(mail ->> 'to') ~ token_shape THEN
        -- a token that csm never made: no more is said of it than of a hidden case
        target.case_id := 0;
    ELSIF target.case_id IS NULL THEN
        SELECT t.* INTO target FROM csm_private.mail_token_target(concat_ws(' ', mail ->> 'in_reply_to', mail ->> 'references')) t;
    END IF;
    IF target.tenant_id <> e.tenant_id THEN
        target.case_id := 0;
    END IF;
    proven := coalesce(proven, false) OR coalesce(trust = 'token' AND target.user_id = person AND target.case_id <> 0, false);

    -- Counted apart, so that nobody uses up another's mails in his name.
    IF NOT csm_private.attempt('mail_in', concat_ws(' ', e.tenant_id, proven, e.from_address),
                               csm_private.mail_setting(e.tenant_id, 'per_sender')::integer, interval '1 hour') THEN
        e.status := 'refused';
        e.reason := 'too_many';
        RETURN e;
    ELSIF NOT proven THEN
        e.status := 'refused';
        e.reason := 'unauthenticated';
        RETURN e;
    ELSIF person IS NULL THEN
        e.status := CASE csm_private.mail_setting(e.tenant_id, 'unknown') WHEN 'queue' THEN 'queued' ELSE 'refused' END;
        e.reason := 'unknown_sender';
        RETURN e;
    END IF;
    e.user_id := person;
    IF target.case_id = 0 THEN
        e.status := 'refused';
        e.reason := 'not_permitted';
        e.detail := 'the token that it carries stands for nothing';
        RETURN e;
    END IF;
    e.case_id := target.case_id;

    said := csm_private.mail_reply(e.body, csm_private.mail_setting(e.tenant_id, 'marker'));
    BEGIN
        done := csm_private.as_person(person, csm_private.role_of_person(person, e.tenant_id), 'csm_private.mail_act(jsonb)',
            jsonb_build_object('case_id', target.case_id, 'subject', coalesce(nullif(e.subject, ''), '(no subject)'),
                'text', e.body, 'reply', said, 'attachments', coalesce(nullif(mail -> 'attachments', 'null'), '[]'),
                'opens', csm_private.mail_setting(e.tenant_id, 'opens'), 'closed', csm_private.mail_setting(e.tenant_id, 'closed'),
                'case_type', csm_private.mail_setting(e.tenant_id, 'case_type'),
                -- what came in before under an id that this mail names, the nearest first
                'candidates', (SELECT coalesce(jsonb_agg(l.case_id ORDER BY w.n DESC), '[]')
                               FROM (SELECT m.id[1] AS id, m.n
                                     FROM regexp_matches(concat_ws(' ', mail ->> 'references', mail ->> 'in_reply_to'), '<[^<>[:space:]]+>', 'g')
                                          WITH ORDINALITY m(id, n) ORDER BY m.n DESC LIMIT 50) w
                               JOIN csm.email_log l ON l.tenant_id = e.tenant_id AND l.message_id = w.id AND l.status IN ('opened', 'commented')),
                'numbers', (SELECT coalesce(jsonb_agg(DISTINCT upper(m.word[1])), '[]')
                            FROM (SELECT r.word FROM regexp_matches(e.subject, '\m([A-Za-z]{1,8}[0-9]{1,30})\M', 'g') r(word) LIMIT 5) m)));
    EXCEPTION
        WHEN insufficient_privilege OR data_exception OR integrity_constraint_violation OR SQLSTATE 'SM001' OR SQLSTATE 'SM002'
             OR SQLSTATE 'SM003' OR SQLSTATE 'SM004' OR SQLSTATE 'SM005' OR SQLSTATE 'SM006' OR SQLSTATE 'SM007' THEN
            GET STACKED DIAGNOSTICS failure = MESSAGE_TEXT;
            e.detail := left(SQLSTATE || ': ' || failure, 1000);
            done := jsonb_build_object('refused', CASE WHEN SQLSTATE IN ('42501', 'SM001') THEN 'not_permitted' WHEN SQLSTATE = 'SM004' THEN 'case_closed'
                                                       WHEN SQLSTATE = 'SM007' THEN 'quota' ELSE 'not_accepted' END);
    END;
    IF done ? 'refused' THEN
        e.status := 'refused';
        e.reason := done ->> 'refused';
        e.detail := coalesce(e.detail, done ->> 'detail');
        RETURN e;
    END IF;
    e.status := done ->> 'status';
    e.case_id := (done ->> 'case_id')::bigint;
    e.entry_id := (done ->> 'entry_id')::bigint;
    e.attached := (done ->> 'attached')::integer;
    e.not_attached := (done ->> 'not_attached')::integer;
    e.subject := NULL;
    e.body := NULL;
    RETURN e;
END $$;
COMMENT ON FUNCTION csm_private.judge_mail(csm.email_log, jsonb) IS
'Finds the sender and the case, and does as the sender what the mail asks; the row of the log as it is then. What is refused is no error; others, such as a deadlock, pass through';

CREATE OR REPLACE FUNCTION csm.receive_email(mail jsonb, OUT status text, OUT reason text, OUT case_id bigint, OUT case_number text,
    OUT entry_id bigint, OUT attached integer, OUT not_attached integer)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant CONSTANT bigint := csm_private.gateway_tenant();
    e csm.email_log;
    fault text;
BEGIN
    IF jsonb_typeof(mail) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'mail is not a JSON object' USING ERRCODE = '22023',
            HINT = 'Give message_id, from, to, subject, text, headers and authentication; README lists them.';
    END IF;
    fault := csm_private.mail_fault(mail);
    -- The row comes first: whoever hands over the same mail meanwhile waits for it.
    INSERT INTO csm.email_log AS l (tenant_id, received_at, message_id, from_address, status, subject, body)
    SELECT tenant, csm_private.mail_time(mail ->> 'received_at'), CASE WHEN fault IS DISTINCT FROM 'malformed' THEN mail ->> 'message_id' END,
           csm_private.mail_address(mail ->> 'from'), 'received', left(csm_private.mail_clean(left(mail ->> 'subject', 10000), false), 400),
           left(csm_private.mail_clean(left(coalesce(mail ->> 'text', ''), 1000000), true), 100000)
    ON CONFLICT ON CONSTRAINT email_log_message_key DO NOTHING
    RETURNING * INTO e;
    IF NOT FOUND THEN
        SELECT * INTO e FROM csm.email_log l WHERE l.tenant_id = tenant AND l.message_id = mail ->> 'message_id';
    ELSE
        IF fault IS NOT NULL THEN
            e.status := 'refused';
            e.reason := fault;
        ELSE
            e.reason := csm_private.mail_loop(mail);
            IF e.reason IS NOT NULL THEN
                e.status := 'ignored';
                e.body := NULL;
            ELSE
                e := csm_private.judge_mail(e, mail);
            END IF;
        END IF;
        UPDATE csm.email_log l
        SET user_id = e.user_id, status = e.status, reason = e.reason, detail = e.detail, case_id = e.case_id, entry_id = e.entry_id,
            attached = e.attached, not_attached = e.not_attached, subject = e.subject, body = e.body
        WHERE l.id = e.id AND l.tenant_id = e.tenant_id;
    END IF;
    status := e.status;
    reason := e.reason;
    attached := e.attached;
    not_attached := e.not_attached;
    -- Of a case on which nothing was done the gateway learns nothing.
    IF e.status IN ('opened', 'commented') THEN
        entry_id := e.entry_id;
        SELECT c.id, c.number INTO case_id, case_number FROM csm.cases c WHERE c.id = e.case_id AND c.tenant_id = e.tenant_id;
    END IF;
END $$;
COMMENT ON FUNCTION csm.receive_email(jsonb) IS
'Takes a mail from a gateway: an object with message_id, in_reply_to, references, from, to, subject, text, received_at, headers (an object), authentication ({"dmarc": "pass"}), attachments (objects with file_name, media_type, and content in base64 or url, size, sha256 in hexadecimal). With the rights of the person who sent it, it becomes an entry of the case that it answers (status commented) or a new case (opened); else it is queued for staff, refused or ignored, and reason says why: README lists them. The same message_id gets the same answer. Persons named by csm.allow_mail_gateway(), for their tenant; the system. Errors: 42501 no gateway, 22023 no JSON object; what is wrong with a mail is no error';

-- Who hands over ------------------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.mail_time(given text) RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN least(coalesce(given::timestamptz, clock_timestamp()), clock_timestamp());
EXCEPTION WHEN data_exception THEN
    RETURN clock_timestamp();
END $$;
COMMENT ON FUNCTION csm_private.mail_time(text) IS
'When the gateway says that it received the mail, never in the future; now where it says nothing that can be read';

CREATE OR REPLACE FUNCTION csm_private.gateway_tenant() RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.acts_as_system() THEN
        RETURN csm.default_tenant_id();
    ELSIF NOT EXISTS (SELECT FROM csm.mail_gateways g
                      WHERE g.user_id = csm.current_user_id() AND g.tenant_id = csm.current_tenant_id()
                        AND csm_private.person_id() = g.user_id) THEN
        RAISE EXCEPTION 'mail is handed over by gateways' USING ERRCODE = '42501',
            HINT = 'The DBA names the person of a gateway with csm.allow_mail_gateway().';
    END IF;
    RETURN csm.current_tenant_id();
END $$;
COMMENT ON FUNCTION csm_private.gateway_tenant() IS
'Tenant for which the caller hands over mail; of the system the only one. Errors: 42501 for anybody else, 22023 for the system where there are several tenants';

CREATE OR REPLACE FUNCTION csm.allow_mail_gateway(user_id bigint, allowed boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT pg_has_role(current_user, 'csm_owner', 'USAGE') THEN
        RAISE EXCEPTION 'permission denied to name a mail gateway' USING ERRCODE = '42501',
            HINT = 'A gateway says who wrote a mail: only a superuser or a member of csm_owner may call csm.allow_mail_gateway().';
    ELSIF NOT EXISTS (SELECT FROM csm.users u WHERE u.id = allow_mail_gateway.user_id) THEN
        RAISE EXCEPTION 'there is no user %', coalesce(allow_mail_gateway.user_id::text, 'NULL') USING ERRCODE = '22023',
            HINT = 'Name a csm.users.id.';
    END IF;
    IF allowed THEN
        INSERT INTO csm.mail_gateways (user_id, tenant_id)
        SELECT u.id, u.tenant_id FROM csm.users u WHERE u.id = allow_mail_gateway.user_id
        ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM csm.mail_gateways g WHERE g.user_id = allow_mail_gateway.user_id;
    END IF;
END $$;
COMMENT ON FUNCTION csm.allow_mail_gateway(bigint, boolean) IS
'Lets a gateway that is signed in as this person hand over mail, or no longer. Superuser or member of csm_owner. Errors: 42501, 22023 no such user';

-- The queue -----------------------------------------------------------------

-- Staff open the case with their own rights; here they say which one it became.
CREATE OR REPLACE FUNCTION csm.settle_email(email_id bigint, case_id bigint DEFAULT NULL) RETURNS csm.email_log
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    e csm.email_log;
    c csm.cases;
BEGIN
    SELECT * INTO e FROM csm.email_log l WHERE l.id = email_id AND l.status = 'queued' FOR UPDATE;
    IF e.id IS NULL OR NOT coalesce(csm.all_in(e.tenant_id, 'internal', 'person_manage') OR csm.all_in(e.tenant_id, 'internal', 'configure'), false) THEN
        RAISE EXCEPTION 'no mail % waits for you', coalesce(email_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'csm.email_log lists what is queued; staff with person_manage and administrators settle it.';
    ELSIF e.settled_at IS NOT NULL THEN
        RAISE EXCEPTION 'mail % is settled already', email_id USING ERRCODE = '55000', HINT = 'Somebody else took it.';
    END IF;
    IF case_id IS NOT NULL THEN
        SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
        IF csm_private.case_allows(c, 'case_work') IS NOT TRUE THEN
            RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
                HINT = 'Name a case on which you work.';
        END IF;
    END IF;
    UPDATE csm.email_log l
    SET case_id = c.id, settled_by = csm.current_user_id(), settled_at = clock_timestamp()
    WHERE l.id = e.id AND l.tenant_id = e.tenant_id RETURNING * INTO e;
    RETURN e;
END $$;
COMMENT ON FUNCTION csm.settle_email(bigint, bigint) IS
'Takes a mail from the queue: case_id is the case that staff opened from it, NULL for none. Staff with person_manage, administrators. Errors: 42501 no such mail in the queue, SM001 no case on which he works, 55000 settled already';

-- How long it is kept -------------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.forget_mail(tenant_id bigint, before timestamptz, at_most integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n bigint;
BEGIN
    DELETE FROM csm.email_log l
    WHERE l.tenant_id = forget_mail.tenant_id
      AND l.id = ANY (ARRAY(SELECT o.id FROM csm.email_log o
                            WHERE o.tenant_id = forget_mail.tenant_id AND o.received_at < forget_mail.before
                              AND NOT EXISTS (SELECT FROM csm.legal_holds h
                                              WHERE h.tenant_id = o.tenant_id AND h.released_at IS NULL
                                                AND (h.user_id = o.user_id OR h.case_id = o.case_id))
                            ORDER BY o.received_at LIMIT forget_mail.at_most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
COMMENT ON FUNCTION csm_private.forget_mail(bigint, timestamptz, integer) IS
'Deletes rows of csm.email_log received before, but for those of a person or case that a legal hold keeps; returns how many. A mail that comes again after that is a new one';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.mail_setting(bigint, text)',
        'csm_private.mail_clean(text, boolean)',
        'csm_private.mail_reply(text, text)',
        'csm_private.mail_address(text)',
        'csm_private.mail_fault(jsonb)',
        'csm_private.mail_loop(jsonb)',
        'csm_private.mail_person(bigint, text)',
        'csm_private.mail_act(jsonb)',
        'csm_private.judge_mail(csm.email_log, jsonb)',
        'csm_private.mail_time(text)',
        'csm_private.gateway_tenant()',
        'csm_private.forget_mail(bigint, timestamptz, integer)',
        'csm.receive_email(jsonb)',
        'csm.allow_mail_gateway(bigint, boolean)',
        'csm.settle_email(bigint, bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.receive_email(jsonb) TO csm_portal, csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.settle_email(bigint, bigint) TO csm_agent, csm_admin;

-- Two who confirm one address at once
CREATE OR REPLACE FUNCTION csm.confirm_email(token text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := coalesce(csm.current_tenant_id(), csm.guest_tenant_id());
    c csm_private.email_changes;
    u csm.users;
    owner_id bigint;
BEGIN
    DELETE FROM csm_private.email_changes e
    WHERE e.token_hash = csm_private.token_hash(token) AND e.tenant_id = tenant AND e.expires_at > clock_timestamp()
    RETURNING * INTO c;
    IF c.id IS NULL THEN
        PERFORM csm_private.audit('email_confirmation_refused', csm.current_user_id(), NULL);
        RETURN 'refused';
    END IF;
    SELECT * INTO u FROM csm.users e WHERE e.id = c.user_id AND e.tenant_id = c.tenant_id FOR UPDATE;
    SELECT e.id INTO owner_id FROM csm.users e
    WHERE e.tenant_id = c.tenant_id AND e.email_key = lower(btrim(c.email)) AND e.id <> u.id;
    IF owner_id IS NOT NULL AND c.joins THEN
        PERFORM csm_private.merge_users(owner_id, u.id, 'confirmed by e-mail', owner_id);
    ELSIF owner_id IS NOT NULL THEN
        PERFORM csm_private.audit('email_confirmation_refused', u.id, u.id, NULL, '{"reason": "in_use"}');
        RETURN 'refused';
    ELSE
        BEGIN
            UPDATE csm.users e SET email = c.email WHERE e.id = u.id AND e.tenant_id = u.tenant_id;
        EXCEPTION WHEN unique_violation THEN
            -- somebody else confirmed it meanwhile
            PERFORM csm_private.audit('email_confirmation_refused', u.id, u.id, NULL, '{"reason": "in_use"}');
            RETURN 'refused';
        END;
        IF u.email IS NOT NULL THEN
            PERFORM csm_private.send_mail(u.tenant_id, 'email_changed', u.email, u.id, u.language, '{}');
        END IF;
    END IF;
    PERFORM csm_private.audit('email_confirmed', coalesce(owner_id, u.id), coalesce(owner_id, u.id));
    RETURN 'confirmed';
END $$;

-- What has expired goes by itself
-- What nobody can use any more goes by itself: a person who comes back clears
-- away what is his, and this what is left of those who never do. What has a
-- timer of its own (registrations) is not looked at here.

CREATE OR REPLACE FUNCTION csm_private.delete_expired(tenant_id bigint, at_most integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    at_time CONSTANT timestamptz := clock_timestamp();
    n bigint;
    most bigint;
BEGIN
    DELETE FROM csm.sessions s
    WHERE s.ctid = ANY (ARRAY(SELECT o.ctid FROM csm.sessions o
                              WHERE o.tenant_id = tenant_id
                                AND (o.expires_at <= at_time OR o.last_used_at + make_interval(mins => o.idle_minutes) <= at_time)
                              LIMIT at_most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS most = ROW_COUNT;
    DELETE FROM csm.password_resets r
    WHERE r.ctid = ANY (ARRAY(SELECT o.ctid FROM csm.password_resets o
                              WHERE o.tenant_id = tenant_id AND o.expires_at <= at_time LIMIT at_most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS n = ROW_COUNT;
    most := greatest(most, n);
    DELETE FROM csm_private.email_changes e
    WHERE e.ctid = ANY (ARRAY(SELECT o.ctid FROM csm_private.email_changes o
                              WHERE o.tenant_id = tenant_id AND o.expires_at <= at_time LIMIT at_most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS n = ROW_COUNT;
    most := greatest(most, n);
    DELETE FROM csm.spent_tokens s
    WHERE s.ctid = ANY (ARRAY(SELECT o.ctid FROM csm.spent_tokens o
                              WHERE o.tenant_id = tenant_id AND o.expires_at <= at_time LIMIT at_most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS n = ROW_COUNT;
    most := greatest(most, n);
    DELETE FROM csm_private.captcha_used u
    WHERE u.ctid = ANY (ARRAY(SELECT o.ctid FROM csm_private.captcha_used o
                              WHERE o.tenant_id = tenant_id AND o.expires_at <= at_time LIMIT at_most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS n = ROW_COUNT;
    most := greatest(most, n);
    DELETE FROM csm_private.survey_tokens s
    WHERE s.ctid = ANY (ARRAY(SELECT o.ctid FROM csm_private.survey_tokens o
                              JOIN csm.survey_responses r ON r.id = o.response_id AND r.tenant_id = o.tenant_id
                              WHERE o.tenant_id = tenant_id AND r.expires_at <= at_time LIMIT at_most FOR UPDATE OF o SKIP LOCKED));
    GET DIAGNOSTICS n = ROW_COUNT;
    most := greatest(most, n);
    DELETE FROM csm.outbox m
    WHERE m.ctid = ANY (ARRAY(SELECT o.ctid FROM csm.outbox o
                              WHERE o.tenant_id = tenant_id AND o.expires_at <= at_time LIMIT at_most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN greatest(most, n);
END $$;
COMMENT ON FUNCTION csm_private.delete_expired(bigint, integer) IS
'Deletes sessions and API keys that have ended, tokens of resets, of new addresses and of surveys, spent ID tokens, used captchas and messages that have expired: of each at most so many. Returns the greatest of the numbers. By the clock, never ahead of it';

CREATE OR REPLACE FUNCTION csm_private.due_expired(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at_most CONSTANT integer := 10000;
BEGIN
    PERFORM csm_private.set_timer(due_expired.tenant_id, 'expired', due_expired.object_id, NULL,
        due_expired.at + CASE WHEN csm_private.delete_expired(due_expired.tenant_id, at_most) < at_most
                              THEN interval '1 day' ELSE interval '1 minute' END);
END $$;
COMMENT ON FUNCTION csm_private.due_expired(bigint, bigint, timestamptz) IS
'Handler of timers of kind expired, one a tenant: daily, after a minute where something was left over';

CREATE OR REPLACE FUNCTION csm_private.begin_expired() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        PERFORM csm_private.set_timer(NEW.id, 'expired', NEW.id, NULL, clock_timestamp() + interval '1 day');
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.begin_expired() IS 'Trigger of csm.tenants: the first timer of kind expired';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.delete_expired(bigint, integer)',
        'csm_private.due_expired(bigint, bigint, timestamptz)',
        'csm_private.begin_expired()']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;

CREATE TRIGGER tenants_50_expired AFTER INSERT ON csm.tenants
    FOR EACH ROW EXECUTE FUNCTION csm_private.begin_expired();
INSERT INTO csm.timers (tenant_id, kind, object_id, due_at)
SELECT id, 'expired', id, clock_timestamp() + interval '1 day' FROM csm.tenants ON CONFLICT DO NOTHING;

-- What time does
CREATE OR REPLACE FUNCTION csm_private.run_timer(t csm.timers, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE t.kind
        WHEN 'awaiting_timeout' THEN PERFORM csm_private.due_awaiting_timeout(t.tenant_id, t.object_id, at);
        WHEN 'follow_up' THEN PERFORM csm_private.due_follow_up(t.tenant_id, t.object_id, at);
        WHEN 'dispute_response' THEN PERFORM csm_private.due_dispute_response(t.tenant_id, t.object_id, at);
        WHEN 'dispute_auto_accept' THEN PERFORM csm_private.due_dispute_auto_accept(t.tenant_id, t.object_id, at);
        WHEN 'dispute_appeal' THEN PERFORM csm_private.due_dispute_appeal(t.tenant_id, t.object_id, at);
        WHEN 'sla' THEN PERFORM csm_private.due_sla(t.tenant_id, t.object_id, at);
        WHEN 'seal' THEN PERFORM csm_private.due_seal(t.tenant_id, t.object_id, at);
        WHEN 'retention' THEN PERFORM csm_private.due_retention(t.tenant_id, t.object_id, at);
        WHEN 'follow_parent' THEN PERFORM csm_private.due_follow_parent(t.tenant_id, t.object_id, at);
        WHEN 'article_publish' THEN PERFORM csm_private.due_article_publish(t.tenant_id, t.object_id, at);
        WHEN 'article_expiry' THEN PERFORM csm_private.due_article_expiry(t.tenant_id, t.object_id, at);
        WHEN 'article_views' THEN PERFORM csm_private.due_article_views(t.tenant_id, t.object_id, at);
        WHEN 'survey' THEN PERFORM csm_private.due_survey(t.tenant_id, t.object_id, at);
        WHEN 'survey_low' THEN PERFORM csm_private.due_survey_low(t.tenant_id, t.object_id, at);
        WHEN 'registration' THEN PERFORM csm_private.due_registration(t.tenant_id, t.object_id, at);
        WHEN 'notify' THEN PERFORM csm_private.due_notify(t.tenant_id, t.object_id, at);
        WHEN 'expired' THEN PERFORM csm_private.due_expired(t.tenant_id, t.object_id, at);
        ELSE
            RAISE EXCEPTION 'timers of kind "%" have no handler', t.kind USING ERRCODE = '0A000',
                HINT = 'A newer version of csm wrote it; update the extension.';
    END CASE;
END $$;

-- Personal data: what is classified, with the statistics of its columns; what
-- erasing writes out
CREATE OR REPLACE FUNCTION csm_private.erase_texts(case_ids bigint[], all_texts boolean) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cases bigint;
    entries bigint;
    files bigint;
    links bigint;
BEGIN
    PERFORM csm_private.begin_erasures();
    UPDATE csm.cases c
    SET subject = 'erased', description = NULL, resolution_notes = CASE WHEN c.resolution_notes IS NOT NULL THEN 'erased' END,
        attributes = '{}', idempotency_key = NULL
    WHERE c.id = ANY (case_ids);
    GET DIAGNOSTICS cases = ROW_COUNT;
    UPDATE csm.case_internal f SET attributes = '{}' WHERE f.case_id = ANY (case_ids) AND f.attributes <> '{}';
    UPDATE csm.case_side_fields f SET attributes = '{}' WHERE f.case_id = ANY (case_ids) AND f.attributes <> '{}';
    UPDATE csm.case_lines l
    SET description = CASE WHEN l.description IS NOT NULL THEN 'erased' END,
        resolution_notes = CASE WHEN l.resolution_notes IS NOT NULL THEN 'erased' END
    WHERE l.case_id = ANY (case_ids);
    UPDATE csm.attachment_contents t SET content = ''
    FROM csm.attachments a
    WHERE a.case_id = ANY (case_ids) AND t.attachment_id = a.id AND t.tenant_id = a.tenant_id AND t.content <> '';
    UPDATE csm.attachments a
    SET file_name = 'erased', url = CASE WHEN a.url IS NOT NULL THEN 'https://erased.invalid/' END,
        size = CASE WHEN a.url IS NULL THEN 0 END, sha256 = CASE WHEN a.url IS NULL THEN sha256('') END
    WHERE a.case_id = ANY (case_ids) AND a.file_name <> 'erased';
    GET DIAGNOSTICS files = ROW_COUNT;
    IF all_texts THEN
        UPDATE csm.case_entries e SET body = 'erased' WHERE e.case_id = ANY (case_ids) AND e.body <> 'erased';
        GET DIAGNOSTICS entries = ROW_COUNT;
        UPDATE csm.case_tasks t
        SET subject = 'erased', description = CASE WHEN t.description IS NOT NULL THEN 'erased' END,
            close_notes = CASE WHEN t.close_notes IS NOT NULL THEN 'erased' END
        WHERE t.case_id = ANY (case_ids);
        UPDATE csm.dispute_proposals p
        SET notes = CASE WHEN p.notes IS NOT NULL THEN 'erased' END, reason = CASE WHEN p.reason IS NOT NULL THEN 'erased' END
        WHERE p.case_id = ANY (case_ids);
        UPDATE csm.handling_notes n SET body = 'erased' WHERE n.case_id = ANY (case_ids);
        UPDATE csm.survey_answers a SET body = NULL WHERE a.case_id = ANY (case_ids) AND a.body IS NOT NULL;
        UPDATE csm.knowledge_gaps g SET summary = 'erased' WHERE g.case_id = ANY (case_ids);
        UPDATE csm.case_blocks b SET note = 'erased' WHERE b.case_id = ANY (case_ids) AND b.note IS NOT NULL;
        UPDATE csm.escalations x
        SET justification = 'erased', decision_note = CASE WHEN x.decision_note IS NOT NULL THEN 'erased' END,
            closing_note = CASE WHEN x.closing_note IS NOT NULL THEN 'erased' END
        WHERE x.case_id = ANY (case_ids);
    END IF;
    -- The links that the statements above left say nothing of what was.
    UPDATE csm.case_history h SET actor_name = NULL, payload = NULL, salt = NULL
    WHERE h.case_id = ANY (case_ids) AND h.salt IS NOT NULL AND h.action <> 'erase'
      AND (h.payload ?| '{subject,description,resolution_notes,attributes,idempotency_key,internal.attributes,customer.attributes,counterparty.attributes,attachment.id}'
           OR all_texts AND h.payload ? 'entry.id');
    GET DIAGNOSTICS links = ROW_COUNT;
    PERFORM csm_private.end_erasure();
    RETURN jsonb_build_object('cases', cases, 'attachments', files, 'case_history', links) || CASE WHEN all_texts
        THEN jsonb_build_object('case_entries', entries) ELSE '{}' END;
END $$;
CREATE OR REPLACE FUNCTION csm_private.erase(person csm.users) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own CONSTANT bigint[] := ARRAY(SELECT c.id FROM csm.cases c WHERE c.requester_id = person.id ORDER BY c.id);
    gone jsonb := csm_private.erase_texts(own, false);
    kinds CONSTANT text[] := ARRAY(SELECT csm_private.act_kinds(person.tenant_id));
    -- History and the audit log go on naming persons who were made one with him.
    ids CONSTANT bigint[] := person.id || ARRAY(SELECT m.removed_id FROM csm.user_merges m WHERE m.kept_id = person.id);
    addresses CONSTANT text[] := person.email_key || ARRAY(SELECT lower(btrim(m.removed ->> 'email')) FROM csm.user_merges m WHERE m.kept_id = person.id);
    c record;
    n bigint;
BEGIN
    PERFORM csm_private.begin_erasures();
    UPDATE csm.case_entries e SET author_name = 'erased', body = 'erased' WHERE e.author_id = person.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    gone := gone || jsonb_build_object('case_entries', n);
    -- A visitor who turned out to be he has no author_id.
    UPDATE csm.interaction_entries e SET author_name = 'erased', body = 'erased'
    FROM csm.interactions i
    WHERE i.id = e.interaction_id AND i.tenant_id = e.tenant_id
      AND (e.author_id = person.id OR i.requester_id = person.id AND e.author_kind = 'customer');
    DELETE FROM csm_private.interaction_tokens k
    USING csm.interactions i WHERE i.id = k.interaction_id AND i.tenant_id = k.tenant_id AND i.requester_id = person.id;
    UPDATE csm.attachment_contents t SET content = ''
    FROM csm.attachments a WHERE a.author_id = person.id AND t.attachment_id = a.id AND t.tenant_id = a.tenant_id;
    UPDATE csm.attachments a
    SET author_name = 'erased', file_name = 'erased', url = CASE WHEN a.url IS NOT NULL THEN 'https://erased.invalid/' END,
        size = CASE WHEN a.url IS NULL THEN 0 END, sha256 = CASE WHEN a.url IS NULL THEN sha256('') END
    WHERE a.author_id = person.id;
    UPDATE csm.case_history h SET actor_name = NULL, payload = NULL, salt = NULL
    WHERE h.salt IS NOT NULL
      AND h.id = ANY (ARRAY(SELECT a.id FROM csm_private.acts a
                            WHERE a.tenant_id = person.tenant_id AND a.kind = ANY (kinds) AND a.actor_id = ANY (ids)));
    GET DIAGNOSTICS n = ROW_COUNT;
    gone := gone || jsonb_build_object('case_history', n + (gone ->> 'case_history')::bigint);
    UPDATE csm.handling_notes t SET body = 'erased'
    FROM csm.contacts k WHERE k.user_id = person.id AND t.contact_id = k.id AND t.tenant_id = k.tenant_id;

    FOR c IN SELECT p.table_name, p.subject, p.erasure, array_agg(p.column_name ORDER BY p.column_name) AS columns
             FROM csm_private.personal_columns() p WHERE p.erasure IN ('null', 'word', 'object', 'list', 'delete') GROUP BY 1, 2, 3
    LOOP
        IF c.erasure = 'delete' THEN
            EXECUTE format('DELETE FROM %s WHERE %I = ANY ($1) AND tenant_id = $2', c.table_name, c.subject) USING ids, person.tenant_id;
        ELSE
            EXECUTE format('UPDATE %s SET %s WHERE %I = ANY ($1) AND tenant_id = $2', c.table_name,
                           (SELECT string_agg(format(CASE c.erasure WHEN 'null' THEN '%1$I = NULL' WHEN 'object' THEN '%1$I = ''{}''' WHEN 'list' THEN '%1$I = ''[]'''
                                                     ELSE '%1$I = CASE WHEN %1$I IS NOT NULL THEN ''erased'' END' END, x), ', ')
                            FROM unnest(c.columns) x), c.subject)
            USING ids, person.tenant_id;
        END IF;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n > 0 THEN
            gone := gone || jsonb_build_object(substr(c.table_name, 5), n + coalesce((gone ->> substr(c.table_name, 5))::bigint, 0));
        END IF;
    END LOOP;
    -- What was begun with an address of his before there was a person.
    DELETE FROM csm.outbox o WHERE o.tenant_id = person.tenant_id AND lower(btrim(o.recipient)) = ANY (addresses);
    DELETE FROM csm.registrations r WHERE r.tenant_id = person.tenant_id AND r.email_key = ANY (addresses);
    DELETE FROM csm.email_log l WHERE l.tenant_id = person.tenant_id AND l.user_id IS NULL AND l.from_address = ANY (addresses);
    UPDATE csm.contacts k SET login_enabled = false WHERE k.user_id = person.id AND k.login_enabled;
    UPDATE csm.users u
    SET display_name = 'erased', email = NULL, phone = NULL, title = NULL, external_id = NULL, login_role = NULL,
        language = 'en', time_zone = 'UTC', enabled = false
    WHERE u.id = person.id AND u.tenant_id = person.tenant_id;
    PERFORM csm_private.end_erasure();
    -- Samples of what was erased stand in the planner's statistics.
    ANALYZE csm.cases (subject, search);
    ANALYZE csm.questions (title, search);
    RETURN gone;
END $$;
CREATE OR REPLACE FUNCTION csm_private.mention_pattern(person csm.users) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(DISTINCT regexp_replace(w.word, '([][\\.(){}*+?^$|])', '\\\1', 'g'), '|')
    -- he himself, and whoever was made one with him
    FROM (SELECT t.term
          FROM (SELECT person.display_name, person.email, person.phone, person.external_id
                UNION ALL
                SELECT m.removed ->> 'display_name', m.removed ->> 'email', m.removed ->> 'phone', m.removed ->> 'external_id'
                FROM csm.user_merges m WHERE m.kept_id = person.id AND m.tenant_id = person.tenant_id) p
          CROSS JOIN LATERAL unnest(ARRAY[p.display_name, p.email, p.phone, p.external_id,
                                          substring(p.display_name FROM '[^[:space:]]+$')]) t(term)
          WHERE length(btrim(t.term)) >= 3 AND p.display_name <> 'erased') n
    -- as it stands in a text, and as JSON writes it
    CROSS JOIN LATERAL (VALUES (btrim(n.term)), (btrim(to_json(btrim(n.term))::text, '"'))) w(word)
$$;
-- What is personal: every column that could hold personal data is classified
-- here, and a test refuses one that is not. Erasing, searching, exporting and
-- the planner's statistics follow the list, so that a new table has to say only
-- here what it keeps.

CREATE OR REPLACE FUNCTION csm_private.personal_columns()
RETURNS TABLE (table_name text, column_name text, content text, subject text, erasure text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 200
BEGIN ATOMIC
    VALUES
        ('csm.users', 'display_name', 'person', 'id', 'own'),
        ('csm.users', 'email', 'person', 'id', 'own'),
        ('csm.users', 'email_key', 'person', 'id', 'own'),
        ('csm.users', 'phone', 'person', 'id', 'own'),
        ('csm.users', 'title', 'person', 'id', 'own'),
        ('csm.users', 'login_role', 'person', 'id', 'own'),
        ('csm.users', 'external_id', 'person', 'id', 'own'),
        ('csm.users', 'location', 'person', 'id', 'null'),
        ('csm.employees', 'department', 'person', 'user_id', 'null'),
        ('csm.households', 'name', 'person', 'head_user_id', 'word'),
        ('csm.accounts', 'name', 'text', NULL, 'offer'),
        ('csm.assets', 'serial_number', 'person', 'user_id', 'null'),
        ('csm.assets', 'location', 'person', 'user_id', 'null'),
        ('csm.contracts', 'name', 'text', NULL, 'offer'),
        ('csm.contract_lines', 'description', 'text', NULL, 'offer'),
        ('csm.entitlements', 'name', 'text', NULL, 'offer'),
        ('csm.entitlement_uses', 'note', 'text', 'used_by', 'null'),
        ('csm.cases', 'subject', 'text', 'requester_id', 'own'),
        ('csm.cases', 'description', 'text', 'requester_id', 'own'),
        ('csm.cases', 'resolution_notes', 'text', 'requester_id', 'own'),
        ('csm.cases', 'attributes', 'text', 'requester_id', 'own'),
        ('csm.cases', 'search', 'text', 'requester_id', 'own'),
        ('csm.cases', 'idempotency_key', 'person', 'requester_id', 'own'),
        ('csm.case_internal', 'attributes', 'text', NULL, 'own'),
        ('csm.case_side_fields', 'attributes', 'text', NULL, 'own'),
        ('csm.case_entries', 'author_name', 'person', 'author_id', 'own'),
        ('csm.case_entries', 'body', 'text', 'author_id', 'own'),
        ('csm.attachments', 'author_name', 'person', 'author_id', 'own'),
        ('csm.attachments', 'file_name', 'text', 'author_id', 'own'),
        ('csm.attachments', 'url', 'text', 'author_id', 'own'),
        ('csm.attachments', 'sha256', 'person', 'author_id', 'own'),
        ('csm.attachment_contents', 'content', 'person', NULL, 'own'),
        ('csm.case_history', 'actor_name', 'person', 'actor_id', 'own'),
        ('csm.case_history', 'payload', 'text', 'actor_id', 'own'),
        ('csm.case_history', 'salt', 'secret', 'actor_id', 'own'),
        ('csm.events', 'payload', 'text', NULL, 'offer'),
        ('csm.dispute_proposals', 'proposed_name', 'person', 'proposed_by', 'word'),
        ('csm.dispute_proposals', 'notes', 'text', 'proposed_by', 'null'),
        ('csm.dispute_proposals', 'reference', 'text', NULL, 'offer'),
        ('csm.dispute_proposals', 'decided_name', 'person', 'decided_by', 'word'),
        ('csm.dispute_proposals', 'reason', 'text', 'decided_by', 'null'),
        ('csm.case_tasks', 'subject', 'text', 'opened_by', 'word'),
        ('csm.case_tasks', 'description', 'text', 'opened_by', 'null'),
        ('csm.case_tasks', 'close_notes', 'text', 'closed_by', 'null'),
        ('csm.case_lines', 'description', 'text', 'opened_by', 'word'),
        ('csm.case_lines', 'resolution_notes', 'text', NULL, 'offer'),
        ('csm.case_blocks', 'note', 'text', 'blocked_by', 'word'),
        ('csm.escalations', 'justification', 'text', 'requested_by', 'word'),
        ('csm.escalations', 'decision_note', 'text', 'decided_by', 'word'),
        ('csm.escalations', 'closing_note', 'text', 'closed_by', 'word'),
        ('csm.handling_notes', 'body', 'text', 'user_id', 'word'),
        ('csm.response_templates', 'body', 'text', NULL, 'offer'),
        ('csm.articles', 'title', 'text', 'author_id', 'offer'),
        ('csm.articles', 'keywords', 'text', 'author_id', 'offer'),
        ('csm.articles', 'body', 'text', 'author_id', 'offer'),
        ('csm.articles', 'search', 'text', 'author_id', 'own'),
        ('csm.article_versions', 'title', 'text', 'author_id', 'offer'),
        ('csm.article_versions', 'keywords', 'text', 'author_id', 'offer'),
        ('csm.article_versions', 'body', 'text', 'author_id', 'offer'),
        ('csm.article_versions', 'note', 'text', NULL, 'offer'),
        ('csm.article_feedback', 'comment', 'text', 'user_id', 'word'),
        ('csm.knowledge_gaps', 'summary', 'text', 'reported_by', 'word'),
        ('csm.questions', 'author_name', 'person', 'author_id', 'word'),
        ('csm.questions', 'title', 'text', 'author_id', 'word'),
        ('csm.questions', 'body', 'text', 'author_id', 'word'),
        ('csm.questions', 'search', 'text', 'author_id', 'null'),
        ('csm.answers', 'author_name', 'person', 'author_id', 'word'),
        ('csm.answers', 'body', 'text', 'author_id', 'word'),
        ('csm.post_comments', 'author_name', 'person', 'author_id', 'word'),
        ('csm.post_comments', 'body', 'text', 'author_id', 'word'),
        ('csm.post_versions', 'title', 'text', 'author_id', 'word'),
        ('csm.post_versions', 'body', 'text', 'author_id', 'word'),
        ('csm.post_reports', 'reason', 'text', 'reporter_id', 'word'),
        ('csm.moderation_acts', 'reason', 'text', 'actor_id', 'word'),
        ('csm.community_profiles', 'handle', 'person', 'user_id', 'delete'),
        ('csm.community_profiles', 'display', 'person', 'user_id', 'delete'),
        ('csm.community_profiles', 'about', 'text', 'user_id', 'delete'),
        ('csm.interactions', 'subject', 'text', 'requester_id', 'word'),
        ('csm.interaction_entries', 'author_name', 'person', 'author_id', 'own'),
        ('csm.interaction_entries', 'body', 'text', 'author_id', 'own'),
        ('csm_private.interaction_tokens', 'token_hash', 'secret', NULL, 'own'),
        ('csm.timers', 'error', 'text', NULL, 'offer'),
        ('csm.outbox', 'recipient', 'person', 'user_id', 'delete'),
        ('csm.outbox', 'payload', 'secret', 'user_id', 'delete'),
        ('csm.audit_log', 'details', 'text', 'subject_user_id', 'object'),
        ('csm.email_log', 'message_id', 'person', 'user_id', 'delete'),
        ('csm.email_log', 'from_address', 'person', 'user_id', 'delete'),
        ('csm.email_log', 'detail', 'text', 'user_id', 'delete'),
        ('csm.email_log', 'subject', 'text', 'user_id', 'delete'),
        ('csm.email_log', 'body', 'text', 'user_id', 'delete'),
        ('csm.survey_answers', 'body', 'text', 'user_id', 'null'),
        ('csm_private.survey_tokens', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm.external_identities', 'subject', 'person', 'user_id', 'delete'),
        ('csm.passwords', 'hash', 'secret', 'user_id', 'delete'),
        ('csm.password_resets', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm.registrations', 'email', 'person', 'user_id', 'delete'),
        ('csm.registrations', 'email_key', 'person', 'user_id', 'delete'),
        ('csm.registrations', 'display_name', 'person', 'user_id', 'delete'),
        ('csm.registrations', 'terms', 'text', 'user_id', 'delete'),
        ('csm.registrations', 'reason', 'text', 'user_id', 'delete'),
        ('csm.sessions', 'label', 'person', 'user_id', 'delete'),
        ('csm_private.session_tokens', 'token_hash', 'secret', NULL, 'own'),
        ('csm_private.email_changes', 'email', 'person', 'user_id', 'delete'),
        ('csm_private.email_changes', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm_private.mail_tokens', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm.notifications', 'error', 'person', 'user_id', 'delete'),
        ('csm.notification_templates', 'subject', 'text', NULL, 'offer'),
        ('csm.notification_templates', 'body', 'text', NULL, 'offer'),
        ('csm.user_merges', 'reason', 'text', 'kept_id', 'word'),
        ('csm.user_merges', 'removed', 'person', 'kept_id', 'object'),
        ('csm.user_merges', 'given_up', 'person', 'kept_id', 'list'),
        ('csm_private.registration_tokens', 'token_hash', 'secret', NULL, 'own'),
        ('csm.legal_holds', 'reason', 'text', 'user_id', 'word'),
        ('csm.erasure_requests', 'reason', 'text', 'user_id', 'word')
  UNION ALL
    -- Names of things, keys, states, computed values: nothing of a person.
    SELECT n.table_name, c.column_name, 'none', NULL, NULL
    FROM (VALUES
        ('csm.users', 'language time_zone'),
        ('csm.tenants', 'key name settings'),
        ('csm.accounts', 'number'),
        ('csm.account_relationships', 'type scope'),
        ('csm.account_team', 'responsibility'),
        ('csm.contacts', 'role'),
        ('csm.user_roles', 'role branches reach'),
        ('csm.roles', 'role kind user_class label branches'),
        ('csm.role_permissions', 'role action reach'),
        ('csm.service_organizations', 'name'),
        ('csm.groups', 'name'),
        ('csm.user_criteria', 'key label match'),
        ('csm.user_criteria_parts', 'kind role persona location language'),
        ('csm.audiences', 'grants_key'),
        ('csm.audience_grants', 'action'),
        ('csm.products', 'name'),
        ('csm.knowledge_bases', 'key title description language'),
        ('csm.knowledge_categories', 'title'),
        ('csm.articles', 'state number language'),
        ('csm.article_versions', 'state'),
        ('csm.case_articles', 'relation'),
        ('csm.knowledge_gaps', 'state'),
        ('csm.sold_products', 'branch'),
        ('csm.assets', 'branch'),
        ('csm.contracts', 'branch number'),
        ('csm.entitlements', 'branch channels unit'),
        ('csm.entitlement_uses', 'unit'),
        ('csm.cases', 'branch state_class state number case_type language channel resolution_code major_state'),
        ('csm.case_types', 'case_type parent_type label settings'),
        ('csm.case_states', 'case_type state state_class label'),
        ('csm.case_transitions', 'case_type from_state action to_state actors required_fields effects label from_type to_type'),
        ('csm.case_type_fields', 'case_type name label type audience required_for choices reference'),
        ('csm.case_entries', 'branch visibility side idempotency_key'),
        ('csm.case_parties', 'capabilities'),
        ('csm.case_side_fields', 'side'),
        ('csm.attachments', 'visibility side media_type'),
        ('csm.case_history', 'action persona relation audience payload_hash previous_hash hash'),
        ('csm.history_seals', 'root previous_hash hash'),
        ('csm.history_leaves', 'last_hash'),
        ('csm.events', 'kind audience side'),
        ('csm.event_subscribers', 'key kinds case_types'),
        ('csm.dispute_proposals', 'side currency resolution_code outcome'),
        ('csm.case_tasks', 'branch number state'),
        ('csm.case_lines', 'state'),
        ('csm.case_blocks', 'reason'),
        ('csm.case_links', 'kind'),
        ('csm.case_slas', 'name type state'),
        ('csm.sla_definitions', 'name type calendar_from case_types branches'),
        ('csm.sla_events', 'event'),
        ('csm.calendars', 'name time_zone'),
        ('csm.calendar_exceptions', 'name'),
        ('csm.escalation_templates', 'template label severity targets reasons'),
        ('csm.escalations', 'state source reason severity trend'),
        ('csm.recipient_lists', 'name'),
        ('csm.major_changes', 'fields'),
        ('csm.response_templates', 'name case_type'),
        ('csm.forums', 'key title description'),
        ('csm.questions', 'state language'),
        ('csm.answers', 'state'),
        ('csm.post_comments', 'state'),
        ('csm.moderation_acts', 'action'),
        ('csm.case_questions', 'relation'),
        ('csm.interactions', 'branch channel state handled_by verification verified_how language'),
        ('csm.interaction_entries', 'author_kind'),
        ('csm.timers', 'kind'),
        ('csm.outbox', 'kind language'),
        ('csm.email_log', 'status reason'),
        ('csm.surveys', 'key label ask_when'),
        ('csm.survey_questions', 'key kind label'),
        ('csm.audit_log', 'kind'),
        ('csm.identity_providers', 'name issuer audience algorithms subject_claim claims link_by create_as create_role'),
        ('csm.identity_provider_keys', 'kid jwk algorithms'),
        ('csm.spent_tokens', 'token_hash'),
        ('csm.denied_passwords', 'password'),
        ('csm.account_domains', 'domain'),
        ('csm.notification_preferences', 'event channel'),
        ('csm.sessions', 'kind persona actions'),
        ('csm.registrations', 'kind state language role route'),
        ('csm_private.registration_codes', 'code_hash'),
        ('csm_private.registration_tokens', 'purpose'),
        ('csm_private.captcha_used', 'challenge'),
        ('csm_private.secrets', 'name value'),
        ('csm_private.mail_tokens', 'event channel'),
        ('csm.notifications', 'kind channel audience side state'),
        ('csm.notification_rules', 'event channel recipients'),
        ('csm.notification_templates', 'event channel language'),
        ('csm.erasure_requests', 'erased'),
        ('csm.licence_products', 'product label roles'),
        ('csm.licence_policies', 'policy label counts products'),
        ('csm_private.shipped_copies', 'kind key content')
    ) AS n(table_name, columns), string_to_table(n.columns, ' ') AS c(column_name);
END;
ALTER FUNCTION csm_private.personal_columns() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.personal_columns() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.personal_columns() IS
'Every column of a type that can hold words or bytes. content: none; person (data of the person whom the column subject names); text (free text, subject: its author or whom it is about; may mention anybody); secret (never exported). erasure: null, word (''erased'' where a value is), object ({}), list ([]), delete (the row), own (written out in csm_private.erase_texts() and erase()), offer (csm.find_mentions() alone)';

-- Columns that say whom a row is about or by: foreign keys to csm.users, and
-- those without one.
CREATE OR REPLACE FUNCTION csm.person_references() RETURNS TABLE (table_name text, column_name text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('%I.%I', n.nspname, t.relname), a.attname::text
    FROM pg_constraint k
    JOIN pg_class t ON t.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
    JOIN pg_class u ON u.oid = k.confrelid AND u.relname = 'users'
    JOIN pg_namespace un ON un.oid = u.relnamespace AND un.nspname = 'csm'
    WHERE k.contype = 'f' AND n.nspname IN ('csm', 'csm_private') AND a.attname <> 'tenant_id'
  UNION
    VALUES ('csm.users', 'id'), ('csm.case_history', 'actor_id'), ('csm.case_history', 'on_behalf_of'), ('csm.events', 'actor_id'),
           ('csm.events', 'on_behalf_of'), ('csm.case_entries', 'on_behalf_of'),
           ('csm.audit_log', 'actor_id'), ('csm.audit_log', 'subject_user_id'), ('csm.case_children', 'user_id')
$$;
COMMENT ON FUNCTION csm.person_references() IS
'Every column of csm that names a person (csm.users.id): what csm.export_person() looks through';

ALTER FUNCTION csm.person_references() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.person_references() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.person_references() TO csm_portal, csm_agent, csm_admin;

-- What ANALYZE takes from a column it keeps as samples. Personal columns that no
-- plan asks about get none; subject and search are analysed anew after an
-- erasure.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT p.table_name, p.column_name FROM csm_private.personal_columns() p
             WHERE p.content <> 'none' AND (p.table_name, p.column_name) NOT IN (('csm.cases', 'subject'), ('csm.cases', 'search'),
                                                                         ('csm.articles', 'title'), ('csm.articles', 'search'),
                                                                         ('csm.questions', 'title'), ('csm.questions', 'search'))
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 0', c.table_name, c.column_name);
    END LOOP;
END $$;
CREATE OR REPLACE FUNCTION csm_private.retain(tenant_id bigint, at timestamptz, at_most integer)
RETURNS TABLE (kind text, erased bigint, held bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    rules CONSTANT jsonb := (SELECT t.settings -> 'retention' FROM csm.tenants t WHERE t.id = tenant_id);
    before timestamptz;
    ids bigint[];
    person csm.users;
    gone jsonb;
BEGIN
    IF jsonb_typeof(rules -> 'case_days') = 'number' THEN
        kind := 'case';
        before := at - (rules ->> 'case_days')::numeric::integer * interval '1 day';
        SELECT count(*) INTO held FROM csm.cases c
        WHERE c.tenant_id = tenant_id AND c.state_class IN ('closed', 'cancelled') AND c.subject <> 'erased'
          AND coalesce(c.closed_at, c.updated_at) < before AND csm_private.holds_on(c);
        ids := ARRAY(SELECT c.id FROM csm.cases c
                     WHERE c.tenant_id = tenant_id AND c.state_class IN ('closed', 'cancelled') AND c.subject <> 'erased'
                       AND coalesce(c.closed_at, c.updated_at) < before AND NOT csm_private.holds_on(c)
                     ORDER BY c.id LIMIT at_most FOR NO KEY UPDATE SKIP LOCKED);
        erased := cardinality(ids);
        IF erased > 0 THEN
            PERFORM csm_private.erase_texts(ids, true);
            ANALYZE csm.cases (subject, search);
        END IF;
        RETURN NEXT;
    END IF;
    IF jsonb_typeof(rules -> 'mail_days') = 'number' THEN
        kind := 'mail';
        held := 0;
        erased := csm_private.forget_mail(tenant_id, at - (rules ->> 'mail_days')::numeric::integer * interval '1 day', at_most);
        RETURN NEXT;
    END IF;
    IF jsonb_typeof(rules -> 'person_days') = 'number' THEN
        kind := 'person';
        before := at - (rules ->> 'person_days')::numeric::integer * interval '1 day';
        erased := 0;
        held := 0;
        FOR person IN
            SELECT u.* FROM csm.users u
            WHERE u.tenant_id = tenant_id AND u.created_at < before AND u.login_role IS NULL AND u.display_name <> 'erased'
              AND NOT EXISTS (SELECT FROM csm.employees e WHERE e.user_id = u.id)
              AND NOT EXISTS (SELECT FROM csm.user_roles r WHERE r.user_id = u.id AND (r.valid_during IS NULL OR upper_inf(r.valid_during) OR upper(r.valid_during) >= before))
              AND NOT EXISTS (SELECT FROM csm.contacts k WHERE k.user_id = u.id AND (k.valid_during IS NULL OR upper_inf(k.valid_during) OR upper(k.valid_during) >= before))
              AND NOT EXISTS (SELECT FROM csm.consumers k WHERE k.user_id = u.id AND k.registered_at >= before)
              AND NOT EXISTS (SELECT FROM csm.representations k WHERE u.id IN (k.representative_id, k.represented_id)
                              AND (k.valid_during IS NULL OR upper_inf(k.valid_during) OR upper(k.valid_during) >= before))
              AND NOT EXISTS (SELECT FROM csm.household_members k WHERE k.user_id = u.id
                              AND (k.valid_during IS NULL OR upper_inf(k.valid_during) OR upper(k.valid_during) >= before))
              AND NOT EXISTS (SELECT FROM csm.mail_senders s WHERE s.user_id = u.id)
              AND NOT EXISTS (SELECT FROM csm.mail_gateways s WHERE s.user_id = u.id)
              AND NOT EXISTS (SELECT FROM csm.event_subscribers s WHERE s.user_id = u.id)
              AND NOT EXISTS (SELECT FROM csm.sold_products s WHERE s.user_id = u.id)
              AND NOT EXISTS (SELECT FROM csm.contracts s WHERE s.user_id = u.id)
              AND NOT EXISTS (SELECT FROM csm.cases c WHERE c.requester_id = u.id
                              AND (c.state_class NOT IN ('closed', 'cancelled') OR c.updated_at >= before))
              AND NOT EXISTS (SELECT FROM csm.audit_log a WHERE a.actor_id = u.id AND a.at >= before)
            ORDER BY u.id LIMIT at_most FOR UPDATE SKIP LOCKED
        LOOP
            BEGIN
                PERFORM csm_private.refuse_held(person);
            EXCEPTION WHEN object_in_use THEN
                held := held + 1;
                CONTINUE;
            END;
            INSERT INTO csm.erasure_requests AS r (tenant_id, user_id, reason) VALUES (tenant_id, person.id, 'retention')
            ON CONFLICT (user_id) WHERE erased_at IS NULL DO NOTHING;
            gone := csm_private.erase(person);
            UPDATE csm.erasure_requests r SET erased = gone, erased_at = clock_timestamp(), reason = 'erased'
            WHERE r.user_id = person.id AND r.erased_at IS NULL;
            PERFORM csm_private.audit('person_erased', NULL, person.id, NULL, '{"by": "retention"}', tenant_id);
            erased := erased + 1;
        END LOOP;
        RETURN NEXT;
        -- Who registered and never became a person here.
        kind := 'registration';
        held := 0;
        DELETE FROM csm.registrations r
        WHERE r.ctid = ANY (ARRAY(SELECT o.ctid FROM csm.registrations o
                                  WHERE o.tenant_id = tenant_id AND o.user_id IS NULL AND o.decided_at < before
                                  LIMIT at_most FOR UPDATE SKIP LOCKED));
        GET DIAGNOSTICS erased = ROW_COUNT;
        RETURN NEXT;
    END IF;
END $$;
CREATE OR REPLACE FUNCTION csm_private.begin_retention() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rule record;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF NEW.settings ? 'retention' THEN
        FOR rule IN SELECT r.key, r.value FROM jsonb_each(CASE jsonb_typeof(NEW.settings -> 'retention') WHEN 'object'
                                                          THEN NEW.settings -> 'retention' ELSE '{"retention": null}' END) r LOOP
            IF rule.key NOT IN ('case_days', 'person_days', 'mail_days') OR jsonb_typeof(rule.value) <> 'number'
               OR rule.value::text !~ '^[1-9][0-9]{0,4}$' THEN
                RAISE EXCEPTION 'setting retention of a tenant has case_days, person_days and mail_days, whole days from 1 to 99999' USING ERRCODE = '22023',
                    DETAIL = format('It has %s: %s.', rule.key, rule.value), HINT = 'Leave out what is to be kept for ever.';
            END IF;
        END LOOP;
    END IF;
    PERFORM csm_private.set_timer(NEW.id, 'retention', NEW.id, NULL,
        CASE WHEN NEW.settings ? 'retention' THEN clock_timestamp() + interval '1 hour' END);
    RETURN NULL;
END $$;

COMMENT ON SCHEMA csm IS 'Customer service management: the public tables and functions';
COMMENT ON SCHEMA csm_private IS 'Internals of csm; no role but csm_owner has USAGE';
COMMENT ON SCHEMA csm_report IS 'Views for reporting: row-level security of the reader applies, no personal data';
COMMENT ON FUNCTION csm_private.schema_of(text) IS
'Quoted name of the schema in which an installed extension lives; NULL when it is not installed';
COMMENT ON FUNCTION csm_private.is_valid(tstzrange, timestamptz) IS
'Whether the range counts at the instant; NULL range: always';
COMMENT ON FUNCTION csm_private.next_change(tstzrange, timestamptz) IS
'First instant after the given one at which is_valid() can answer otherwise; NULL when it never will';
COMMENT ON FUNCTION csm.current_user_id() IS
'The signed-in person (csm.users.id); NULL when nobody is signed in, or the person or the tenant is disabled';
COMMENT ON FUNCTION csm.current_tenant_id() IS
'Tenant of the signed-in person; NULL when nobody is signed in';
COMMENT ON FUNCTION csm.guest_tenant_id() IS
'Tenant of a visitor who is not signed in: the one whose key stands in csm.tenant, by default the only tenant; NULL when somebody is signed in, the key is unknown, or the tenant is disabled';
COMMENT ON FUNCTION csm.default_tenant_id() IS
'Default of every tenant_id column: the tenant of the signed-in person; without identity the only tenant; error 22023 where there are several';
COMMENT ON FUNCTION csm.sign_out() IS
'Makes the session nobody, with no fallback to a mapped login role, until the setting is made anew or RESET ALL';
COMMENT ON FUNCTION csm.act_as(text) IS
'Narrows the rights of the transaction to one persona: contact:<id>, consumer, employee or staff:<role>; NULL lifts it. Error 22023 for text of another form; a well-formed persona that the person does not hold gives no rights';
COMMENT ON FUNCTION csm_private.access_support(internal) IS
'Planner support of the access predicates: index condition, selectivity, cost';
COMMENT ON FUNCTION csm.all_tenant(text) IS
'The tenant in which the person has reach "all" for the action in at least one branch; NULL when in none';
COMMENT ON FUNCTION csm.accounts_allowing(text) IS
'Sorted ids: accounts on which the action is allowed, or on a part of whose cases; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.accounts_known() IS
'Sorted ids: accounts on which the person has any right at all; empty for nobody';
COMMENT ON FUNCTION csm.requesters_allowing(text) IS
'Sorted ids: the person and those he speaks for (household members, represented persons, persons on whose team he is); empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.openers_allowing(text) IS
'Sorted ids: the person himself when opening a case can give him the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.internal_contacts_allowing(text) IS
'Sorted ids: the person himself when being the internal contact of a case gives him the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.partner_accounts_allowing(text) IS
'Sorted ids: partner accounts through which cases that name the partner account admit the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.partner_contacts_allowing(text) IS
'Sorted ids: the person''s contact ids through which cases that name him as partner contact admit the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.households_allowing(text) IS
'Sorted ids: households that the person heads, or on whose team he is; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.organizations_allowing(text) IS
'Sorted ids: service organisations in the person''s reach; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.shared_cases_allowing(text) IS
'Sorted ids: cases shared with the person or one of his accounts; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.counterparties_allowing(text) IS
'Sorted ids: accounts for which the person may act as the counterparty of a dispute; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.counterparty_contacts_allowing(text) IS
'Sorted ids: the person''s contact ids, when being named as the counterparty''s contact gives him the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.parties_allowing(text) IS
'Sorted keys of csm.cases.party_keys through which the person may have the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm_private.party_keys(bigint, bigint, bigint, bigint, bigint, bigint, bigint) IS
'The rarer parties of a case as one array (id * 8 + kind), NULL when there are none: one index and one arm of the policy serve them all';
COMMENT ON FUNCTION csm.party_allows(bigint[], text, bigint, timestamptz, timestamptz, text) IS
'True where any party in csm.cases.party_keys admits the action, each by its own rule: partner_allows, partner_contact_allows, household_allows, internal_contact_allows, organization_allows, and, once the case is submitted, counterparty_allows and counterparty_contact_allows';
COMMENT ON FUNCTION csm.all_in(bigint, text, text) IS
'True where the person has reach "all" for the action in the branch (b2b, b2c, internal) of that tenant';
COMMENT ON FUNCTION csm.account_allows(bigint, text) IS
'True where the person may do the action on every case and record of the account; an account of which he may see cases only from a date on is left out';
COMMENT ON FUNCTION csm.account_allows(bigint, timestamptz, text) IS
'As account_allows(bigint, text), and for an account of a partner relationship with history_from, from that instant on';
COMMENT ON FUNCTION csm.account_known(bigint) IS
'True where the person has any right on the account';
COMMENT ON FUNCTION csm.requester_allows(bigint, text, bigint, text) IS
'True for the person''s own cases while the persona behind them is valid (V4), and for b2c cases of those he speaks for (V6); account_id may be NULL';
COMMENT ON FUNCTION csm.opener_allows(bigint, text, bigint, text) IS
'True for cases that the person opened, while the persona he opened them through is valid (V4); account_id may be NULL';
COMMENT ON FUNCTION csm.internal_contact_allows(bigint, text, text) IS
'True where the person is the internal contact of the case and holds a staff role with reach own';
COMMENT ON FUNCTION csm.partner_allows(bigint, bigint, text) IS
'True for cases of a customer that name the person''s partner account, while the relationship is current (V5)';
COMMENT ON FUNCTION csm.partner_contact_allows(bigint, bigint, text) IS
'True for cases of a customer that name the person as partner contact, while the relationship is current (V5)';
COMMENT ON FUNCTION csm.household_allows(bigint, text) IS
'True for the household that the person heads, or on whose team he is';
COMMENT ON FUNCTION csm.organization_allows(bigint, text, text) IS
'True for service organisations in the person''s reach, less the excluded subtrees';
COMMENT ON FUNCTION csm.shared_case_allows(bigint, text) IS
'True for a case shared with the person or one of his accounts, as far as the share''s capabilities go (V7)';
COMMENT ON FUNCTION csm.counterparty_allows(bigint, timestamptz, text) IS
'True where the person acts for the account against which a dispute is raised: by role, or as any contact where the account has neither manager nor admin (V8)';
COMMENT ON FUNCTION csm.counterparty_contact_allows(bigint, text) IS
'True where the person is the named contact of the counterparty (V8)';
COMMENT ON FUNCTION csm_private.signal() IS
'Row and TRUNCATE trigger of the edge tables: tells every session that access maps built from these keys are suspect. Arguments: pairs of key kind and column';
COMMENT ON FUNCTION csm_private.restoring() IS
'True while rows are loaded from a dump (csm.restoring is on, or auto and a superuser runs with row_security off) and while personal data are erased. Every trigger that derives or judges honours it';
COMMENT ON FUNCTION csm_private.adopt_table(text) IS
'Install scripts only: owner, row security, tenant policy and dump registration for a new table';
COMMENT ON FUNCTION csm_private.signal_on(text, text[], text[]) IS
'Install scripts only: attaches the signal triggers to an edge table';
COMMENT ON FUNCTION csm_private.text_support(internal) IS
'Planner support of csm.matches and csm.contains: index condition, selectivity';
COMMENT ON FUNCTION csm_private.like_pattern(text) IS
'LIKE pattern for a literal substring: %needle% with %, _ and \ escaped; NULL for NULL';
COMMENT ON FUNCTION csm.matches(tsvector, tsquery) IS
'document @@ query, but able to use a GIN or GiST index below row-level security; NULL if either is NULL';
COMMENT ON FUNCTION csm.contains(text, text) IS
'Whether needle stands literally in haystack, case folded as the database''s collation does; no wildcards, an empty needle is everywhere, NULL if either is NULL. Uses a pg_trgm index when the needle is known and has three letters or digits in a row';
COMMENT ON FUNCTION csm_private.search_vector(text, text, text, text) IS
'A search column: words of up to three texts with weights A, B and D, stemmed for a language (a text search configuration, or a language tag such as de or pt-BR; unknown and NULL count as simple), with and without accents. NULL texts have no words; 100,000 characters of each text count';
COMMENT ON FUNCTION csm.search_query(text, text) IS
'What somebody typed (words, "a phrase", or, -not) as a query for csm.matches(), for texts of a language (a text search configuration or a language tag); accents make no difference. No input is an error; 1,000 characters count; NULL if either is NULL';
COMMENT ON FUNCTION csm_private.search_query_in(text, text[], boolean) IS
'What somebody typed as a query in several languages (up to 8), joined by OR; loose: any two of its five longest words, one of them where it has two, nothing where it has one';
COMMENT ON FUNCTION csm.search_score(tsvector, tsquery) IS
'How well a document answers a query, 0 to 1, from these two alone, so that no other row has a say: the share of the query that it holds, where a long word weighs more than a short one and a title (weight A) more than a text, and how close together the words stand';
COMMENT ON FUNCTION csm_private.resembles_support(internal) IS 'Planner support of csm.resembles: index condition, selectivity';
COMMENT ON FUNCTION csm.resembles(text, text) IS
'Whether haystack, a name or title, holds at least half of the trigrams of needle, so that a typing error does no harm; case makes no difference, NULL if either is NULL. Uses a pg_trgm index below row-level security where pg_trgm.word_similarity_threshold is 0.5 or less';
COMMENT ON FUNCTION csm.resemblance(text, text) IS
'How much a name or title is like what was typed, 0 to 1: three quarters the share of needle''s trigrams that it holds, one quarter the share of its own that needle holds; NULL if either is NULL';
COMMENT ON FUNCTION csm.highlight(text, text, text, integer) IS
'The passage of a document that answers best what was typed, of about so many words (5 to 200), as HTML: everything the document holds is escaped, words that were found stand in <mark>. The first 50,000 characters count; NULL if any argument is NULL';
COMMENT ON FUNCTION csm_private.check_placeholders(text, text, text[]) IS
'Error 22023 for a placeholder that is not known, and for braces that make none; template names it in the message';
COMMENT ON FUNCTION csm_private.fill_in(text, jsonb) IS
'The text with its placeholders replaced by the values, a JSON object; one without a value becomes empty';
COMMENT ON TABLE csm.tenants IS 'One row an organisation that serves customers; made by csm.create_tenant()';
COMMENT ON COLUMN csm.tenants.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.tenants.key IS 'Short name for csm.tenant: lower-case letters, digits, - and _';
COMMENT ON COLUMN csm.tenants.name IS 'Name that people read';
COMMENT ON COLUMN csm.tenants.settings IS 'Settings of the tenant, a JSON object';
COMMENT ON COLUMN csm.tenants.enabled IS 'False: nobody of the tenant is signed in any more, from the next statement on';
COMMENT ON COLUMN csm.tenants.created_at IS 'When the tenant was made';
COMMENT ON POLICY tenants_select ON csm.tenants IS 'Everyone signed in reads his own tenant';
COMMENT ON POLICY tenants_update ON csm.tenants IS 'Administrators change name and settings';
COMMENT ON TABLE csm.roles IS 'Roles that a persona can hold; shipped ones are copied by csm.create_tenant()';
COMMENT ON COLUMN csm.roles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.roles.role IS 'Key of the role';
COMMENT ON COLUMN csm.roles.kind IS 'Who can hold it: person (everyone), contact, consumer or staff';
COMMENT ON COLUMN csm.roles.user_class IS 'Class for licence counting: external, stakeholder or fulfiller';
COMMENT ON COLUMN csm.roles.label IS 'Name that people read';
COMMENT ON COLUMN csm.roles.branches IS 'Branches in which a staff role counts; an assignment can only narrow them';
COMMENT ON COLUMN csm.roles.shipped IS 'Came with csm; csm.refresh_shipped() keeps what the tenant changed';
COMMENT ON POLICY roles_select ON csm.roles IS 'Everyone signed in reads the roles of his tenant';
COMMENT ON POLICY roles_write ON csm.roles IS 'Administrators keep the roles';
COMMENT ON TABLE csm.role_permissions IS 'What a role may do, and how far it reaches; the rules V1 to V9 are compiled from these rows';
COMMENT ON COLUMN csm.role_permissions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.role_permissions.role IS 'Role that gets the permission';
COMMENT ON COLUMN csm.role_permissions.action IS 'Action; case_work (staff: take, answer, work notes, plain UPDATE), configure (administration) and act_for (csm.on_behalf_of(); shipped with no role) are for staff roles only';
COMMENT ON COLUMN csm.role_permissions.reach IS 'own; account, subtree, related (contacts); team, organization, all (staff). A reach that does not fit the kind of the role gives nothing';
COMMENT ON POLICY role_permissions_select ON csm.role_permissions IS 'Everyone signed in reads the permissions of his tenant';
COMMENT ON POLICY role_permissions_write ON csm.role_permissions IS 'Administrators keep the permissions';
COMMENT ON TABLE csm.users IS 'One row a human, whatever personas he has';
COMMENT ON COLUMN csm.users.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.users.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.users.display_name IS 'Name shown on cases he takes part in';
COMMENT ON COLUMN csm.users.email IS 'E-mail as written; NULL when unknown';
COMMENT ON COLUMN csm.users.email_key IS 'E-mail trimmed and in lower case; unique in the tenant';
COMMENT ON COLUMN csm.users.language IS 'Language tag (BCP 47)';
COMMENT ON COLUMN csm.users.time_zone IS 'Time zone name (IANA)';
COMMENT ON COLUMN csm.users.phone IS 'Telephone number as written';
COMMENT ON COLUMN csm.users.title IS 'Job title or form of address';
COMMENT ON COLUMN csm.users.enabled IS 'False: the person is nobody, from the next statement on (V10)';
COMMENT ON COLUMN csm.users.login_role IS 'PostgreSQL role that acts as this person; set by csm.map_login() only';
COMMENT ON COLUMN csm.users.external_id IS 'Key in the directory the person was imported from; unique in the tenant';
COMMENT ON COLUMN csm.users.created_at IS 'When the row was made';
COMMENT ON COLUMN csm.users.location IS 'Where the person is, from the whole to the part, joined by -: country, region and so on (DE, DE-BY; capital letters and digits). User criteria go by it, so it is kept by staff with person_manage and not by the person; NULL when unknown';
COMMENT ON TABLE csm.employees IS 'Employee persona: the person works for the tenant';
COMMENT ON COLUMN csm.employees.user_id IS 'The person';
COMMENT ON COLUMN csm.employees.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.employees.department IS 'Department; NULL when unknown';
COMMENT ON COLUMN csm.employees.manager_id IS 'Superior; gives no rights';
COMMENT ON POLICY employees_select ON csm.employees IS 'Oneself; staff for internal service';
COMMENT ON POLICY employees_write ON csm.employees IS 'Staff with person_manage';
COMMENT ON TABLE csm.consumers IS 'Consumer persona: the person buys for himself (B2C)';
COMMENT ON COLUMN csm.consumers.user_id IS 'The person';
COMMENT ON COLUMN csm.consumers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.consumers.registered_at IS 'When he became a consumer';
COMMENT ON POLICY consumers_select ON csm.consumers IS 'Oneself, whom one speaks for (V6), staff for consumers';
COMMENT ON POLICY consumers_write ON csm.consumers IS 'Staff with person_manage';
COMMENT ON FUNCTION csm_private.subtree(bigint, bigint) IS
'Ids of an account and all its descendants; no row for an unknown account';
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
COMMENT ON TABLE csm_private.tree_moves IS 'One row a tenant, written by every move in its account tree: serialises moves under REPEATABLE READ';
COMMENT ON COLUMN csm_private.tree_moves.tenant_id IS 'The tenant';
COMMENT ON COLUMN csm_private.tree_moves.moves IS 'How many times accounts were moved';
COMMENT ON FUNCTION csm_private.tree_is_current(bigint) IS
'Whether the transaction sees the tenant''s account tree as it is now; always true under READ COMMITTED';
COMMENT ON FUNCTION csm_private.accounts_before() IS 'Numbers an account and takes the tree lock before paths are read';
COMMENT ON FUNCTION csm_private.accounts_after() IS 'Gives new and moved accounts their paths; refuses cycles (SM005) and more than 100 levels (54000)';
COMMENT ON FUNCTION csm_private.depth_of(bigint, bigint) IS 'Levels from the top to the account, by its parents';
COMMENT ON TABLE csm.contacts IS 'Contact persona: the person acts for the account with a role; a person may be contact of many accounts';
COMMENT ON COLUMN csm.contacts.id IS 'Identity, unique in the database; the persona is contact:<id>';
COMMENT ON COLUMN csm.contacts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.contacts.user_id IS 'The person';
COMMENT ON COLUMN csm.contacts.account_id IS 'The account';
COMMENT ON COLUMN csm.contacts.role IS 'Role of kind contact; one of another kind is refused';
COMMENT ON COLUMN csm.contacts.is_home IS 'Account for which he opens cases unless he names another; one at a time';
COMMENT ON COLUMN csm.contacts.login_enabled IS 'False: this persona gives no rights, from the next statement on; the person''s others stay (V10)';
COMMENT ON COLUMN csm.contacts.valid_during IS 'When the membership counts; NULL means always';
COMMENT ON FUNCTION csm_private.check_role_kind() IS 'Refuses a role whose kind does not fit the table; the argument is the kind';
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
COMMENT ON TABLE csm.households IS 'Consumers who live together; the head, himself a current member, speaks for current members (V6)';
COMMENT ON COLUMN csm.households.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.households.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.households.name IS 'Name that people read';
COMMENT ON COLUMN csm.households.head_user_id IS 'Head of household; counts while he is a current member; NULL for none';
COMMENT ON TABLE csm.household_members IS 'Membership of a household; one current row a person and household';
COMMENT ON COLUMN csm.household_members.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.household_members.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.household_members.household_id IS 'The household';
COMMENT ON COLUMN csm.household_members.user_id IS 'The member';
COMMENT ON COLUMN csm.household_members.valid_during IS 'When the membership counts; NULL means always';
COMMENT ON TABLE csm.representations IS 'One person speaks for another in consumer cases (V6)';
COMMENT ON COLUMN csm.representations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.representations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.representations.representative_id IS 'Who speaks';
COMMENT ON COLUMN csm.representations.represented_id IS 'For whom he speaks';
COMMENT ON COLUMN csm.representations.household_id IS 'Within a household: counts only while both are current members; NULL for any';
COMMENT ON COLUMN csm.representations.valid_during IS 'When the representation counts; NULL means always';
COMMENT ON POLICY households_select ON csm.households IS 'Its head, its team, staff for consumers';
COMMENT ON POLICY household_members_select ON csm.household_members IS 'Oneself, the head, the team, staff for consumers';
COMMENT ON POLICY representations_select ON csm.representations IS 'Both persons, staff for consumers';
COMMENT ON POLICY households_write ON csm.households IS 'Staff with person_manage';
COMMENT ON POLICY household_members_write ON csm.household_members IS 'Staff with person_manage';
COMMENT ON POLICY representations_write ON csm.representations IS 'Staff with person_manage';
COMMENT ON TABLE csm.service_organizations IS 'Stores, branches and other places that give service, in a tree';
COMMENT ON COLUMN csm.service_organizations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.service_organizations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.service_organizations.name IS 'Name that people read';
COMMENT ON COLUMN csm.service_organizations.parent_id IS 'Organisation above; NULL at the top';
COMMENT ON TABLE csm.service_organization_members IS 'Staff of a service organisation: reach organization covers it and what lies below, less what is excluded (V9)';
COMMENT ON COLUMN csm.service_organization_members.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.service_organization_members.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.service_organization_members.service_organization_id IS 'The organisation';
COMMENT ON COLUMN csm.service_organization_members.user_id IS 'The person';
COMMENT ON COLUMN csm.service_organization_members.excluded IS 'Organisations left out with everything below them';
COMMENT ON COLUMN csm.service_organization_members.valid_during IS 'When the membership counts; NULL means always';
COMMENT ON TABLE csm.user_roles IS 'Staff personas: staff:<role>; they count under csm_agent, csm_reporter and csm_admin only (V9)';
COMMENT ON COLUMN csm.user_roles.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.user_roles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_roles.user_id IS 'The person';
COMMENT ON COLUMN csm.user_roles.role IS 'Role of kind staff; one of another kind is refused';
COMMENT ON COLUMN csm.user_roles.branches IS 'Narrows the branches of the role; NULL keeps them';
COMMENT ON COLUMN csm.user_roles.reach IS 'Replaces the reach of the role''s permissions (not own); NULL keeps it';
COMMENT ON COLUMN csm.user_roles.service_organization_id IS 'With reach organization: this organisation and what lies below, beside the memberships; NULL for those alone';
COMMENT ON COLUMN csm.user_roles.valid_during IS 'When the role counts; NULL means always';
COMMENT ON TABLE csm.account_team IS 'Who looks after an account, a person or a household: reach team (V9)';
COMMENT ON COLUMN csm.account_team.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.account_team.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.account_team.account_id IS 'The account; exactly one of account, user and household is set';
COMMENT ON COLUMN csm.account_team.user_id IS 'The person (his b2c cases)';
COMMENT ON COLUMN csm.account_team.household_id IS 'The household (its cases and those of its current members)';
COMMENT ON COLUMN csm.account_team.member_id IS 'Who looks after it';
COMMENT ON COLUMN csm.account_team.responsibility IS 'In which function';
COMMENT ON COLUMN csm.account_team.valid_during IS 'When it counts; NULL means always';
COMMENT ON TABLE csm.groups IS 'Groups of staff to which cases are assigned; give no sight of cases';
COMMENT ON COLUMN csm.groups.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.groups.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.groups.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.groups.parent_id IS 'Group above; NULL at the top';
COMMENT ON TABLE csm.group_members IS 'Members of a group';
COMMENT ON COLUMN csm.group_members.group_id IS 'The group';
COMMENT ON COLUMN csm.group_members.user_id IS 'The person';
COMMENT ON COLUMN csm.group_members.tenant_id IS 'Tenant of the row';
COMMENT ON POLICY user_roles_select ON csm.user_roles IS 'One''s own; staff with person_manage; administrators';
COMMENT ON POLICY user_roles_write ON csm.user_roles IS 'Administrators';
COMMENT ON POLICY account_team_select ON csm.account_team IS 'Members, and staff who read the account''s contacts';
COMMENT ON POLICY account_team_write ON csm.account_team IS 'Staff with account_manage';
COMMENT ON TABLE csm.products IS 'Catalogue of products and services, in a tree; a sub-product names its product as parent';
COMMENT ON COLUMN csm.products.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.products.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.products.name IS 'Name, unique below its parent';
COMMENT ON COLUMN csm.products.parent_id IS 'Product above; NULL at the top';
COMMENT ON COLUMN csm.products.active IS 'False: not offered for new cases';
COMMENT ON POLICY products_select ON csm.products IS 'Everyone signed in reads the catalogue of his tenant';
COMMENT ON POLICY products_write ON csm.products IS 'Administrators, and staff with product_manage';
COMMENT ON TABLE csm.case_types IS 'Kinds of case; each has a state machine of its own';
COMMENT ON COLUMN csm.case_types.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_types.case_type IS 'Key of the type';
COMMENT ON COLUMN csm.case_types.parent_type IS 'Type from which states, transitions, fields and settings are inherited; NULL for none';
COMMENT ON COLUMN csm.case_types.label IS 'Name that people read';
COMMENT ON COLUMN csm.case_types.active IS 'False: no new case of the type';
COMMENT ON COLUMN csm.case_types.shipped IS 'Came with csm; csm.refresh_shipped() keeps what the tenant changed';
COMMENT ON COLUMN csm.case_types.settings IS 'What the type says about time and forms, a JSON object; a key that is absent is inherited from the parent type, null switches it off. Keys: priority (1 to 4, of a new case that names none), begins_as_draft, reminder_days and close_days (of a proposed solution), awaiting_info_days, survey, max_attachments and max_attachment_bytes; of disputes response_hours, auto_accept_days, max_rounds, appeal_days, counterparties (trades_with, or any) and both_sides (true: one person may act for both)';
COMMENT ON COLUMN csm.case_types.own_machine IS 'True: only the type''s own states and transitions hold; fields and settings are still inherited';
COMMENT ON TABLE csm.case_states IS 'States of a case type; a state of a type hides the one of the same key that it would inherit';
COMMENT ON COLUMN csm.case_states.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_states.case_type IS 'The type';
COMMENT ON COLUMN csm.case_states.state IS 'Key of the state';
COMMENT ON COLUMN csm.case_states.value IS 'Number by which other systems know the state';
COMMENT ON COLUMN csm.case_states.state_class IS 'What the state means to timers, SLAs and reports: draft, new, open, waiting, resolved, closed or cancelled';
COMMENT ON COLUMN csm.case_states.label IS 'Name that people read';
COMMENT ON COLUMN csm.case_states.active IS 'False: the type does without the state that it would inherit, and without the actions that lead from or to it';
COMMENT ON TABLE csm.case_transitions IS 'A row of a type hides the one of the same state and action that it would inherit. From which state which action leads where, who may take it, and what it demands';
COMMENT ON COLUMN csm.case_transitions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_transitions.case_type IS 'The type';
COMMENT ON COLUMN csm.case_transitions.from_state IS 'State in which the action can be taken';
COMMENT ON COLUMN csm.case_transitions.action IS 'Key of the action; one that leads back to from_state changes fields only';
COMMENT ON COLUMN csm.case_transitions.to_state IS 'State to which it leads';
COMMENT ON COLUMN csm.case_transitions.actors IS 'Relations to the case that may take it; any one suffices';
COMMENT ON COLUMN csm.case_transitions.required_fields IS 'Columns of the case that must not be null or blank afterwards, and what csm.act() must be given with a proposal (reference, amount, currency); SM003 otherwise';
COMMENT ON COLUMN csm.case_transitions.note_required IS 'True: csm.act() demands a note (SM003); it becomes a shared entry';
COMMENT ON COLUMN csm.case_transitions.effects IS 'What the action sets, a JSON object. Key: a column (subject, description, priority, impact, urgency, assigned_to, assigned_group_id, product_id, asset_id, counterparty_contact_id, resolution_code, resolution_notes) or "actor:column" for one relation, which goes before the plain key; "note" offers the note; "proposal" makes one in csm.dispute_proposals (made) or decides the pending one (accepted, rejected, withdrawn, lapsed, confirmed). Value: text in the column''s input form, null clears. A value that the caller writes in the same statement goes first';
COMMENT ON COLUMN csm.case_transitions.label IS 'Caption of the button';
COMMENT ON COLUMN csm.case_transitions.active IS 'False: the type does without the action that it would inherit';
COMMENT ON COLUMN csm.case_transitions.from_type IS 'Type whose from_state it is, filled in: case_type or the farthest ancestor that has the state';
COMMENT ON COLUMN csm.case_transitions.to_type IS 'Type whose to_state it is, filled in likewise';
COMMENT ON FUNCTION csm_private.case_fits(csm.cases) IS
'CHECK constraint of csm.cases. True, or error 23514 that names the rule as a constraint: cases_ branch (b2b, b2c, internal), customer (an account makes it b2b, a household b2c), counterparty (another account), named_contact (with its account), class, priority (1 to 4), impact (1 to 3, urgency too), subject (1 to 400 characters, not blank), text (lengths of the other texts), attributes (a JSON object of 64 kB), self (not its own parent), major (proposed, accepted, rejected, cancelled), each followed by _check';
COMMENT ON FUNCTION csm_private.entry_fits(text, text, text, text) IS
'CHECK constraint of csm.case_entries. True, or error 23514 that names the rule as a constraint: case_entries_ visibility (shared, internal, private), side (customer, counterparty, operator), body (1 to 100,000 characters, the key at most 200), each followed by _check';
COMMENT ON TABLE csm.cases IS 'Cases. Rows are never deleted; closed ones never change. State changes are judged by the machine of the case type, whoever writes';
COMMENT ON COLUMN csm.cases.id IS 'Identity, unique in the database; tells the volume of cases to whoever sees two of them';
COMMENT ON COLUMN csm.cases.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.cases.number IS 'Human-facing number, unique in the tenant; made from the id (CS0000042) when not given';
COMMENT ON COLUMN csm.cases.branch IS 'b2b, b2c or internal: set at creation from the requester''s persona, never changed';
COMMENT ON COLUMN csm.cases.case_type IS 'Type, and with it the machine';
COMMENT ON COLUMN csm.cases.state IS 'State of the machine';
COMMENT ON COLUMN csm.cases.state_class IS 'Class of the state, copied from csm.case_states';
COMMENT ON COLUMN csm.cases.priority IS '1 (critical) to 4 (low); the case type''s by default, else 4';
COMMENT ON COLUMN csm.cases.impact IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm.cases.urgency IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm.cases.subject IS 'One line, up to 400 characters';
COMMENT ON COLUMN csm.cases.description IS 'The matter, up to 100,000 characters; NULL for none';
COMMENT ON COLUMN csm.cases.language IS 'For search: a text search configuration, such as english, or a language tag, such as de; an unknown one counts as simple';
COMMENT ON COLUMN csm.cases.channel IS 'How it came in: web, phone, email, chat, ...';
COMMENT ON COLUMN csm.cases.requester_id IS 'For whom the case is; the caller by default';
COMMENT ON COLUMN csm.cases.opened_by IS 'Who opened it; NULL for the system';
COMMENT ON COLUMN csm.cases.account_id IS 'Customer account of a b2b case; the caller''s home account by default';
COMMENT ON COLUMN csm.cases.household_id IS 'Household of a b2c case';
COMMENT ON COLUMN csm.cases.counterparty_account_id IS 'The other company of a dispute; sees the case from submission on (V8)';
COMMENT ON COLUMN csm.cases.counterparty_contact_id IS 'Contact named for the other company';
COMMENT ON COLUMN csm.cases.partner_account_id IS 'Partner that looks after the case (V5)';
COMMENT ON COLUMN csm.cases.partner_contact_id IS 'Contact of the partner that looks after the case (V5)';
COMMENT ON COLUMN csm.cases.internal_contact_id IS 'Employee who speaks for the customer';
COMMENT ON COLUMN csm.cases.service_organization_id IS 'Service organisation that the case belongs to (V9)';
COMMENT ON COLUMN csm.cases.product_id IS 'Product concerned';
COMMENT ON COLUMN csm.cases.asset_id IS 'Install-base item concerned';
COMMENT ON COLUMN csm.cases.entitlement_id IS 'Entitlement under which the case is worked';
COMMENT ON COLUMN csm.cases.assigned_group_id IS 'Group that works on it';
COMMENT ON COLUMN csm.cases.assigned_to IS 'Person who works on it';
COMMENT ON COLUMN csm.cases.parent_id IS 'Major case or case it follows up';
COMMENT ON COLUMN csm.cases.resolution_code IS 'How it was solved';
COMMENT ON COLUMN csm.cases.resolution_notes IS 'The proposed solution, read by the customer';
COMMENT ON COLUMN csm.cases.needs_attention IS 'The customer, or somebody beside the assignee, said something new';
COMMENT ON COLUMN csm.cases.attributes IS 'Fields of the case type that every party to the case may read, a JSON object';
COMMENT ON COLUMN csm.cases.party_keys IS 'Partner, household, internal contact, service organisation and counterparty as keys for the policy (id * 8 + kind); NULL for none';
COMMENT ON COLUMN csm.cases.search IS 'Words of number, subject and description, with and without accents, for csm.matches(); kept by trigger';
COMMENT ON COLUMN csm.cases.idempotency_key IS 'Given by the client; the same opener and key return the first case';
COMMENT ON COLUMN csm.cases.opened_at IS 'When it was made';
COMMENT ON COLUMN csm.cases.submitted_at IS 'When it left draft; NULL while draft';
COMMENT ON COLUMN csm.cases.resolved_at IS 'When a solution was last proposed; NULL while none stands';
COMMENT ON COLUMN csm.cases.closed_at IS 'When it was closed or cancelled';
COMMENT ON COLUMN csm.cases.updated_at IS 'Last change of the row or new entry';
COMMENT ON COLUMN csm.cases.first_response_at IS 'First entry of staff that the customer can read';
COMMENT ON COLUMN csm.cases.reopen_count IS 'How often a proposed solution was rejected';
COMMENT ON COLUMN csm.cases.reassignment_count IS 'How often it changed hands after the first assignment';
COMMENT ON COLUMN csm.cases.auto_close IS 'False: a proposed solution that nobody answers is not closed by time. Goes off when a solution is given up, on again with the next one; what is written in the same statement goes first';
COMMENT ON COLUMN csm.cases.follow_up_at IS 'When whoever works on the case wants to look at it again: needs_attention goes on then, and a case that waits for information is not closed by time until a day later; NULL for never';
COMMENT ON COLUMN csm.cases.last_response_at IS 'Last shared entry by staff; NULL before the first';
COMMENT ON COLUMN csm.cases.made_sla IS 'False once any SLA of the case was breached; csm sets it';
COMMENT ON COLUMN csm.cases.escalated IS 'An escalation of the case is open; kept by csm.escalations';
COMMENT ON COLUMN csm.cases.follow_the_sun IS 'The customer spoke on a case of priority 1 or 2, or it was escalated: worked on around the clock';
COMMENT ON COLUMN csm.cases.major_state IS 'proposed, accepted, rejected or cancelled as a major case; NULL for an ordinary case';
COMMENT ON TABLE csm.case_parties IS 'A case shared with a person or an account (V7)';
COMMENT ON COLUMN csm.case_parties.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_parties.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_parties.case_id IS 'The case';
COMMENT ON COLUMN csm.case_parties.user_id IS 'Person it is shared with; exactly one of user and account is set';
COMMENT ON COLUMN csm.case_parties.account_id IS 'Account it is shared with: all its current contacts';
COMMENT ON COLUMN csm.case_parties.capabilities IS 'case_read, and case_comment and case_decide where granted';
COMMENT ON COLUMN csm.case_parties.granted_by IS 'Who shared it; NULL for the system';
COMMENT ON COLUMN csm.case_parties.valid_during IS 'When the share counts; NULL means always';
COMMENT ON TABLE csm.case_entries IS 'Comments, work notes and private entries; append-only';
COMMENT ON COLUMN csm.case_entries.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_entries.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_entries.case_id IS 'The case';
COMMENT ON COLUMN csm.case_entries.branch IS 'Branch of the case, copied';
COMMENT ON COLUMN csm.case_entries.author_id IS 'Who wrote it; NULL for the system';
COMMENT ON COLUMN csm.case_entries.author_name IS 'His name when he wrote it (V11)';
COMMENT ON COLUMN csm.case_entries.visibility IS 'shared: all who see the case; internal: staff who work on it; private: the author''s side and staff who work on it';
COMMENT ON COLUMN csm.case_entries.side IS 'Side of the author: customer, counterparty or operator';
COMMENT ON COLUMN csm.case_entries.body IS 'Text, up to 100,000 characters';
COMMENT ON COLUMN csm.case_entries.idempotency_key IS 'Given by the client; the same author and key on a case return the first entry';
COMMENT ON COLUMN csm.case_entries.on_behalf_of IS 'For whom the author acted by csm.on_behalf_of() (csm.users.id, no foreign key); NULL for himself';
COMMENT ON COLUMN csm.case_entries.created_at IS 'When it was written';
COMMENT ON TABLE csm.case_internal IS 'Fields of a case that only staff who work on it may read';
COMMENT ON COLUMN csm.case_internal.case_id IS 'The case';
COMMENT ON COLUMN csm.case_internal.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_internal.attributes IS 'Fields, a JSON object';
COMMENT ON TABLE csm.case_side_fields IS 'Fields of a case that one side and staff who work on it may read';
COMMENT ON COLUMN csm.case_side_fields.case_id IS 'The case';
COMMENT ON COLUMN csm.case_side_fields.side IS 'customer or counterparty';
COMMENT ON COLUMN csm.case_side_fields.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_side_fields.attributes IS 'Fields, a JSON object';
COMMENT ON FUNCTION csm_private.may_open_plainly(csm.cases) IS
'True only where csm_private.may_open() is: the person asks for himself, or for whom he represents, and the case names no counterparty, partner or product';
COMMENT ON FUNCTION csm_private.may_open(csm.cases) IS
'Whether the signed-in person may open this case for this requester and account, and every reference in it is one that he may make';
COMMENT ON FUNCTION csm_private.case_arms(text, text) IS
'Install scripts only: text of the visibility rule for an action; arms portal, everyone (staff connections) or operator';
COMMENT ON FUNCTION csm_private.case_allows(csm.cases, text) IS
'The rule of the policies of csm.cases for one row and any action; false for nobody, a null row and an unknown action';
COMMENT ON FUNCTION csm_private.case_side_allows(csm.cases, text) IS
'Whether the signed-in person reads what belongs to one side (customer, counterparty) of the case, or works on the case';
COMMENT ON FUNCTION csm_private.case_allows(bigint, bigint, text) IS
'Whether the case is visible to the signed-in person and allows him the action; false for a missing case, nobody and an unknown action';
COMMENT ON FUNCTION csm_private.entry_allows(bigint, bigint, text, text, text) IS
'Whether an entry of the case is visible to the signed-in person: shared with the case, internal to staff who work on it, private to its side and staff who work on it';
COMMENT ON POLICY cases_select ON csm.cases IS 'V1 to V8: whoever asks for service and has case_read through any arm';
COMMENT ON POLICY cases_select_staff ON csm.cases IS 'V1 to V9: staff connections, by any arm and by reach all';
COMMENT ON POLICY cases_update ON csm.cases IS 'Staff with case_work; the machine judges the rest';
COMMENT ON POLICY cases_insert ON csm.cases IS 'Who may open a case for himself or another, with references he may make';
COMMENT ON POLICY cases_insert_own ON csm.cases IS 'Staff open their own cases as everybody does';
COMMENT ON POLICY cases_insert_agent ON csm.cases IS 'Staff with case_create open cases for customers in their reach';
COMMENT ON POLICY case_entries_select ON csm.case_entries IS 'Shared: all who see the case; internal: staff who work on it; private: one side and staff who work on it';
COMMENT ON POLICY case_entries_insert ON csm.case_entries IS 'Whoever may comment, in his own name; work notes by staff who work on the case';
COMMENT ON POLICY case_parties_select ON csm.case_parties IS 'All who see the case but its counterparty';
COMMENT ON POLICY case_parties_write ON csm.case_parties IS 'Staff who work on the case';
COMMENT ON POLICY case_internal_all ON csm.case_internal IS 'Staff who work on the case';
COMMENT ON POLICY case_side_fields_select ON csm.case_side_fields IS 'One side, and staff who work on the case';
COMMENT ON FUNCTION csm_private.case_guard() IS
'Trigger of csm.cases: fills in a new case, judges every change by the machine of the case type (42501, SM002, SM003, SM004), refuses DELETE and TRUNCATE';
COMMENT ON FUNCTION csm_private.entry_guard() IS
'Trigger of csm.case_entries: author, name, side, branch and time of a new entry; SM004 on a closed case';
COMMENT ON FUNCTION csm_private.append_only() IS
'BEFORE trigger that refuses UPDATE, DELETE and TRUNCATE for everybody (42501). Arguments: columns that an announced erasure may change';
COMMENT ON FUNCTION csm_private.case_actors(csm.cases) IS
'Relations of the current person to the case, as case_transitions.actors names them; empty for none';
COMMENT ON FUNCTION csm_private.acts_as_system() IS
'True for a write without identity by a role that row security does not bind';
COMMENT ON FUNCTION csm_private.importing() IS
'True while a superuser loads history with csm.importing = on';
COMMENT ON FUNCTION csm_private.machine_type(bigint, text) IS
'The farthest type on the chain of parents whose states and transitions count for a case type, itself where it has a machine of its own; NULL for an unknown type';
COMMENT ON FUNCTION csm_private.actions_for(bigint, text, text, text) IS
'Actions that a relation (system, customer, ...) may take from a state of the type''s machine; empty for what is unknown or null';
COMMENT ON FUNCTION csm_private.dispute_permits(csm.cases, text) IS
'Whether the caller may take the action on a dispute: the machine, and that a second person confirms a ruling and a manager names the contact';
COMMENT ON FUNCTION csm_private.begin_open(boolean, text) IS
'Announces a new case: as draft or not, with a key or NULL; error 22023 for an empty key or one longer than 200 characters';
COMMENT ON FUNCTION csm_private.end_open(csm.cases) IS
'Ends the announcement of a new case that was not met; returns its argument';
COMMENT ON FUNCTION csm_private.begin_act(csm.cases, text, text, jsonb, boolean) IS
'Judges an action of the caller or, with as_system, of the system (42501, 22023, SM004, SM002) and announces it, with the proposal in fields (reference, amount, currency); returns the note to write, NULL for none';
COMMENT ON FUNCTION csm_private.begin_system(bigint) IS
'Announces that the next change of the case is csm''s own: judged as the system''s, and it may write escalated, follow_the_sun and major_state';
COMMENT ON FUNCTION csm_private.begin_acts(bigint[], text) IS
'Announces that the next change of each of these cases is an action of the system''s with a note; at most 256 cases';
COMMENT ON FUNCTION csm_private.begin_notes(bigint[]) IS
'Announces an entry of the system''s on each of these cases, without effects of its own; at most 256 cases';
COMMENT ON FUNCTION csm_private.end_many() IS
'Takes back what was announced for many cases and has not been met';
COMMENT ON FUNCTION csm_private.begin_note(bigint, boolean) IS
'Announces the note of an act: an entry that has no effects of its own; with as_system it has no author';
COMMENT ON FUNCTION csm_private.begin_entry(bigint, text, text, bigint) IS
'Announces what a new entry means for its case; author_id is NULL for the system';
COMMENT ON FUNCTION csm_private.entry_is_note(bigint) IS
'Whether the entry is the note of the act just taken';
COMMENT ON FUNCTION csm_private.entry_effects() IS
'Trigger of csm.case_entries: a customer''s shared comment resumes a waiting case, needs_attention, first_response_at, updated_at';
COMMENT ON TABLE csm.case_type_fields IS 'Fields that a case type adds to its cases; a field of a type hides the one of the same name that it would inherit';
COMMENT ON COLUMN csm.case_type_fields.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_type_fields.case_type IS 'The type';
COMMENT ON COLUMN csm.case_type_fields.name IS 'Key of the value in the JSON object';
COMMENT ON COLUMN csm.case_type_fields.label IS 'Name that people read';
COMMENT ON COLUMN csm.case_type_fields.type IS 'What the JSON value must be: text and choice a string, integer a whole number of 64 bits, number, boolean, date a string YYYY-MM-DD, timestamp a string of RFC 3339 with its offset, reference the id of a row. null means no value';
COMMENT ON COLUMN csm.case_type_fields.audience IS 'Who reads it: all (csm.cases.attributes), staff (csm.case_internal), customer or counterparty (csm.case_side_fields of that side)';
COMMENT ON COLUMN csm.case_type_fields.required IS 'True: a case that is no draft has a value (SM003); audience all only';
COMMENT ON COLUMN csm.case_type_fields.required_for IS 'Actions that demand a value (SM003)';
COMMENT ON COLUMN csm.case_type_fields.choices IS 'What a choice may be; NULL for other types';
COMMENT ON COLUMN csm.case_type_fields.reference IS 'Table of csm to which a reference leads; NULL for other types. The row must exist in the tenant and be visible to the writer when it is written (42501)';
COMMENT ON COLUMN csm.case_type_fields."position" IS 'Order on a form';
COMMENT ON COLUMN csm.case_type_fields.active IS 'False: the type does without the field that it would inherit';
COMMENT ON POLICY case_type_fields_select ON csm.case_type_fields IS 'Who asks for service reads the fields of his tenant''s types, but staff''s';
COMMENT ON POLICY case_type_fields_select_staff ON csm.case_type_fields IS 'Staff connections read all fields of their tenant''s types';
COMMENT ON POLICY case_type_fields_write ON csm.case_type_fields IS 'Administrators keep them';
COMMENT ON FUNCTION csm_private.fields_guard() IS
'Trigger of csm.case_internal and csm.case_side_fields: values are fields of the case type for that audience (22023), references exist and are visible (42501), the case is not closed (SM004)';
COMMENT ON FUNCTION csm_private.with_attributes(text, jsonb) IS
'The object with those keys that name fields of the type for all parties moved into its key attributes; what is no object, and keys of an unknown type, come back as they are';
COMMENT ON FUNCTION csm_private.write_fields(csm.cases, jsonb, boolean) IS
'Writes fields of a case by their names where staff and sides have theirs, and returns what csm.cases.attributes becomes. Errors: 22023 no such field, 42501 another side''s or staff''s';
COMMENT ON FUNCTION csm_private.type_chain(bigint, text) IS
'The type (depth 0) and its ancestors; in_machine: whether states and transitions of that ancestor are inherited. No row for an unknown type';
COMMENT ON FUNCTION csm_private.type_setting(bigint, text, text) IS
'A key of csm.case_types.settings as it holds for the type: its own, else the nearest ancestor''s; NULL where nobody says anything or the nearest says null';
COMMENT ON FUNCTION csm_private.machine_states(bigint, text) IS
'States of the machine of a case type, inherited ones included; case_type and depth say whose row it is';
COMMENT ON FUNCTION csm_private.machine_transitions(bigint, text) IS
'Transitions of the machine of a case type, inherited ones included; none from or to a state that the machine does without';
COMMENT ON FUNCTION csm_private.type_fields(bigint, text) IS
'Fields of a case type, inherited ones included';
COMMENT ON FUNCTION csm_private.offers(csm.cases) IS
'Body of csm.actions(): what the machine of the case permits the current person in its state; no check that he sees the case';
COMMENT ON FUNCTION csm_private.type_chain_guard() IS
'Trigger of csm.case_types: 23514 where a type would be its own ancestor or have more than 31';
COMMENT ON FUNCTION csm_private.transition_types() IS
'Trigger of csm.case_transitions: whose states from_state and to_state are; 23503 where the type neither has nor inherits one';
COMMENT ON TABLE csm.notification_rules IS 'Which events are told to whom, by which channel; R A11. An event without a row is told to nobody';
COMMENT ON COLUMN csm.notification_rules.event IS 'Kind of event: as csm.events.kind, and submitted, approval_requested, declined, info_requested, ruled, group_assigned (csm_private.notification_kinds())';
COMMENT ON COLUMN csm.notification_rules.channel IS 'Way by which it is told: portal (the inbox, read in place) or one that a sender process serves, such as email';
COMMENT ON COLUMN csm.notification_rules.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notification_rules.recipients IS 'Relations to the case: requester, opener, partner_contact, customer_admin, approver (who may decide for the account, but for requester and opener), party, counterparty, internal_contact; of the desk assignee, group, desk (the assignee, else the group), account_team';
COMMENT ON COLUMN csm.notification_rules.enabled IS 'Whether it is told to those who say nothing in csm.notification_preferences; false: to those only who ask for it';
COMMENT ON POLICY notification_rules_select ON csm.notification_rules IS 'Everyone who is signed in: what he may have a preference for';
COMMENT ON POLICY notification_rules_write ON csm.notification_rules IS 'Administrators';
COMMENT ON TABLE csm.notification_templates IS 'The words of notifications, with placeholders';
COMMENT ON COLUMN csm.notification_templates.event IS 'Event of csm.notification_rules; * for those without a template of their own';
COMMENT ON COLUMN csm.notification_templates.channel IS 'Channel; * for those without a template of their own';
COMMENT ON COLUMN csm.notification_templates.language IS 'Language tag (BCP 47) in lower case';
COMMENT ON COLUMN csm.notification_templates.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notification_templates.subject IS 'Subject; what is filled in becomes one line';
COMMENT ON COLUMN csm.notification_templates.body IS 'Text, with placeholders as in csm.response_templates, and {{entry.author}}, {{entry.body}} of the comment';
COMMENT ON POLICY notification_templates_write ON csm.notification_templates IS 'Administrators';
COMMENT ON FUNCTION csm_private.person_id() IS
'The person whose rights count: csm.current_user_id(), or the one for whom he acts (csm.on_behalf_of()); NULL when nobody is signed in';
COMMENT ON FUNCTION csm_private.in_person() IS
'Whether somebody is signed in, neither by an API key nor acting for another: what concerns his own login is done in person';
COMMENT ON FUNCTION csm_private.current_session_id() IS
'csm.sessions.id of the session or API key by which somebody is signed in; NULL where he is signed in otherwise, and for nobody';
COMMENT ON FUNCTION csm_private.as_person(bigint, name, regprocedure, jsonb) IS
'Runs a function (jsonb) returns jsonb of csm_private as this person, under csm_portal or csm_agent and row security, and returns what it returns; NULL where an argument is NULL. The function runs with the rights of its caller and can therefore name nothing in csm_private. A person who is disabled or does not exist is nobody. Its errors pass through; all is restored with the (sub)transaction';
COMMENT ON FUNCTION csm_private.role_of_person(bigint, bigint) IS
'Role under which csm acts for this person: csm_agent for staff, csm_portal for everybody else';
COMMENT ON TABLE csm.user_merges IS 'Which person became which: one row for each that was removed; written by csm.merge_users()';
COMMENT ON COLUMN csm.user_merges.removed_id IS 'csm.users.id that is no more; history and audit log still name it';
COMMENT ON COLUMN csm.user_merges.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_merges.kept_id IS 'Whose it is now; moves on when he is merged himself';
COMMENT ON COLUMN csm.user_merges.reason IS 'Why, in words';
COMMENT ON COLUMN csm.user_merges.merged_by IS 'Who did it; NULL for the system';
COMMENT ON COLUMN csm.user_merges.merged_at IS 'When';
COMMENT ON COLUMN csm.user_merges.removed IS 'The row of csm.users as it was; personal data';
COMMENT ON COLUMN csm.user_merges.given_up IS 'Rows that both persons had, as they stood for the one removed, each {"table": …, "row": …}, without hashes and tokens. Personal data';
COMMENT ON POLICY user_merges_select ON csm.user_merges IS 'Staff with person_manage, administrators';
COMMENT ON FUNCTION csm_private.person_now(bigint, bigint) IS
'Whose id it is now: of a person who was merged, the one who was kept; else the same';
COMMENT ON FUNCTION csm_private.person_ids(bigint, bigint) IS
'Every id under which history and audit log may name the person: his own, and those merged into him';
COMMENT ON FUNCTION csm_private.begin_merge(bigint, bigint) IS
'Announces that rows are re-pointed from the one person to the other: until end_merge() or the end of the transaction triggers step aside as while restoring, but the history of cases goes on, and append-only rows may have the one id replaced by the other';
COMMENT ON FUNCTION csm_private.end_merge() IS 'Ends what begin_merge() announced';
COMMENT ON TABLE csm_private.shipped_copies IS 'What csm gave each tenant, to know at an update what the tenant has changed since';
COMMENT ON COLUMN csm_private.shipped_copies.tenant_id IS 'The tenant';
COMMENT ON COLUMN csm_private.shipped_copies.kind IS 'role (with its permissions), case_type, case_state, case_transition, case_field, notification_rule or notification_template';
COMMENT ON COLUMN csm_private.shipped_copies.key IS 'Key of the thing within its kind and tenant';
COMMENT ON COLUMN csm_private.shipped_copies.content IS 'The thing as it was given, as csm_private.shipped_items() writes it';
COMMENT ON FUNCTION csm.map_login(bigint, text) IS
'Lets a PostgreSQL role act as this person; NULL unmaps. It grants nothing: give the role csm_portal, csm_agent, csm_reporter or csm_admin as well. Superuser or member of csm_owner. Errors: 42704 no such role, 22023 no such user or a group role, 42501 a role that row-level security does not bind, 23505 mapped to another';
COMMENT ON FUNCTION csm.create_tenant(text, text, text, text) IS
'Makes a tenant with what csm ships and one person, who holds the staff roles admin and manager; returns the tenant''s id. admin_login_role: as csm.map_login(). Superuser or member of csm_owner. Errors: 22023 bad key, name or e-mail, 23505 key taken';
COMMENT ON FUNCTION csm.refresh_shipped(bigint) IS
'As csm.refresh_shipped(), for one''s own tenant; error 42501 without the action configure there';
COMMENT ON FUNCTION csm.refresh_shipped() IS
'Merges what an update of csm brings into roles, permissions, case types, states, transitions, fields, and rules and words of notifications, and keeps what a tenant changed or deleted. A role counts as one thing with its permissions. Members of csm_owner: all tenants; an administrator: his own. Counts per kind: added, changed, removed (transitions, rules and words of notifications only), kept (differs from what csm ships)';
COMMENT ON FUNCTION csm_private.open_case_row(boolean, text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, text) IS
'Body of csm.open_case(): the INSERT with the caller''s rights, or the case that the key opened before';
COMMENT ON FUNCTION csm.open_case(text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, boolean, text) IS
'Opens a case with the caller''s rights and returns it. requester_id: the caller by default; account_id: his home account. priority: the case type''s by default, else 4. fields: fields of the case type, and further columns by name (attributes, partner_account_id, partner_contact_id; staff also household_id, internal_contact_id, service_organization_id, counterparty_contact_id, impact, urgency, language, assigned_group_id, assigned_to, parent_id). draft: hidden from the counterparty until action submit. The same opener and idempotency_key return the first case. Errors: 42501 not permitted or a reference that does not exist or is hidden, 22023 unknown case type or field, 22004 subject null, 23514 value out of range, SM006 key used for another case';
COMMENT ON FUNCTION csm_private.take_action(bigint, text, text, jsonb, boolean) IS
'Body of csm.act() and csm_private.act_as_system(), run as csm_owner: as_system says who is judged; errors as csm.act()';
COMMENT ON FUNCTION csm_private.act_as_system(bigint, text, text, jsonb) IS
'Takes an action as the system, whoever runs the function of csm that calls it; only csm_owner may. A note has no author. Errors as csm.act()';
COMMENT ON FUNCTION csm.act(bigint, text, text, jsonb) IS
'Takes an action on a case and returns the case as it is then. note becomes a shared entry. fields: columns set with it (subject, description, priority, impact, urgency, assigned_to, assigned_group_id, product_id, asset_id, counterparty_contact_id, resolution_code, resolution_notes), and reference, amount, currency of a proposal, and fields of the case type by their names; who does not work on the case may set only what the transition demands. Errors: SM001 no such case, 42501 not permitted, SM004 case closed, SM002 not from this state, SM003 field or note missing, 22023 unknown action or field, 22004 null argument';
COMMENT ON FUNCTION csm.actions(bigint) IS
'What the caller may do with the case now: action, caption, state it leads to, fields that must be filled in then, whether a note must be given. No row for a case that is closed, hidden or missing';
COMMENT ON FUNCTION csm.comment(bigint, text, text, text) IS
'Writes an entry on a case and returns it. visibility: shared (all who see the case), internal (work note), private (the author''s side and staff). The same author, case and idempotency_key return the first entry, also after the case was closed. Errors: SM001 no such case, 42501 not permitted, SM004 case closed, SM006 key used for another text, 22004 null argument, 22023 empty text or unknown visibility';
COMMENT ON FUNCTION csm.case_people(bigint) IS
'Names of the people and accounts on a case that the caller sees (V11); relation is requester, opener, assignee, internal_contact, account, counterparty, partner, counterparty_contact, partner_contact, household or party. user_id and account_id are NULL where they do not apply. Parties are not shown to the counterparty. No row for a hidden or missing case';
COMMENT ON FUNCTION csm_private.access_reasons(bigint, bigint, bigint, text, timestamptz) IS
'The rules V1 to V9 in plain SQL: one row a person, case and reason, at an instant. NULL person or case: all of the tenant. Side: customer, staff (counts under csm_agent, csm_reporter and csm_admin only) or NULL for both. Persona: through which persona; NULL: a share with the person himself';
COMMENT ON FUNCTION csm_private.staff_side() IS
'True when the role of SET ROLE, else of the session, has the privileges of csm_agent, csm_reporter or csm_admin';
COMMENT ON FUNCTION csm_private.asks_as_staff(bigint) IS
'Whether the caller sees the case as staff; false: as a party to it; SM001: not at all';
COMMENT ON FUNCTION csm.explain_access(bigint, bigint) IS
'Why a person can see a case: one row a reason with the rule (V1 to V9), the role, through what, and the actions; where nothing grants, one row with granted = false that says what is lacking. V9 counts under staff roles only. For staff who see the case; everybody else asks about himself (42501). A hidden and a missing case: SM001';
COMMENT ON FUNCTION csm.who_can_see(bigint) IS
'Who can see a case, by which rule and role, and what he may do there; V9 counts under staff roles only. Staff who see the case get everybody, anybody else his own rows. A hidden and a missing case: SM001';
COMMENT ON FUNCTION csm.account_tree(bigint) IS
'The accounts that the caller sees, as a tree to read: from "root" down, or from his topmost visible accounts. depth counts from 0 where the tree begins. No row for a root that is hidden or missing (V12)';
COMMENT ON FUNCTION csm_private.check_accounts(bigint) IS
'Accounts whose path or root is not what their parents say; NULL for all tenants. No check of the caller';
COMMENT ON FUNCTION csm.verify_accounts(bigint) IS
'As csm.verify_accounts(), for one''s own tenant; error 42501 without the action configure there';
COMMENT ON FUNCTION csm.verify_accounts() IS
'Accounts whose path, root or depth is not what their parents say, and what is wrong; no row when all is well. Members of csm_owner: all tenants; an administrator: his own';
COMMENT ON FUNCTION csm.whoami() IS
'Always one row: the signed-in person, his tenant (of a visitor: csm.guest_tenant_id()), the persona he narrowed himself to (NULL: all), the personas he holds, his roles, and how far they reach. Reach of staff roles is listed under staff roles only, where it counts. Nobody: NULLs and empty arrays';
COMMENT ON TABLE csm.events IS 'What happened to cases, once each; read through csm.next_events(). Written by triggers, deleted by csm.prune_events()';
COMMENT ON COLUMN csm.events.id IS 'Identity, unique in the database; in the order of commits within a case, not across cases';
COMMENT ON COLUMN csm.events.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.events.case_id IS 'The case';
COMMENT ON COLUMN csm.events.kind IS 'What happened: opened, state_changed, resolved, reopened, closed, assigned, priority_changed, commented, and what further modules add';
COMMENT ON COLUMN csm.events.actor_id IS 'Person who did it (csm.users.id, no foreign key); NULL for the system';
COMMENT ON COLUMN csm.events.on_behalf_of IS 'For whom he acted by csm.on_behalf_of() (csm.users.id, no foreign key); NULL for himself';
COMMENT ON COLUMN csm.events.audience IS 'shared: who sees the case; internal: staff who work on it; private: one side and staff who work on it';
COMMENT ON COLUMN csm.events.side IS 'Side of a private event: customer, counterparty or operator; NULL for the others';
COMMENT ON COLUMN csm.events.payload IS 'Keys and values of the change, a JSON object without free text; README lists them by kind';
COMMENT ON COLUMN csm.events.created_at IS 'When it happened';
COMMENT ON COLUMN csm.events.position IS 'Place in the order of delivery within the tenant; NULL until csm.next_events() has met the committed row';
COMMENT ON FUNCTION csm_private.emit(bigint, bigint, text, jsonb, text, text, bigint) IS
'Writes an event, after locking its case; nothing while restoring or importing. actor_id: NULL where time acts, whoever runs the clock. Error 22004 when tenant, case or kind is null';
COMMENT ON FUNCTION csm_private.case_events() IS
'AFTER trigger of csm.cases: opened, then for a change of state one of resolved, reopened, closed, state_changed; assigned; priority_changed';
COMMENT ON FUNCTION csm_private.entry_events() IS
'AFTER trigger of csm.case_entries: commented, for whom the entry is';
COMMENT ON TABLE csm.timers IS 'When csm.run_due() looks at something again; at most one timer per kind and object';
COMMENT ON COLUMN csm.timers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.timers.kind IS 'What is due: names the handler';
COMMENT ON COLUMN csm.timers.object_id IS 'The row that it is about: which table, the kind says';
COMMENT ON COLUMN csm.timers.case_id IS 'Case to which the object belongs; NULL where it belongs to none';
COMMENT ON COLUMN csm.timers.due_at IS 'From when on it is looked at; after a failure the next attempt';
COMMENT ON COLUMN csm.timers.attempts IS 'How often the handler failed since the timer was set';
COMMENT ON COLUMN csm.timers.error IS 'SQLSTATE and message of the last failure; NULL when there was none';
COMMENT ON POLICY timers_select ON csm.timers IS 'Administrators all of the tenant; staff those of the cases that they work on';
COMMENT ON FUNCTION csm_private.set_timer(bigint, text, bigint, bigint, timestamptz) IS
'Sets or moves the timer of a kind and object; due_at NULL clears it, case_id NULL where the object belongs to no case';
COMMENT ON VIEW csm_report.cases IS 'One row for each case that the reader may see; no subject, no text, no personal data';
COMMENT ON COLUMN csm_report.cases.id IS 'Key, csm.cases.id';
COMMENT ON COLUMN csm_report.cases.number IS 'Human-facing number';
COMMENT ON COLUMN csm_report.cases.branch IS 'b2b, b2c or internal';
COMMENT ON COLUMN csm_report.cases.case_type IS 'Type of case';
COMMENT ON COLUMN csm_report.cases.state IS 'State of its machine';
COMMENT ON COLUMN csm_report.cases.state_class IS 'draft, new, open, waiting, resolved, closed or cancelled: the same for every type';
COMMENT ON COLUMN csm_report.cases.priority IS '1 (critical) to 4 (low)';
COMMENT ON COLUMN csm_report.cases.impact IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm_report.cases.urgency IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm_report.cases.channel IS 'How it came in';
COMMENT ON COLUMN csm_report.cases.product_id IS 'Product concerned; NULL for none';
COMMENT ON COLUMN csm_report.cases.product IS 'Name of the product';
COMMENT ON COLUMN csm_report.cases.parent_product IS 'Name of the product above; NULL at the top';
COMMENT ON COLUMN csm_report.cases.account_id IS 'Customer account; NULL unless b2b';
COMMENT ON COLUMN csm_report.cases.account IS 'Name of the customer account; NULL where the reader may not see the account';
COMMENT ON COLUMN csm_report.cases.top_account_id IS 'Top of the customer''s account tree; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.top_account IS 'Its name; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.partner_account_id IS 'Partner that looks after the case';
COMMENT ON COLUMN csm_report.cases.partner IS 'Name of the partner; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.counterparty_account_id IS 'The other company of a dispute';
COMMENT ON COLUMN csm_report.cases.counterparty IS 'Its name; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.service_organization_id IS 'Service organisation that the case belongs to';
COMMENT ON COLUMN csm_report.cases.service_organization IS 'Its name';
COMMENT ON COLUMN csm_report.cases.assigned_group_id IS 'Group that works on it';
COMMENT ON COLUMN csm_report.cases.assigned_group IS 'Name of the group';
COMMENT ON COLUMN csm_report.cases.assignee_id IS 'Who works on it (csm.users.id); a name would be personal data';
COMMENT ON COLUMN csm_report.cases.resolution_code IS 'How it was solved';
COMMENT ON COLUMN csm_report.cases.needs_attention IS 'Something new was said';
COMMENT ON COLUMN csm_report.cases.reopen_count IS 'How often a proposed solution was rejected';
COMMENT ON COLUMN csm_report.cases.reassignment_count IS 'How often it changed hands after the first assignment';
COMMENT ON COLUMN csm_report.cases.opened_at IS 'When it was made';
COMMENT ON COLUMN csm_report.cases.submitted_at IS 'When it left draft; NULL while draft';
COMMENT ON COLUMN csm_report.cases.first_response_at IS 'First entry of staff that the customer can read';
COMMENT ON COLUMN csm_report.cases.resolved_at IS 'When a solution was last proposed; NULL while none stands';
COMMENT ON COLUMN csm_report.cases.closed_at IS 'When it was closed or cancelled';
COMMENT ON COLUMN csm_report.cases.updated_at IS 'Last change or entry';
COMMENT ON COLUMN csm_report.cases.first_response_seconds IS 'Seconds from submission to the first response; NULL while there is none';
COMMENT ON COLUMN csm_report.cases.resolve_seconds IS 'Seconds from submission to the last proposed solution; NULL while none stands';
COMMENT ON COLUMN csm_report.cases.close_seconds IS 'Seconds from submission to closing; NULL while open';
COMMENT ON COLUMN csm_report.cases.age_seconds IS 'Seconds from making to closing, or to now while open; NULL when the time of closing is not known (imported cases)';
COMMENT ON FUNCTION csm.set_fields(bigint, jsonb) IS
'Sets fields of a case by their names, wherever they live, and returns the case; null clears a field. Staff who work on the case set all, a side the fields that only it reads. Errors: SM001 no such case, 42501 not permitted, or a reference that does not exist or is hidden, SM003 a required field would be cleared, SM004 case closed, 22023 no such field or a value of another type';
COMMENT ON FUNCTION csm_private.check_configures(bigint) IS
'42501 unless the caller holds the action configure in the tenant, or writes as the system';
COMMENT ON FUNCTION csm_private.machine_begins(bigint, text) IS
'States in which a new case can begin: the first of class draft, and the first of class new unless the type begins as draft';
COMMENT ON FUNCTION csm_private.machine_walk(bigint, text) IS
'States of a machine; reached: a new case can come there, ends: from there it can be closed or cancelled';
COMMENT ON FUNCTION csm.check_case_type(text) IS
'What is wrong with a case type: no first state, state cannot be reached, state without a way out, dead action, unknown actor, unknown field, unknown action, two states with one number, state of cases is missing, setting out of range. object names the state, the state and action, the field or the setting. No row: the machine is sound. Errors: 42501 without the action configure, 22023 no such type';
COMMENT ON FUNCTION csm.create_case_type(text, text, text, jsonb, jsonb, jsonb, jsonb, boolean) IS
'Makes a case type that inherits from parent (NULL: from none) and changes what is given. settings: as csm.case_types.settings. states, transitions, fields: arrays of objects with the columns of csm.case_states, csm.case_transitions (from_state may be an array) and csm.case_type_fields; of an inherited state or action only what changes need be said, "active": false does without it. own_machine: nothing of the parent''s machine is inherited. Errors: 42501 without the action configure, 22023 no such parent or a machine that is not sound (csm.check_case_type), 23503 no such state, 23505 the type exists, 23502 and 23514 a value that no row may have';
COMMENT ON FUNCTION csm.machine_diagram(text) IS
'The machine of a case type as a Mermaid stateDiagram, inherited states and actions included; NULL for an unknown type, and for nobody';
COMMENT ON TABLE csm.dispute_proposals IS 'Proposals of a dispute, round by round, and rulings of the operator. Written by the actions of the machine alone; a row never changes but for its outcome, once';
COMMENT ON COLUMN csm.dispute_proposals.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.dispute_proposals.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.dispute_proposals.case_id IS 'The dispute';
COMMENT ON COLUMN csm.dispute_proposals.round IS 'Counts the proposals and rulings of the dispute from 1';
COMMENT ON COLUMN csm.dispute_proposals.side IS 'counterparty: a proposal of the respondent; operator: a ruling';
COMMENT ON COLUMN csm.dispute_proposals.proposed_by IS 'Who made it; NULL for the system';
COMMENT ON COLUMN csm.dispute_proposals.proposed_name IS 'His name when he made it (V11)';
COMMENT ON COLUMN csm.dispute_proposals.proposed_at IS 'When it was made';
COMMENT ON COLUMN csm.dispute_proposals.reference IS 'What it stands on: number of a credit note, payment, shipment; NULL only for a ruling that moves no money';
COMMENT ON COLUMN csm.dispute_proposals.amount IS 'Amount offered, in currency; NULL for none';
COMMENT ON COLUMN csm.dispute_proposals.currency IS 'Three letters (ISO 4217); NULL without an amount';
COMMENT ON COLUMN csm.dispute_proposals.resolution_code IS 'Resolution code of the case as proposed';
COMMENT ON COLUMN csm.dispute_proposals.notes IS 'Resolution notes of the case as proposed; the text of a ruling';
COMMENT ON COLUMN csm.dispute_proposals.outcome IS 'accepted or rejected by the claimant, withdrawn by the respondent, lapsed (escalated, or the claim withdrawn), confirmed (a ruling); NULL while pending';
COMMENT ON COLUMN csm.dispute_proposals.decided_by IS 'Who decided; NULL while pending and for the system';
COMMENT ON COLUMN csm.dispute_proposals.decided_name IS 'His name when he decided; NULL while pending';
COMMENT ON COLUMN csm.dispute_proposals.decided_at IS 'When it was decided; NULL while pending';
COMMENT ON COLUMN csm.dispute_proposals.reason IS 'Note given with the decision; NULL for none';
COMMENT ON POLICY dispute_proposals_select ON csm.dispute_proposals IS 'All who see the case: both sides and the operator';
COMMENT ON FUNCTION csm_private.proposal_guard() IS
'Trigger of csm.dispute_proposals: written by the trigger of csm.cases only, or while importing; nothing changes but the outcome, once (42501)';
COMMENT ON FUNCTION csm_private.proposals_follow() IS
'AFTER trigger of csm.cases: makes or decides a proposal where the transition taken has the effect "proposal", and its event; SM002 when there is none to decide';
COMMENT ON FUNCTION csm_private.may_dispute(bigint, bigint, bigint, text) IS
'Whether whoever asks for service may name that other side: a current relationship trades_with between the two accounts, or, with the type setting counterparties = "any", any active account';
COMMENT ON FUNCTION csm.dispute_counterparties() IS
'With whom the caller may open a dispute: the other account and its name, for each of the accounts for which he may open cases (for_account_id). Current relationships of type trades_with, in either direction; no row for nobody';
COMMENT ON FUNCTION csm_private.due_dispute_response(bigint, bigint, timestamptz) IS
'Timer dispute_response: escalates a dispute on which the respondent said nothing for response_hours';
COMMENT ON FUNCTION csm_private.due_dispute_auto_accept(bigint, bigint, timestamptz) IS
'Timer dispute_auto_accept: accepts a proposal that nobody answered, unless auto_close is off or something keeps the case open (attention, an escalation); then it looks again a day later';
COMMENT ON FUNCTION csm_private.due_dispute_appeal(bigint, bigint, timestamptz) IS
'Timer dispute_appeal: a ruling becomes final when its appeal window has ended';
COMMENT ON FUNCTION csm_private.limit_rounds(csm.cases) IS
'Escalates a dispute in which max_rounds proposals were rejected; returns the case as it is then';
COMMENT ON TABLE csm.case_history IS 'What happened to a case: one link for each change; a chain for each case, append-only';
COMMENT ON COLUMN csm.case_history.id IS 'Identity, unique in the database; grows within a case';
COMMENT ON COLUMN csm.case_history.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_history.case_id IS 'The case';
COMMENT ON COLUMN csm.case_history.seq IS 'Place in the chain of the case, from 1 on without a gap';
COMMENT ON COLUMN csm.case_history.at IS 'When it happened; for a change of the case row its updated_at';
COMMENT ON COLUMN csm.case_history.action IS 'open, imported, update, comment, work_note, private_entry, attach, or the action of the machine that was taken';
COMMENT ON COLUMN csm.case_history.actor_id IS 'Who did it; NULL for the system';
COMMENT ON COLUMN csm.case_history.actor_name IS 'His name then, system for the system; NULL when erased';
COMMENT ON COLUMN csm.case_history.persona IS 'As what he did it: the persona he had narrowed himself to, else staff, contact, consumer or employee by his relation; NULL for the system and for who only shares the case';
COMMENT ON COLUMN csm.case_history.relation IS 'Relations to the case under which it was permitted, as csm.case_transitions.actors names them, separated by comma and blank; NULL for who only shares the case';
COMMENT ON COLUMN csm.case_history.on_behalf_of IS 'The requester, where another opened the case for him or spoke for his side; NULL otherwise';
COMMENT ON COLUMN csm.case_history.audience IS 'Who reads the link: shared (all who see the case), internal (staff who work on it), customer or counterparty (one side, and staff who work on it)';
COMMENT ON COLUMN csm.case_history.payload IS 'Field -> [old, new]; times in UTC. A first link has every field that is not null. A name with a point is no column of csm.cases: internal.attributes, customer.attributes, counterparty.attributes, entry.* and attachment.* of what was added. NULL when erased';
COMMENT ON COLUMN csm.case_history.salt IS '16 random bytes, hashed with actor_name and payload; NULL when erased';
COMMENT ON COLUMN csm.case_history.payload_hash IS 'SHA-256 of salt, actor_name and payload; outlives them';
COMMENT ON COLUMN csm.case_history.previous_hash IS 'hash of the link before; NULL in a first link';
COMMENT ON COLUMN csm.case_history.hash IS 'SHA-256 of previous_hash, the other columns and payload_hash';
COMMENT ON POLICY case_history_select ON csm.case_history IS 'Shared: all who see the case; internal: staff who work on it; else one side and staff who work on it';
COMMENT ON TABLE csm.history_seals IS 'Seals over the history of a tenant, chained and append-only; whoever keeps the hash of one elsewhere can prove later what the history was';
COMMENT ON COLUMN csm.history_seals.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.history_seals.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.history_seals.seq IS 'Place in the tenant''s chain of seals, from 1 on without a gap';
COMMENT ON COLUMN csm.history_seals.at IS 'When it was made';
COMMENT ON COLUMN csm.history_seals.leaves IS 'How many cases it has in csm.history_leaves';
COMMENT ON COLUMN csm.history_seals.root IS 'Merkle root over its leaves in the order of their cases';
COMMENT ON COLUMN csm.history_seals.previous_hash IS 'hash of the seal before; NULL in a first seal';
COMMENT ON COLUMN csm.history_seals.hash IS 'SHA-256 of previous_hash, tenant_id, seq, at, leaves and root';
COMMENT ON COLUMN csm.history_seals.covered_to IS 'Every link up to this csm.case_history.id is in this seal or one before';
COMMENT ON COLUMN csm.history_seals.scanned_to IS 'So is every link up to this id that was committed when the seal was made; one that is committed later finds the next seal';
COMMENT ON COLUMN csm.history_seals.horizon IS 'Transaction id: when all before it have ended, scanned_to counts as covered_to. One that this cluster has not reached comes from another, where all have ended';
COMMENT ON TABLE csm.history_leaves IS 'What a seal says of a case; append-only';
COMMENT ON COLUMN csm.history_leaves.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.history_leaves.seal_id IS 'The seal';
COMMENT ON COLUMN csm.history_leaves.case_id IS 'The case';
COMMENT ON COLUMN csm.history_leaves.length IS 'How many links its chain had';
COMMENT ON COLUMN csm.history_leaves.last_hash IS 'hash of the last of them';
COMMENT ON POLICY history_seals_select ON csm.history_seals IS 'Administrators, and managers with reach all';
COMMENT ON POLICY history_leaves_select ON csm.history_leaves IS 'Administrators, and managers with reach all';
COMMENT ON FUNCTION csm_private.history_payload_hash(bytea, text, jsonb) IS
'payload_hash of a link; NULL where salt or payload is null or the salt has another length than 16';
COMMENT ON FUNCTION csm_private.history_link_hash(bytea, bigint, bigint, bigint, bigint, timestamptz, text, bigint, text, text, bigint, text, bytea) IS
'hash of a link; NULL where a value is missing or a hash has another length than 32';
COMMENT ON FUNCTION csm_private.history_leaf(bigint, bigint, bigint, bytea) IS 'Leaf of a seal';
COMMENT ON FUNCTION csm_private.history_root(bytea[]) IS 'Merkle root over leaves in the order given; NULL for none';
COMMENT ON FUNCTION csm_private.history_seal(bytea, bigint, bigint, timestamptz, bigint, bytea) IS 'hash of a seal';
COMMENT ON FUNCTION csm_private.case_payload(csm.cases) IS
'The row as the payload of a first link: field -> [null, value] for what is tracked and not null';
COMMENT ON FUNCTION csm_private.case_words(csm.cases) IS 'csm.cases.search as it would be computed for the row';
COMMENT ON FUNCTION csm_private.history() IS
'AFTER row trigger that writes csm.case_history; argument: case, entry, fields or attachment';
COMMENT ON FUNCTION csm_private.begin_erasure(bigint) IS
'Announces that personal data in append-only rows of the case are erased: until end_erasure(), another announcement or the end of the transaction the columns that the triggers name may be changed, and no other';
COMMENT ON FUNCTION csm_private.begin_erasures() IS
'The same for all cases, for append-only rows of none, and for the personal columns of csm.cases, whatever their state; guards of other tables stand aside';
COMMENT ON FUNCTION csm_private.end_erasure() IS 'Ends what begin_erasure() announced';
COMMENT ON FUNCTION csm.case_as_of(bigint, timestamptz) IS
'The row of a case as it was at that time, rebuilt from its history, for whoever sees the case now; search is computed with today''s text search configuration. No row for a hidden or missing case, before it existed, before it was imported, and, for the counterparty, while it was a draft. Fields of erased links are missing';
COMMENT ON FUNCTION csm_private.seal_history(bigint, bigint) IS
'Seals what has been committed of a tenant''s history since the last seal, at most that many links; returns how many. No new link, no seal';
COMMENT ON FUNCTION csm_private.due_seal(bigint, bigint, timestamptz) IS
'Handler of timers of kind seal, one a tenant: seals, and comes again after the tenant''s setting seal_minutes (60 by default), at once where links were left over';
COMMENT ON FUNCTION csm_private.begin_seals() IS 'Trigger of csm.tenants: the first timer of kind seal';
COMMENT ON FUNCTION csm_private.history_link_problems(bigint, bigint) IS
'Every link with what is wrong with it or with the entry it speaks of, NULL where nothing is; of one tenant or case, NULL for all';
COMMENT ON FUNCTION csm_private.history_case_problems(bigint, bigint) IS
'Cases that are missing, differ from what their history says, or have none though younger ones do; of one tenant or case, NULL for all';
COMMENT ON FUNCTION csm_private.history_seal_problems(bigint, bigint) IS
'Seals that were changed or removed, and sealed links that are missing or others; of one tenant or case, NULL for all';
COMMENT ON FUNCTION csm.verify_history(bigint) IS
'Reads the history of the caller''s tenant (without identity: of all tenants), or of one case, and compares it with its hashes, its seals, the entries, attachments and cases as they are. Always one row: intact; links read, of these erased and not yet sealed; seals; and of the first broken row the case, the place in its chain, and what is wrong (case NULL: a seal). For administrators, and managers with reach all; errors: 42501, SM001';
COMMENT ON TABLE csm.attachments IS 'Files on a case; append-only, written by csm.attach()';
COMMENT ON COLUMN csm.attachments.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.attachments.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.attachments.case_id IS 'The case';
COMMENT ON COLUMN csm.attachments.entry_id IS 'Entry of the case that it belongs to; NULL: the case itself';
COMMENT ON COLUMN csm.attachments.author_id IS 'Who attached it; NULL for the system';
COMMENT ON COLUMN csm.attachments.author_name IS 'His name then (V11)';
COMMENT ON COLUMN csm.attachments.visibility IS 'That of its entry, copied; shared without one';
COMMENT ON COLUMN csm.attachments.side IS 'Side of its author, or of its entry, copied: customer, counterparty or operator';
COMMENT ON COLUMN csm.attachments.file_name IS 'Name without path, 1 to 255 characters';
COMMENT ON COLUMN csm.attachments.media_type IS 'Media type without parameters (RFC 6838), as the client gave it: not to be trusted';
COMMENT ON COLUMN csm.attachments.size IS 'Bytes; NULL where a url was given without it';
COMMENT ON COLUMN csm.attachments.sha256 IS 'SHA-256 of the content, computed here where the content is here; NULL where a url was given without it';
COMMENT ON COLUMN csm.attachments.url IS 'http or https address of the content, up to 2,000 characters; NULL where it stands in csm.attachment_contents';
COMMENT ON COLUMN csm.attachments.created_at IS 'When it was attached';
COMMENT ON TABLE csm.attachment_contents IS 'Contents that are kept in the database; append-only';
COMMENT ON COLUMN csm.attachment_contents.attachment_id IS 'The attachment';
COMMENT ON COLUMN csm.attachment_contents.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.attachment_contents.content IS 'The bytes, not compressed';
COMMENT ON POLICY attachments_select ON csm.attachments IS 'As the entry it belongs to; without one, all who see the case';
COMMENT ON POLICY attachment_contents_select ON csm.attachment_contents IS 'Whoever sees the attachment';
COMMENT ON FUNCTION csm_private.file_name(text) IS
'A file name as it can be kept and shown: what follows the last / or \, without control and direction characters, without blanks and points at its ends, characters that a file system refuses as _, cut to 255 characters before the extension; NULL where nothing is left';
COMMENT ON FUNCTION csm_private.attachment_limit(csm.cases, text, bigint) IS
'A limit as the case type says, else the tenant, else the last argument';
COMMENT ON FUNCTION csm.attach(bigint, text, text, bytea, text, bigint, bigint, bytea) IS
'Attaches a file to a case, or to an entry that the caller wrote, and returns it. Either content, which is kept here and whose size and SHA-256 are computed (size and sha256, where given, must agree), or url, with which size and sha256 are kept as given. file_name loses its path and what cannot be shown. media_type: application/octet-stream by default. Limits: max_attachments of a case (100) and max_attachment_bytes of a content (10,485,760) in the settings of the case type, else of the tenant; of a consumer the quota attachments of the tenant. Errors: SM001 no such case, 42501 not permitted, or no entry of his, SM004 case closed, SM007 too many, 22004 null argument, 22023 name, type, url or content not acceptable or too large';
COMMENT ON FUNCTION csm_private.attachment_problems(bigint, bigint) IS
'Attachments that are not what the history says, and contents that are not what their attachment says; of one tenant or case, NULL for all';
COMMENT ON FUNCTION csm_private.is_staff(text) IS
'Whether a staff role of the person counts now, one that permits the action with whatever reach; NULL: any staff role. False under csm_portal and for nobody';
COMMENT ON FUNCTION csm_private.lock_for_dependent(bigint, bigint, text, boolean) IS
'Locks a case and returns it; a row of nulls where there is none. what: noun phrase for the message; unfinished: whether it would keep the case from being resolved. Errors: SM004 case closed, SM002 solution proposed. For triggers that have asked for the right before';
COMMENT ON FUNCTION csm_private.call_attention(bigint, bigint) IS
'Switches needs_attention on as csm''s own change; nothing on a case that has it, is resolved or is closed';
COMMENT ON FUNCTION csm_private.block_guard() IS
'Trigger of csm.case_blocks: who and when; SM004 or SM002 on a case that cannot be blocked any more, 42501 for a block that ended';
COMMENT ON FUNCTION csm_private.block_effects() IS
'Trigger of csm.case_blocks: the end of a block calls attention to the case (R 2.5); events blocked and unblocked for reasons problem and other';
COMMENT ON FUNCTION csm_private.block_overtaken() IS
'Trigger of csm.case_blocks: ends a block that was being changed while its case was resolved or closed';
COMMENT ON FUNCTION csm_private.never_deleted() IS
'Trigger that refuses DELETE and TRUNCATE for everybody (42501)';
COMMENT ON FUNCTION csm_private.case_dependents() IS
'Trigger of csm.cases: waiting for the customer begins and ends a block; a case that is resolved or ends has no blocks; cancelling it cancels its tasks and lines; submitting it submits its lines';
COMMENT ON TABLE csm.case_blocks IS 'What cases wait for, kept with beginning and end (R 2.5)';
COMMENT ON COLUMN csm.case_blocks.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_blocks.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_blocks.case_id IS 'The case';
COMMENT ON COLUMN csm.case_blocks.reason IS 'customer_info: an answer of the customer, kept by the state of the case; task: a blocking task, kept by csm.case_tasks; problem: the workaround of a problem; other: something else, said in note. The last two are written by staff';
COMMENT ON COLUMN csm.case_blocks.note IS 'What it waits for, up to 400 characters, read by all who see the case; NULL for none';
COMMENT ON COLUMN csm.case_blocks.blocked_by IS 'Who began it, stamped; NULL for the system';
COMMENT ON COLUMN csm.case_blocks.blocked_at IS 'When it began, stamped';
COMMENT ON COLUMN csm.case_blocks.unblocked_by IS 'Who ended it, stamped; NULL for the system and while it lasts';
COMMENT ON COLUMN csm.case_blocks.unblocked_at IS 'When it ended: a value of a client''s own is replaced by the clock; NULL while it lasts. An ended block never changes';
COMMENT ON POLICY case_blocks_select ON csm.case_blocks IS 'All who see the case';
COMMENT ON POLICY case_blocks_insert ON csm.case_blocks IS 'Staff who work on the case, for reasons problem and other';
COMMENT ON POLICY case_blocks_update ON csm.case_blocks IS 'Staff who work on the case end a block of reason problem or other';
COMMENT ON VIEW csm.case_action_status IS 'Whose move it is on each case that the reader sees';
COMMENT ON COLUMN csm.case_action_status.case_id IS 'The case';
COMMENT ON COLUMN csm.case_action_status.tenant_id IS 'Tenant of the case';
COMMENT ON COLUMN csm.case_action_status.action_status IS 'done (closed or cancelled), else needs_attention, else blocked, else active';
COMMENT ON COLUMN csm.case_action_status.blocked_by_reasons IS 'Reasons of the open blocks, sorted; also where the status is needs_attention. Empty when none';
COMMENT ON COLUMN csm.case_action_status.blocked_since IS 'Beginning of the oldest open block; NULL when none, and for a case that was imported as waiting';
COMMENT ON FUNCTION csm_private.task_guard() IS
'Trigger of csm.case_tasks: number, branch, who and when; the states; the block of a blocking task. Errors: 42501 not permitted (hidden and missing case alike) or a fixed column, SM004 task or case closed, SM002 state a task cannot begin in, or a blocking task while a solution is proposed';
COMMENT ON FUNCTION csm_private.task_effects() IS
'Trigger of csm.case_tasks: ends the block of a task that does not block any more; cancels a task whose case was cancelled meanwhile; events task_opened and task_closed';
COMMENT ON TABLE csm.case_tasks IS 'Work for somebody on the desk that a case needs. Rows are never deleted; closed and cancelled ones never change';
COMMENT ON COLUMN csm.case_tasks.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_tasks.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_tasks.case_id IS 'The case';
COMMENT ON COLUMN csm.case_tasks.branch IS 'Branch of the case, copied';
COMMENT ON COLUMN csm.case_tasks.number IS 'Human-facing number, unique in the tenant; made from the id (CT0000042)';
COMMENT ON COLUMN csm.case_tasks.subject IS 'What is to be done, up to 400 characters';
COMMENT ON COLUMN csm.case_tasks.description IS 'More about it, up to 100,000 characters; NULL for none. Read by the customer where the task is visible to him';
COMMENT ON COLUMN csm.case_tasks.state IS 'open, in_progress, closed or cancelled';
COMMENT ON COLUMN csm.case_tasks.blocking IS 'True: while the task is open the case is blocked and can be neither resolved nor closed';
COMMENT ON COLUMN csm.case_tasks.visible_to_customer IS 'True: whoever sees the case sees the task, except the other company of a dispute';
COMMENT ON COLUMN csm.case_tasks.priority IS '1 (critical) to 4 (low)';
COMMENT ON COLUMN csm.case_tasks.assigned_group_id IS 'Group that does it; NULL for none';
COMMENT ON COLUMN csm.case_tasks.assigned_to IS 'Person who does it; NULL for nobody yet';
COMMENT ON COLUMN csm.case_tasks.due_at IS 'When it should be done; NULL for no term. Nothing happens by itself then';
COMMENT ON COLUMN csm.case_tasks.close_notes IS 'What came of it, up to 100,000 characters; NULL for none. Read by the customer where the task is visible to him';
COMMENT ON COLUMN csm.case_tasks.block_id IS 'The block that the task made last; NULL where it never blocked';
COMMENT ON COLUMN csm.case_tasks.opened_by IS 'Who opened it, stamped; NULL for the system';
COMMENT ON COLUMN csm.case_tasks.opened_at IS 'When it was opened, stamped';
COMMENT ON COLUMN csm.case_tasks.updated_at IS 'Last change of the row';
COMMENT ON COLUMN csm.case_tasks.closed_by IS 'Who closed or cancelled it, stamped; NULL for the system and while it is open';
COMMENT ON COLUMN csm.case_tasks.closed_at IS 'When it was closed or cancelled, stamped; NULL while it is open';
COMMENT ON POLICY case_tasks_select ON csm.case_tasks IS 'T10: tasks with the flag, by the customer''s side of a visible case';
COMMENT ON POLICY case_tasks_select_staff ON csm.case_tasks IS 'Those who work on the case; staff to whom the task is assigned, in person or by group; with the flag all who see the case but its counterparty';
COMMENT ON POLICY case_tasks_insert ON csm.case_tasks IS 'Staff who work on the case';
COMMENT ON POLICY case_tasks_update ON csm.case_tasks IS 'Staff who work on the case, and staff to whom the task is assigned';
COMMENT ON FUNCTION csm_private.may_order(csm.cases) IS
'Whether the person decides for the customer of a case that is draft or new; false for a null row';
COMMENT ON FUNCTION csm_private.line_guard() IS
'Trigger of csm.case_lines: position, first state, who and when; the states. Errors: 42501 not permitted (hidden and missing case alike) or a fixed column, SM004 line or case closed, SM002 state not possible, or a new line while a solution is proposed';
COMMENT ON FUNCTION csm_private.line_overtaken() IS
'Trigger of csm.case_lines: cancels a line that was being changed while its case was cancelled';
COMMENT ON TABLE csm.case_lines IS 'Products or issues of one case, each with a state of its own. Rows are never deleted; ended ones never change';
COMMENT ON COLUMN csm.case_lines.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_lines.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_lines.case_id IS 'The case';
COMMENT ON COLUMN csm.case_lines.position IS 'Number of the line in its case, from 1, given in the order of adding';
COMMENT ON COLUMN csm.case_lines.product_id IS 'Product that is ordered or concerned; NULL where description says what';
COMMENT ON COLUMN csm.case_lines.quantity IS 'How many, above 0, up to six decimals; the unit is the product''s';
COMMENT ON COLUMN csm.case_lines.description IS 'What it is about, up to 10,000 characters; NULL where the product says it';
COMMENT ON COLUMN csm.case_lines.state IS 'draft, new, work_in_progress, awaiting_info, resolved_accepted, resolved_denied or cancelled; begins as draft on a draft, else as new';
COMMENT ON COLUMN csm.case_lines.resolution_notes IS 'What came of it, read by all who see the case; NULL for none';
COMMENT ON COLUMN csm.case_lines.opened_by IS 'Who added it, stamped; NULL for the system';
COMMENT ON COLUMN csm.case_lines.opened_at IS 'When it was added, stamped';
COMMENT ON COLUMN csm.case_lines.updated_at IS 'Last change of the row';
COMMENT ON COLUMN csm.case_lines.closed_at IS 'When it was resolved or cancelled, stamped; NULL while it is open';
COMMENT ON POLICY case_lines_select ON csm.case_lines IS 'All who see the case';
COMMENT ON POLICY case_lines_insert ON csm.case_lines IS 'Staff who work on the case, and the customer''s side until work begins; an active product of the tenant';
COMMENT ON POLICY case_lines_update ON csm.case_lines IS 'Staff who work on the case, and the customer''s side until work begins';
COMMENT ON FUNCTION csm_private.case_holds(csm.cases, text) IS
'Whether the person has the action on the customer''s side of the case by anything but a share; false for nobody and a null row';
COMMENT ON FUNCTION csm_private.may_share_with(bigint, bigint, bigint, boolean, boolean) IS
'Whether the signed-in person may let in this person or account. as_desk: whoever is visible to him; else a current contact, or an account, of the subtree of an account in which he is a contact himself. False for hidden and missing alike';
COMMENT ON FUNCTION csm_private.case_to_share(bigint) IS
'The case, where the caller may share it; errors SM001 and 42501 of csm.share_case()';
COMMENT ON FUNCTION csm_private.share_case_row(boolean, bigint, bigint, bigint, text[], timestamptz) IS
'Body of csm.share_case(); visible: whether the caller sees the person or account';
COMMENT ON FUNCTION csm.share_case(bigint, bigint, bigint, text[], timestamptz) IS
'Lets a person, or all current contacts of an account, in to a case, until the given time (NULL: without end), and returns the share. capabilities: case_read, and case_comment and case_decide where named. Sharing again replaces both. By staff who work on the case, with whom they see; by whoever has case_decide on the customer''s side other than by a share, with contacts and accounts of his own accounts'' subtrees. Counts from the next statement on. Errors: SM001 no such case, 42501 not his to share, or person or account out of reach (hidden and missing alike), 22023 argument';
COMMENT ON FUNCTION csm.unshare_case(bigint, bigint, bigint) IS
'Ends the share of a case with a person or an account, from the next statement on; true where one was ended. By staff who work on the case, whoever granted it or could grant it, and the person himself. The row is kept with its end. Errors: SM001 no such case, 42501 not permitted, 22023 not exactly one of user_id and account_id';
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
COMMENT ON FUNCTION csm_private.open_follow_up_row(bigint, text, text, text) IS
'Body of csm.open_follow_up(): opens the new case with the caller''s rights';
COMMENT ON FUNCTION csm_private.link_follow_up(csm.cases, bigint) IS
'Body of csm.open_follow_up(): links the case that the caller just opened; returns it';
COMMENT ON FUNCTION csm.open_follow_up(bigint, text, text, text) IS
'Opens a case that follows up a closed or cancelled one, with its type, requester, account, counterparty, product (where still offered) and priority, links the two and returns the new one. subject: that of the old one by default. The same opener and idempotency_key return the first case. Errors: SM001 no such case, SM002 the case is not closed, and those of csm.open_case()';
COMMENT ON FUNCTION csm.assets_allowing(text) IS
'Sorted ids: install-base items that the person is linked to or authorised on; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.sold_products_allowing(text) IS
'Sorted ids: sold products that the person is linked to or authorised on; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.asset_allows(bigint, text) IS
'True for an install-base item that the person is linked to as its contact, or authorised on: action product_read or asset_read';
COMMENT ON FUNCTION csm.sold_product_allows(bigint, text) IS
'As asset_allows, of a sold product';
COMMENT ON POLICY asset_contacts_select ON csm.asset_contacts IS 'Who manages the item, and whoever sees both it and the contact';
COMMENT ON POLICY asset_contacts_insert ON csm.asset_contacts IS 'A15: who has product_manage on the item''s account, for a contact he reads; 42501 for hidden, missing and unfit alike';
COMMENT ON POLICY asset_contacts_delete ON csm.asset_contacts IS 'Who has product_manage on the item''s account';
COMMENT ON POLICY asset_parties_select ON csm.asset_parties IS 'The person authorised, and who manages the item';
COMMENT ON POLICY asset_parties_select_staff ON csm.asset_parties IS 'The person authorised, and staff who read the item';
COMMENT ON POLICY asset_parties_insert ON csm.asset_parties IS 'B18: staff with product_manage; a customer''s administrator for people and accounts that he manages';
COMMENT ON POLICY asset_parties_update ON csm.asset_parties IS 'Who manages the item';
COMMENT ON POLICY asset_parties_delete ON csm.asset_parties IS 'Who manages the item';
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
COMMENT ON FUNCTION csm.state(csm.sold_products) IS 'State of a sold product now: in_preparation, active or expired';
COMMENT ON FUNCTION csm.state(csm.assets) IS 'State of an install-base item now: in_preparation, installed or removed';
COMMENT ON FUNCTION csm.restrict_contact_access(bigint, boolean) IS
'Switches accounts.restrict_contact_access for who has product_manage on the account (B19): true takes the account-wide reading of sold products and items from plain contacts. Error 42501, for a hidden and a missing account alike';
COMMENT ON FUNCTION csm.register_product(bigint, text, date) IS
'A consumer registers an item he owns and gets it back. Errors: 42501 no consumer, 22023 bad argument, unknown product, or product and serial number held already (whoever holds them), SM007 more than the tenant''s quota of products (25); items removed do not count';
COMMENT ON POLICY contract_lines_select ON csm.contract_lines IS 'Whoever reads the contract';
COMMENT ON POLICY contract_lines_write ON csm.contract_lines IS 'Staff with product_manage for the branch of the contract';
COMMENT ON POLICY entitlement_uses_select ON csm.entitlement_uses IS 'Staff who see both the case and the entitlement';
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
COMMENT ON TABLE csm.handling_notes IS 'What staff should know about a case, account, contact, person, product or install-base item; never read by those who ask for service';
COMMENT ON COLUMN csm.handling_notes.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.handling_notes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.handling_notes.case_id IS 'The case; exactly one of the six references is set';
COMMENT ON COLUMN csm.handling_notes.account_id IS 'The account';
COMMENT ON COLUMN csm.handling_notes.contact_id IS 'The contact: the person in his function for one account';
COMMENT ON COLUMN csm.handling_notes.user_id IS 'The person, whatever his personas';
COMMENT ON COLUMN csm.handling_notes.product_id IS 'The product';
COMMENT ON COLUMN csm.handling_notes.asset_id IS 'The install-base item';
COMMENT ON COLUMN csm.handling_notes.body IS 'The note, up to 10,000 characters';
COMMENT ON COLUMN csm.handling_notes.priority IS '1 (read first) to 4';
COMMENT ON COLUMN csm.handling_notes.expires_at IS 'From when on csm.notes_for() leaves it out; NULL for never. An end in the past ends it';
COMMENT ON COLUMN csm.handling_notes.created_by IS 'Who wrote it; NULL for the system';
COMMENT ON COLUMN csm.handling_notes.created_at IS 'When it was written';
COMMENT ON POLICY handling_notes_select ON csm.handling_notes IS 'Staff with case_work where the subject belongs';
COMMENT ON POLICY handling_notes_insert ON csm.handling_notes IS 'The same, in their own name';
COMMENT ON POLICY handling_notes_update ON csm.handling_notes IS 'The same';
COMMENT ON FUNCTION csm.notes_for(bigint) IS
'Handling notes that hold for a case now: on the case itself, its accounts, its contacts, the requester, its product and its install-base item; at most 20, by priority, then the newest. about: case, account, contact, person, product or asset. No row for a case that is hidden or missing';
COMMENT ON FUNCTION csm_private.template_values(bigint) IS
'Every placeholder that a template may use, with its value on the case for the caller; values are NULL for a case that he does not see, and where the case has none';
COMMENT ON FUNCTION csm_private.template_guard() IS
'Trigger of csm.response_templates: error 22023 for an unknown placeholder and for braces that make none';
COMMENT ON TABLE csm.response_templates IS 'Answers prepared for staff; csm.render_template() fills them in';
COMMENT ON COLUMN csm.response_templates.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.response_templates.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.response_templates.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.response_templates.body IS 'Text with placeholders such as {{case.number}} and {{requester.name}}; an unknown one is refused';
COMMENT ON COLUMN csm.response_templates.case_type IS 'Type of case that it is for, to choose by; NULL for any';
COMMENT ON COLUMN csm.response_templates.active IS 'False: not rendered any more';
COMMENT ON POLICY response_templates_select ON csm.response_templates IS 'Staff';
COMMENT ON POLICY response_templates_write ON csm.response_templates IS 'Administrators';
COMMENT ON FUNCTION csm_private.render_template_text(text, bigint) IS
'Text of an active template, once the case is seen; errors SM001 and 22023 of csm.render_template()';
COMMENT ON FUNCTION csm.render_template(text, bigint) IS
'The template of that name filled in for a case, with what the caller may read. A value that is missing or hidden is empty; a value is inserted as it stands and never expanded again. Errors: SM001 no such case, 22023 no such active template';
COMMENT ON COLUMN csm.accounts.calendar_id IS
'Calendar by which SLAs of the account are reckoned where their definition says so; NULL: that of the nearest account above that has one';
COMMENT ON FUNCTION csm_private.calendar_guard() IS
'Trigger of csm.calendars: 22023 for a time zone that the server does not know and for parents that form a circle';
COMMENT ON FUNCTION csm.business_seconds(bigint, timestamptz, timestamptz) IS
'Open time of a calendar between two instants in whole seconds, rounded toward zero; negative when "from" is later. An instant is open when the wall clock of the calendar''s zone then shows an open time: an hour that the clocks skip does not count, one that they repeat counts twice. NULL in, NULL out. Errors: 22023 no such calendar in the tenant, 22008 an instant that is infinite or not between 1970 and 2200';
COMMENT ON FUNCTION csm.business_add(bigint, timestamptz, bigint) IS
'The instant nearest to "from" that so many open seconds separate from it: the earliest after it, for a negative number the latest before it; "from" itself for 0. So business_seconds(c, f, business_add(c, f, s)) = s always. An infinite "from" is returned. NULL in, NULL out. Errors: 22023 no such calendar in the tenant, 55000 a calendar without any open time, 22008 a result or an instant that is not between 1970 and 2200';
COMMENT ON FUNCTION csm_private.usual_hours(bigint, bigint, integer) IS
'Open hours of a weekday (1 = Monday) without exceptions, in seconds since midnight; what the night before leaves included';
COMMENT ON FUNCTION csm_private.ics_events(text) IS
'Property lines of the VEVENTs of an iCalendar text (RFC 5545), numbered by event; each event begins with a row BEGIN';
COMMENT ON FUNCTION csm_private.ics_wall(text, text, text) IS
'A DATE or DATE-TIME value of iCalendar as the wall clock of a zone shows it; a value without zone is of that zone';
COMMENT ON FUNCTION csm.import_holidays(bigint, text) IS
'Adds the events of an iCalendar text to a calendar as exceptions and returns how many dates were new; a date with the same name is there already and stays. Whole days are closed; on a day that an event covers in part the usual hours of now remain outside it. Values in UTC or another zone are converted, those without zone are of the calendar''s. Cancelled events are passed over. Administrators. Errors: 22023 no such calendar, text, zone or length, 22007 no date, 0A000 a recurring event';
COMMENT ON TABLE csm.calendars IS 'When a desk is open: weekly hours in a time zone, less holidays, plus special days';
COMMENT ON COLUMN csm.calendars.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.calendars.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.calendars.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.calendars.time_zone IS 'Zone on whose wall clock the hours are read, a name of pg_timezone_names; never inherited';
COMMENT ON COLUMN csm.calendars.parent_id IS
'Calendar from which this one inherits: weekly hours where it has none of its own, exceptions on dates on which it has none of its own; NULL for none';
COMMENT ON TABLE csm.calendar_intervals IS
'Open hours, of a weekday or of an exception. Hours may overlap; they are then one';
COMMENT ON COLUMN csm.calendar_intervals.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.calendar_intervals.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.calendar_intervals.calendar_id IS 'Calendar, for weekly hours; NULL for those of an exception';
COMMENT ON COLUMN csm.calendar_intervals.weekday IS '1 = Monday to 7 = Sunday, the day on which the hours begin; NULL for those of an exception';
COMMENT ON COLUMN csm.calendar_intervals.exception_id IS 'Exception whose hours these are; NULL for weekly hours';
COMMENT ON COLUMN csm.calendar_intervals.start_time IS 'When they begin, on the wall clock; whole seconds';
COMMENT ON COLUMN csm.calendar_intervals.end_time IS
'When they end, not included; before start_time: on the next day. 24:00 is midnight; a day open throughout is 00:00 to 24:00';
COMMENT ON TABLE csm.calendar_exceptions IS
'Holidays and special days. An exception replaces its date from midnight to midnight, what a night shift of the eve leaves included: closed, or open in its own hours. Several on one date: open is what all of them leave open';
COMMENT ON COLUMN csm.calendar_exceptions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.calendar_exceptions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.calendar_exceptions.calendar_id IS 'Calendar; those that inherit from it have the exception too';
COMMENT ON COLUMN csm.calendar_exceptions.on_date IS 'Date in the zone of whichever calendar counts it';
COMMENT ON COLUMN csm.calendar_exceptions.name IS 'Name of the day';
COMMENT ON FUNCTION csm_private.sla_condition(jsonpath) IS
'Check constraint: true for a predicate over columns of csm.cases without variables, else error 22023';
COMMENT ON FUNCTION csm_private.case_staff_reads(csm.cases) IS
'Whether the signed-in person has case_read on the case as staff (V9), not only as a customer; false for nobody and a null row';
COMMENT ON POLICY sla_definitions_select ON csm.sla_definitions IS 'Staff connections read what is promised';
COMMENT ON POLICY sla_definitions_write ON csm.sla_definitions IS 'Administrators keep it';
COMMENT ON POLICY case_slas_select ON csm.case_slas IS 'Whoever sees the case, those that customers may see';
COMMENT ON POLICY case_slas_select_staff ON csm.case_slas IS
'Staff who read the case; on a case that he sees only as a customer, those that customers may see';
COMMENT ON POLICY case_slas_select_report ON csm.case_slas IS 'Reporting connections: those of the cases that they see';
COMMENT ON POLICY sla_events_select ON csm.sla_events IS 'Staff who read the case';
COMMENT ON FUNCTION csm_private.case_slas() IS
'AFTER trigger of csm.cases: attaches SLAs and moves them on as their definitions say';
COMMENT ON FUNCTION csm_private.due_sla(bigint, bigint, timestamptz) IS
'Timer handler: notes the warnings and the breach of an SLA that lie at or before "at", and sets the next timer; does nothing on one that has ended';
COMMENT ON FUNCTION csm_private.recompute_sla(bigint, bigint, boolean, boolean) IS
'Folds the log of an SLA; true when that gives what is stored. write: stores what it gives; retarget: an open one takes its definition as it is now. NULL for an unknown one. The caller holds the lock of the case';
COMMENT ON FUNCTION csm_private.sla_business(csm.case_slas, timestamptz) IS
'Open time that the SLA has counted until an instant not before as_of';
COMMENT ON FUNCTION csm_private.reckon_slas(bigint[]) IS
'Reckons open SLAs anew that depend on these calendars or on what inherits from them';
COMMENT ON FUNCTION csm_private.calendar_changed() IS 'Trigger of csm.calendars: open SLAs are reckoned anew';
COMMENT ON FUNCTION csm_private.calendar_exceptions_changed() IS 'Trigger of csm.calendar_exceptions: open SLAs are reckoned anew';
COMMENT ON FUNCTION csm_private.calendar_intervals_changed() IS 'Trigger of csm.calendar_intervals: open SLAs are reckoned anew';
COMMENT ON FUNCTION csm.recompute_sla(bigint) IS
'Folds the log of an SLA and returns the row, corrected where something else was stored; an ended one is then reckoned by its calendar as that is now. Administrators. Error 22023 for an unknown one';
COMMENT ON FUNCTION csm.verify_slas(bigint) IS
'SLAs whose stored sums differ from what their log gives: none, but for ended ones whose calendar was changed afterwards. Changes nothing. Error 42501 without the action configure';
COMMENT ON FUNCTION csm.retarget_slas(bigint) IS
'Lets the open SLAs of a definition go on as the definition is now (duration, fixed calendar, name, visibility); nothing counted or paused is lost. Returns how many. Without it a changed definition counts for SLAs attached from then on. Administrators. Error 22023 for an unknown one';
COMMENT ON FUNCTION csm_private.standard_slas() IS
'What csm.create_standard_slas() writes (conditions: R 2.6)';
COMMENT ON FUNCTION csm.create_standard_slas(bigint, bigint) IS
'Writes a first set of definitions, to be changed as the tenant likes: response from opening to the first shared entry of staff, resolution to the closing with pauses while the customer is asked or has a solution to judge, an update every two hours of work on priority 1. A name that is there stays; returns how many are new. No tenant has definitions before: a promise is the tenant''s to make. Errors: 42501 without the action configure, 22023 no such calendar';
COMMENT ON VIEW csm.case_sla_status IS 'SLAs as they are at this moment, with no job to run; who sees which: csm.case_slas';
COMMENT ON COLUMN csm.case_sla_status.id IS 'csm.case_slas.id';
COMMENT ON COLUMN csm.case_sla_status.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_sla_status.case_id IS 'The case';
COMMENT ON COLUMN csm.case_sla_status.name IS 'Name of the definition';
COMMENT ON COLUMN csm.case_sla_status.type IS 'response, resolution or update';
COMMENT ON COLUMN csm.case_sla_status.state IS 'running, paused, completed or cancelled';
COMMENT ON COLUMN csm.case_sla_status.started_at IS 'Since when it counts';
COMMENT ON COLUMN csm.case_sla_status.due_at IS 'When the time is or was up; NULL while paused, infinity when the calendar has no such time';
COMMENT ON COLUMN csm.case_sla_status.business_elapsed IS 'Open time counted until now';
COMMENT ON COLUMN csm.case_sla_status.remaining_seconds IS 'Open seconds left, rounded up; 0 when the time is up';
COMMENT ON COLUMN csm.case_sla_status.percent IS 'Part of the duration that has been counted, rounded down; above 100 after the breach';
COMMENT ON COLUMN csm.case_sla_status.breached IS 'The time is up, or was when it ended; true from due_at on, whether or not a timer has run';
COMMENT ON TABLE csm.sla_definitions IS
'What is promised: how much open time may pass between two conditions. Conditions are SQL/JSON path predicates over the row of csm.cases ($.column, of attributes $.attributes.key): data that runs no code; one that fails on a row is false. They are looked at when a column changes that some definition reads';
COMMENT ON COLUMN csm.sla_definitions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.sla_definitions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sla_definitions.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.sla_definitions.type IS 'response, resolution or update; update begins anew with each shared entry of staff';
COMMENT ON COLUMN csm.sla_definitions.duration_seconds IS 'Open seconds that are allowed; at most ten years';
COMMENT ON COLUMN csm.sla_definitions.calendar_from IS
'Whose calendar counts: none (around the clock), fixed, that of the account or the nearest account above, that of the entitlement';
COMMENT ON COLUMN csm.sla_definitions.calendar_id IS 'The calendar when fixed; else the one where account or entitlement have none; NULL: around the clock';
COMMENT ON COLUMN csm.sla_definitions.case_types IS
'Case types for which it is, with those that inherit from them and have none of the same type of their own; NULL for all';
COMMENT ON COLUMN csm.sla_definitions.branches IS 'Branches for which it is; NULL for all';
COMMENT ON COLUMN csm.sla_definitions.priorities IS 'Priorities for which it is; NULL for all';
COMMENT ON COLUMN csm.sla_definitions.start_when IS 'Attaches one where none is open or completed and neither stop nor cancel hold; does not have to stay true';
COMMENT ON COLUMN csm.sla_definitions.pause_when IS 'Time does not count while it holds; NULL: never';
COMMENT ON COLUMN csm.sla_definitions.stop_when IS 'Completes it';
COMMENT ON COLUMN csm.sla_definitions.reset_when IS 'When it becomes true, counting begins anew, also of one that was completed; NULL: never';
COMMENT ON COLUMN csm.sla_definitions.cancel_when IS 'Ends it without result; goes before stop; NULL: never';
COMMENT ON COLUMN csm.sla_definitions.warn_at IS 'Percent of the duration at which event sla_warned is written, 1 to 99';
COMMENT ON COLUMN csm.sla_definitions.visible_to_customer IS 'Customers who see the case see its status';
COMMENT ON COLUMN csm.sla_definitions.active IS 'False: attaches no more; what is attached goes on';
COMMENT ON TABLE csm.case_slas IS
'SLAs of cases. All that is counted follows from csm.sla_events and the calendar (csm.recompute_sla); the row holds it as of the last event';
COMMENT ON COLUMN csm.case_slas.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_slas.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_slas.case_id IS 'The case';
COMMENT ON COLUMN csm.case_slas.definition_id IS 'The definition under which it runs now';
COMMENT ON COLUMN csm.case_slas.name IS 'Name of the definition when it was attached or took over';
COMMENT ON COLUMN csm.case_slas.type IS 'response, resolution or update';
COMMENT ON COLUMN csm.case_slas.visible_to_customer IS 'Customers who see the case see it';
COMMENT ON COLUMN csm.case_slas.calendar_id IS 'Calendar that counts, chosen when it was attached or took over; NULL: around the clock';
COMMENT ON COLUMN csm.case_slas.duration_seconds IS 'Open seconds allowed; kept when the definition changes, see csm.retarget_slas()';
COMMENT ON COLUMN csm.case_slas.state IS 'running, paused, completed or cancelled';
COMMENT ON COLUMN csm.case_slas.attached_at IS 'When it was attached';
COMMENT ON COLUMN csm.case_slas.started_at IS 'Since when it counts: attached_at, or the last reset';
COMMENT ON COLUMN csm.case_slas.as_of IS 'Until when elapsed and business_elapsed are counted: the last event; csm.case_sla_status counts until now';
COMMENT ON COLUMN csm.case_slas.elapsed IS 'Time counted around the clock, without pauses; hours and less, no days';
COMMENT ON COLUMN csm.case_slas.business_elapsed IS 'Open time counted, without pauses; hours and less, no days';
COMMENT ON COLUMN csm.case_slas.due_at IS
'When the time is up if nothing happens before: the earliest instant at which the open time equals the duration. NULL while paused, and when it was paused as it ended; infinity when the calendar has no such time';
COMMENT ON COLUMN csm.case_slas.breached_at IS 'When the time was up, as of the last event; NULL: it was not. A reset clears it; csm.cases.made_sla remembers';
COMMENT ON TABLE csm.sla_events IS 'The log of SLAs, append-only: elapsed, open and due time are a function of it and the calendar';
COMMENT ON COLUMN csm.sla_events.id IS 'Identity, unique in the database; the order of the log';
COMMENT ON COLUMN csm.sla_events.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sla_events.case_sla_id IS 'The SLA';
COMMENT ON COLUMN csm.sla_events.at IS 'When; never before the row before it';
COMMENT ON COLUMN csm.sla_events.event IS
'attach, pause, resume, reset, complete, cancel; retarget: went on under another target; reckon: the calendar had changed; warn and breach: noted, at their instant';
COMMENT ON COLUMN csm.sla_events.percent IS 'Part of the duration, for warn and breach; NULL for others';
COMMENT ON COLUMN csm.sla_events.definition_id IS 'Definition, for attach and retarget';
COMMENT ON COLUMN csm.sla_events.calendar_id IS 'Calendar, for attach and retarget; NULL there: around the clock';
COMMENT ON COLUMN csm.sla_events.duration_seconds IS 'Target, for attach and retarget; the last one holds for the whole log';
COMMENT ON TABLE csm.escalation_templates IS 'Kinds of escalation: how severe, why, and who decides';
COMMENT ON COLUMN csm.escalation_templates.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.escalation_templates.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.escalation_templates.template IS 'Key by which it is asked for';
COMMENT ON COLUMN csm.escalation_templates.label IS 'Name that people read, customers too where for_customers is set';
COMMENT ON COLUMN csm.escalation_templates.severity IS 'high or medium';
COMMENT ON COLUMN csm.escalation_templates.targets IS 'What can be escalated with it: case, account';
COMMENT ON COLUMN csm.escalation_templates.reasons IS 'Reasons for which it may be asked: inactivity, lack_of_progress, customer_deadline';
COMMENT ON COLUMN csm.escalation_templates.approval_group_id IS 'Group whose members decide; NULL, or a group without members: escalated at once';
COMMENT ON COLUMN csm.escalation_templates.for_customers IS 'Customers may ask for it, for cases';
COMMENT ON COLUMN csm.escalation_templates.active IS 'False: it can be asked for no more';
COMMENT ON TABLE csm.escalations IS 'Escalations of cases and accounts; staff only. At most one open (requested, escalated) per case and per account';
COMMENT ON COLUMN csm.escalations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.escalations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.escalations.template_id IS 'The template';
COMMENT ON COLUMN csm.escalations.case_id IS 'Case that is escalated; exactly one of case and account is set';
COMMENT ON COLUMN csm.escalations.account_id IS 'Account that is escalated';
COMMENT ON COLUMN csm.escalations.state IS 'requested, then escalated or declined; escalated ends closed, requested too when the case ends first';
COMMENT ON COLUMN csm.escalations.source IS 'customer or internal: on whose side it was asked for first';
COMMENT ON COLUMN csm.escalations.reason IS 'inactivity, lack_of_progress or customer_deadline';
COMMENT ON COLUMN csm.escalations.severity IS 'high or medium, from the template';
COMMENT ON COLUMN csm.escalations.trend IS 'improving, same or declining, as staff judge it';
COMMENT ON COLUMN csm.escalations.justification IS 'Why, up to 4,000 characters';
COMMENT ON COLUMN csm.escalations.requested_by IS 'Who asked; NULL for the system';
COMMENT ON COLUMN csm.escalations.requested_at IS 'When';
COMMENT ON COLUMN csm.escalations.decided_by IS 'Who decided; NULL where the template needs no decision, or the system did';
COMMENT ON COLUMN csm.escalations.decided_at IS 'When; NULL while requested';
COMMENT ON COLUMN csm.escalations.decision_note IS 'What he said; NULL for nothing';
COMMENT ON COLUMN csm.escalations.closed_by IS 'Who took it back; NULL while it is open, for the system, and where the end of the case closed it';
COMMENT ON COLUMN csm.escalations.closed_at IS 'When it ended; NULL before';
COMMENT ON COLUMN csm.escalations.closing_note IS 'Why; NULL for nothing';
COMMENT ON POLICY escalation_templates_select ON csm.escalation_templates IS 'Staff and administrators read those of their tenant';
COMMENT ON POLICY escalation_templates_write ON csm.escalation_templates IS 'Administrators keep them';
COMMENT ON POLICY escalations_select ON csm.escalations IS 'Staff who work on the case or for the account; nobody else (R 3.4)';
COMMENT ON POLICY escalations_update ON csm.escalations IS 'The same, the trend of an open one';
COMMENT ON FUNCTION csm_private.works_for_account(bigint, bigint) IS
'Whether the signed-in person works on cases of the account; false for nobody and for NULL';
COMMENT ON TABLE csm.recipient_lists IS 'Whom a major case concerns';
COMMENT ON COLUMN csm.recipient_lists.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.recipient_lists.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.recipient_lists.name IS 'Name that people read, unique in the tenant';
COMMENT ON COLUMN csm.recipient_lists.created_at IS 'When it was made';
COMMENT ON TABLE csm.recipients IS 'Accounts and persons of a list';
COMMENT ON COLUMN csm.recipients.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.recipients.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.recipients.list_id IS 'The list';
COMMENT ON COLUMN csm.recipients.account_id IS 'Account; exactly one of account and user is set';
COMMENT ON COLUMN csm.recipients.user_id IS 'Person: a consumer or an employee';
COMMENT ON TABLE csm.case_children IS 'Cases that have or had a parent, and up to where they have followed it; kept by csm';
COMMENT ON COLUMN csm.case_children.parent_id IS 'The parent';
COMMENT ON COLUMN csm.case_children.case_id IS 'The child; it counts while cases.parent_id says so';
COMMENT ON COLUMN csm.case_children.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_children.account_id IS 'Account of the child; NULL where it has none';
COMMENT ON COLUMN csm.case_children.user_id IS 'Requester of the child where it has no account; NULL where it has one';
COMMENT ON COLUMN csm.case_children.created IS 'csm.create_children() made it';
COMMENT ON COLUMN csm.case_children.followed IS 'Last of the parent''s major_changes that the child has taken over or let pass';
COMMENT ON TABLE csm.major_changes IS 'What children of a case have to follow, in order; kept by csm';
COMMENT ON COLUMN csm.major_changes.id IS 'Identity; taken under the lock of the parent, so in the order of its changes';
COMMENT ON COLUMN csm.major_changes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.major_changes.case_id IS 'The parent';
COMMENT ON COLUMN csm.major_changes.fields IS 'Columns of the parent that changed; a child takes the value that the parent has when the child follows';
COMMENT ON COLUMN csm.major_changes.entry_id IS 'Entry of the parent that children get as well; NULL for none';
COMMENT ON COLUMN csm.major_changes.closes IS 'The parent was closed, and its children are';
COMMENT ON POLICY case_children_select ON csm.case_children IS 'Staff who work on the child';
COMMENT ON POLICY major_changes_select ON csm.major_changes IS 'Staff who work on the parent';
COMMENT ON TABLE csm.event_positions IS 'The last position given in each tenant; its row is locked by the session that gives positions';
COMMENT ON COLUMN csm.event_positions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.event_positions.last IS 'Highest position in csm.events; grows, also after events were pruned';
COMMENT ON POLICY event_positions_select ON csm.event_positions IS 'Administrators, who start a subscriber at the end';
COMMENT ON TABLE csm.event_subscribers IS 'Programs that follow the events of a tenant, each with its own place in the order. One that is not used any more is deleted, for it keeps csm.prune_events() from deleting what it has not acknowledged';
COMMENT ON COLUMN csm.event_subscribers.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.event_subscribers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.event_subscribers.key IS 'Name in csm.next_events(), unique in the tenant: lower-case letters, digits, - and _';
COMMENT ON COLUMN csm.event_subscribers.user_id IS 'Person who reads: events are those of cases that he sees, and only he can ask';
COMMENT ON COLUMN csm.event_subscribers.kinds IS 'Kinds of events wanted; NULL means all';
COMMENT ON COLUMN csm.event_subscribers.case_types IS 'Case types wanted; NULL means all';
COMMENT ON COLUMN csm.event_subscribers.position IS 'Acknowledged so far; a new subscriber begins after it: 0 with the oldest event that is kept, csm.event_positions.last with the next one';
COMMENT ON COLUMN csm.event_subscribers.delivered IS 'Highest position handed out to him';
COMMENT ON COLUMN csm.event_subscribers.created_at IS 'When the subscriber was made';
COMMENT ON COLUMN csm.event_subscribers.asked_at IS 'When he last asked, to the minute; NULL for never';
COMMENT ON COLUMN csm.event_subscribers.acknowledged_at IS 'When he last acknowledged something new; NULL for never';
COMMENT ON POLICY event_subscribers_select ON csm.event_subscribers IS 'Everyone his own; administrators all';
COMMENT ON POLICY event_subscribers_write ON csm.event_subscribers IS 'Administrators make and delete subscribers';
COMMENT ON FUNCTION csm_private.own_subscriber(text) IS
'The subscriber of that key whose person is signed in, its row locked; 42501 for a missing one and for another person''s';
COMMENT ON FUNCTION csm_private.give_positions(bigint) IS
'Gives the next positions to committed events of the tenant, in the order of ids, up to 10,000; does nothing while another session does it';
COMMENT ON FUNCTION csm.next_events(text, integer) IS
'The next events of a subscriber after what he acknowledged, in the order of positions: the same again until csm.acknowledge(). Call it in a transaction of its own, read-write; positions hold once that has committed, id tells a repeated event. Only events of cases that the caller sees now, of the kinds and types wanted; an empty answer means none for now. Errors: 42501 not the caller''s subscriber, 22023 limit outside 1 to 10000, 40001 under REPEATABLE READ when another session gave positions meanwhile';
COMMENT ON FUNCTION csm.acknowledge(text, bigint) IS
'Says that the subscriber has handled every event up to the position; returns how far he is. Never goes back. Errors: 42501 not the caller''s subscriber, 22023 beyond what was delivered, 22004 null';
COMMENT ON FUNCTION csm_private.events_waiting(bigint, bigint) IS
'How many events of the tenant stand after a position or wait for one, and the time of the oldest (NULL for none); for administrators (42501)';
COMMENT ON VIEW csm.event_lag IS 'How far each subscriber of the tenant is behind; for administrators';
COMMENT ON COLUMN csm.event_lag.tenant_id IS 'Tenant of the subscriber';
COMMENT ON COLUMN csm.event_lag.key IS 'The subscriber';
COMMENT ON COLUMN csm.event_lag.user_id IS 'Person who reads';
COMMENT ON COLUMN csm.event_lag.position IS 'Acknowledged so far';
COMMENT ON COLUMN csm.event_lag.delivered IS 'Handed out so far';
COMMENT ON COLUMN csm.event_lag.waiting IS 'Events of the tenant after that, also those that he will not be shown';
COMMENT ON COLUMN csm.event_lag.oldest IS 'When the oldest of them happened; NULL for none';
COMMENT ON COLUMN csm.event_lag.asked_at IS 'When he last asked, to the minute; NULL for never';
COMMENT ON COLUMN csm.event_lag.acknowledged_at IS 'When he last acknowledged something new; NULL for never';
COMMENT ON FUNCTION csm.prune_events(interval, integer) IS
'Deletes events older than keep that every subscriber of their tenant has acknowledged, and of which notifications were made (all old ones where there is no subscriber and csm.run_due() was not called for a day), up to limit rows; returns how many. Administrators for their tenant, members of csm_owner without identity for all. Errors: 42501, 22023 negative keep or limit below 1';
COMMENT ON FUNCTION csm_private.quota(jsonb, text) IS
'A quota from the settings of a tenant, or its default; NULL means no limit. Quotas: cases_per_day 10, comments_per_day 25 (per case), attachments 5 (per record), products 25';
COMMENT ON COLUMN csm.tenants.settings IS 'Settings of the tenant, a JSON object. csm reads event_notify (true: NOTIFY with each event; off by default, because it makes commits wait for one another), use_asset_contacts (true: plain contacts see only install-base items that they are linked to), seal_minutes (between two seals of the history; 60), max_attachments (of a case; 100) and max_attachment_bytes (of one content; 10485760), unless the case type says otherwise, and quotas (cases_per_day 10, comments_per_day 25, attachments 5, products 25; null: no limit), registration, assignable_roles, captcha, community and interactions (README)';
COMMENT ON FUNCTION csm_private.case_quota() IS
'AFTER INSERT trigger of csm.cases: SM007 when a person opened more consumer cases through the portal in 24 hours than the tenant allows';
COMMENT ON FUNCTION csm_private.entry_quota() IS
'AFTER INSERT trigger of csm.case_entries: SM007 when a person commented more often on a consumer case through the portal in 24 hours than the tenant allows';
COMMENT ON FUNCTION csm_private.enforce_quota(bigint, text, bigint) IS
'SM007 when used, which counts what is being added, exceeds the quota; nothing for staff, the system, importing and restoring. The caller has locked what it counted, and asks for consumers only. Error 22023 for an unknown quota';
COMMENT ON FUNCTION csm_private.audience_rights(bigint, bigint, bigint, boolean, text, timestamptz) IS
'What a person may do as one of an audience, in plain SQL: a row an action. On a staff connection or not, narrowed to a persona (NULL: to none), at an instant. criteria: keys of those that grant it, or deny it';
COMMENT ON FUNCTION csm.audience_allows(bigint, text) IS
'True where the person may do the action (read, contribute, ask, answer, moderate, manage) as one of the audience; false for nobody and for an unknown action';
COMMENT ON FUNCTION csm.audiences_allowing(text) IS
'Sorted ids: audiences as one of which the person may do the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm_private.audience_within(bigint, jsonb) IS
'The audience within another that has exactly these grants, a JSON array of {"criteria": key, "action": …, "denies": boolean}; made where there is none, the outer one itself for an empty array. Errors 22023: no such audience, no such criteria, another form. No check of the caller';
COMMENT ON FUNCTION csm.explain_audience(bigint, bigint) IS
'What a person may do as one of an audience and why: a row an action, with the keys of the criteria that grant it, or deny it. Personas are not narrowed. Everybody asks about himself; staff who manage the audience, persons or the tenant about anybody (42501 else). A missing audience, a missing person and one of another tenant: nothing is granted';
COMMENT ON TABLE csm.user_criteria IS 'Whom something is for: a reusable rule about people';
COMMENT ON COLUMN csm.user_criteria.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.user_criteria.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_criteria.key IS 'Short name, unique in the tenant: lower-case letters, digits, - and _';
COMMENT ON COLUMN csm.user_criteria.label IS 'Name that people read';
COMMENT ON COLUMN csm.user_criteria.match IS 'all: every part must be true of the person; any: one. Without parts: nobody';
COMMENT ON COLUMN csm.user_criteria.active IS 'False: nobody satisfies them, neither where they grant nor where they deny';
COMMENT ON TABLE csm.user_criteria_parts IS 'One thing that is true of a person or not; the kind says which column is set, and only that one is';
COMMENT ON COLUMN csm.user_criteria_parts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.user_criteria_parts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_criteria_parts.criteria_id IS 'The criteria it is part of';
COMMENT ON COLUMN csm.user_criteria_parts.kind IS 'user, group, role, account, persona, product, location or language';
COMMENT ON COLUMN csm.user_criteria_parts.user_id IS 'This person';
COMMENT ON COLUMN csm.user_criteria_parts.group_id IS 'Members of this group and of the groups below it; on a staff connection only';
COMMENT ON COLUMN csm.user_criteria_parts.role IS 'Who has this role now: a role of contacts, or (on a staff connection only) one of staff; 23514 for another kind';
COMMENT ON COLUMN csm.user_criteria_parts.account_id IS 'Current contacts of this account who may log in';
COMMENT ON COLUMN csm.user_criteria_parts.include_descendants IS 'With an account: contacts of the accounts below it as well';
COMMENT ON COLUMN csm.user_criteria_parts.persona IS 'Who has it now: employee (a row in csm.employees), consumer, contact of any account, or (on a staff connection only) staff of any role';
COMMENT ON COLUMN csm.user_criteria_parts.product_id IS 'Who owns this product or one below it: a consumer himself, a contact through his account. Sold products count while they are valid, install-base items until they are removed';
COMMENT ON COLUMN csm.user_criteria_parts.location IS 'Whose csm.users.location is this one or below it: DE is true of DE-BY';
COMMENT ON COLUMN csm.user_criteria_parts.language IS 'Whose csm.users.language is this one or narrower, in any case of letters: de is true of de-AT. Everybody chooses his language himself, so it sorts and does not protect';
COMMENT ON TABLE csm.audiences IS 'What criteria grant on something: a knowledge base, some of its articles, a forum. Everything with the same rules can share one';
COMMENT ON COLUMN csm.audiences.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.audiences.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.audiences.within_id IS 'The audience that this one narrows; NULL: it stands by itself';
COMMENT ON COLUMN csm.audiences.owner_id IS 'May do everything, on a staff connection only; within another audience only while that one lets him read. NULL: nobody';
COMMENT ON COLUMN csm.audiences.group_id IS 'Whose members, those of the groups below it included, may do the same; NULL: none';
COMMENT ON COLUMN csm.audiences.grants_key IS 'Grants for which csm made it, as text; they cannot change. NULL: its grants are kept by hand';
COMMENT ON TABLE csm.audience_grants IS 'Which criteria may, or may not, do what; no grant means nobody but the audience''s staff';
COMMENT ON COLUMN csm.audience_grants.audience_id IS 'The audience';
COMMENT ON COLUMN csm.audience_grants.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.audience_grants.action IS 'read, contribute (write articles; does not imply read), ask, answer, moderate, or manage, which is all of them';
COMMENT ON COLUMN csm.audience_grants.criteria_id IS 'Whom it is for';
COMMENT ON COLUMN csm.audience_grants.denies IS 'True: who satisfies the criteria may not, whatever else grants it to him';
COMMENT ON POLICY audience_grants_insert ON csm.audience_grants IS 'Who manages the audience';
COMMENT ON POLICY audience_grants_update ON csm.audience_grants IS 'Who manages the audience';
COMMENT ON POLICY audience_grants_delete ON csm.audience_grants IS 'Who manages the audience';
COMMENT ON FUNCTION csm_private.check_criteria_role() IS 'Trigger of csm.user_criteria_parts: refuses a role that is neither of contacts nor of staff (23514)';
COMMENT ON FUNCTION csm_private.check_audience_grant() IS 'Trigger of csm.audience_grants: those of an audience that csm made cannot change (42501)';
COMMENT ON FUNCTION csm_private.article_arms(text) IS
'Install scripts only: text of the rule who reads an article; arms guest (nobody is signed in) or person';
COMMENT ON FUNCTION csm_private.article_allows(bigint, bigint, text) IS
'Whether the caller reads the article (read, as the policies say; also for a visitor who is not signed in), or its audience gives him contribute or manage; false for a missing article';
COMMENT ON FUNCTION csm_private.base_allows(bigint, bigint, text) IS
'Whether the caller sees the base (read: public, or read or contribute by its audience), or its audience gives him another action; false for a missing base';
COMMENT ON TABLE csm.knowledge_bases IS 'Bases of knowledge, each with its audience';
COMMENT ON COLUMN csm.knowledge_bases.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.knowledge_bases.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.knowledge_bases.audience_id IS 'Who reads, contributes and manages; never changes. A new base without one gets an audience of its own, whose owner is who made it';
COMMENT ON COLUMN csm.knowledge_bases.is_public IS 'Its articles may be public; taken back, every article of it ceases to be';
COMMENT ON COLUMN csm.knowledge_bases.self_publish IS 'True: who wrote a text may publish it himself, without review';
COMMENT ON COLUMN csm.knowledge_bases.key IS 'Key, unique in the tenant';
COMMENT ON COLUMN csm.knowledge_bases.title IS 'Name that people read';
COMMENT ON COLUMN csm.knowledge_bases.description IS 'What it is about; NULL for nothing said';
COMMENT ON COLUMN csm.knowledge_bases.language IS 'Language tag (BCP 47) of an article that names none';
COMMENT ON COLUMN csm.knowledge_bases.created_at IS 'When it was made';
COMMENT ON TABLE csm.knowledge_categories IS 'Categories of a base, a tree';
COMMENT ON COLUMN csm.knowledge_categories.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.knowledge_categories.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.knowledge_categories.base_id IS 'The base';
COMMENT ON COLUMN csm.knowledge_categories.parent_id IS 'Category above, of the same base; NULL at the top';
COMMENT ON COLUMN csm.knowledge_categories.title IS 'Name that people read, unique below its parent';
COMMENT ON TABLE csm.articles IS 'Articles as people read them: the published text, and until there is one, the text being written. State and text follow csm.article_versions; rows are never deleted';
COMMENT ON COLUMN csm.articles.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.articles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.articles.audience_id IS 'Who reads, contributes and manages: the audience of the base, or one within it';
COMMENT ON COLUMN csm.articles.base_id IS 'The base; never changes';
COMMENT ON COLUMN csm.articles.is_public IS 'Read by everybody, signed in or not, once published; only in a public base';
COMMENT ON COLUMN csm.articles.state IS 'draft or review: never published; published; retired: published no more, or given up';
COMMENT ON COLUMN csm.articles.published_at IS 'When the text that stands was published; NULL before';
COMMENT ON COLUMN csm.articles.expires_at IS 'From when on it is not read any more; csm.run_due() then retires it. NULL for never';
COMMENT ON COLUMN csm.articles.author_id IS 'Who wrote it first; NULL for the system';
COMMENT ON COLUMN csm.articles.category_id IS 'Category of the base; NULL for none';
COMMENT ON COLUMN csm.articles.product_id IS 'Product that it is about; restricts nothing by itself';
COMMENT ON COLUMN csm.articles.translation_of IS 'Article of the same base that it translates, itself no translation; NULL for none. One article a language, retired ones aside';
COMMENT ON COLUMN csm.articles.version IS 'Number of the version that stands; NULL before the first was published';
COMMENT ON COLUMN csm.articles.updated_at IS 'Last change of the row';
COMMENT ON COLUMN csm.articles.number IS 'Human-facing number, unique in the tenant; made from the id (KB0000042) when not given';
COMMENT ON COLUMN csm.articles.language IS 'Language tag (BCP 47), and with it how search reads the words; that of the base by default';
COMMENT ON COLUMN csm.articles.title IS 'One line, up to 400 characters';
COMMENT ON COLUMN csm.articles.keywords IS 'Words by which it is to be found beside its own; NULL for none';
COMMENT ON COLUMN csm.articles.body IS 'The text, up to 1,000,000 characters';
COMMENT ON COLUMN csm.articles.search IS 'Words for csm.matches(): number and title weigh A, keywords B, body D';
COMMENT ON TABLE csm.article_versions IS 'What was, is and shall be the text of an article. Immutable once published; never deleted';
COMMENT ON COLUMN csm.article_versions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.article_versions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.article_versions.article_id IS 'The article';
COMMENT ON COLUMN csm.article_versions.version IS '1, 2, ... within the article';
COMMENT ON COLUMN csm.article_versions.revision IS 'Counts the changes of its text; csm.edit_article() wants the one that the writer has read';
COMMENT ON COLUMN csm.article_versions.state IS 'draft, review, published, retired, replaced (by a later version) or discarded; csm_private.article_transitions() says what follows what';
COMMENT ON COLUMN csm.article_versions.author_id IS 'Who began it; NULL for the system';
COMMENT ON COLUMN csm.article_versions.edited_by IS 'Who changed its text last, and so does not publish it, unless the base lets him; NULL for the system';
COMMENT ON COLUMN csm.article_versions.approved_by IS 'Who published it, or said when it is to be published; NULL for the system';
COMMENT ON COLUMN csm.article_versions.created_at IS 'When it was begun';
COMMENT ON COLUMN csm.article_versions.edited_at IS 'When its text was changed last';
COMMENT ON COLUMN csm.article_versions.publish_at IS 'When csm.run_due() publishes what was approved; NULL where nothing is planned';
COMMENT ON COLUMN csm.article_versions.published_at IS 'When it was published; NULL before';
COMMENT ON COLUMN csm.article_versions.ended_at IS 'When it was retired, replaced or discarded; NULL before';
COMMENT ON COLUMN csm.article_versions.title IS 'One line, up to 400 characters';
COMMENT ON COLUMN csm.article_versions.keywords IS 'Words by which it is to be found beside its own; NULL for none';
COMMENT ON COLUMN csm.article_versions.body IS 'The text, up to 1,000,000 characters';
COMMENT ON COLUMN csm.article_versions.note IS 'What was said with the last action, such as why it was rejected; NULL for nothing';
COMMENT ON POLICY articles_select_guest ON csm.articles IS 'Not signed in: what is published and flagged, in the tenant that csm.tenant names';
COMMENT ON POLICY articles_select ON csm.articles IS 'What is published and flagged or read by its audience; one''s own before it is published, while one may contribute; all for who manages the audience';
COMMENT ON POLICY knowledge_bases_select_guest ON csm.knowledge_bases IS 'Not signed in: public ones';
COMMENT ON POLICY knowledge_bases_select ON csm.knowledge_bases IS 'Public ones, and where one reads or contributes';
COMMENT ON POLICY knowledge_bases_select_staff ON csm.knowledge_bases IS 'The same; administrators all of the tenant';
COMMENT ON POLICY knowledge_bases_write ON csm.knowledge_bases IS 'Administrators';
COMMENT ON POLICY knowledge_bases_update ON csm.knowledge_bases IS 'Staff of the base';
COMMENT ON POLICY knowledge_categories_select ON csm.knowledge_categories IS 'Who sees the base';
COMMENT ON POLICY knowledge_categories_write ON csm.knowledge_categories IS 'Staff of the base';
COMMENT ON POLICY article_versions_select ON csm.article_versions IS 'One''s own, while one may contribute; all for who manages the audience';
COMMENT ON FUNCTION csm_private.base_guard() IS 'Trigger of csm.knowledge_bases: an audience for a new base; error 42501 for a change of id, tenant or audience';
COMMENT ON FUNCTION csm_private.base_follow() IS 'Trigger of csm.knowledge_bases: a base that is not public any more has no public article';
COMMENT ON FUNCTION csm_private.category_guard() IS 'Trigger of csm.knowledge_categories: error 23514 for a circle, 42501 for a change of id, tenant or base';
COMMENT ON FUNCTION csm_private.may_place_article(csm.articles, text) IS
'Whether base and audience of the article give the caller the action, and its category, product and original are of the base and tenant and, the original, read by him; NULL or false otherwise, alike for hidden and missing';
COMMENT ON FUNCTION csm_private.article_guard() IS
'Trigger of csm.articles: fills in a new article, keeps search and updated_at. Errors: 42501 for a change of what is fixed or follows the versions, 23514 for an audience not within that of the base and for a public article of a base that is not';
COMMENT ON FUNCTION csm_private.article_begin() IS 'Trigger of csm.articles: the first version of new articles';
COMMENT ON FUNCTION csm_private.article_expiry() IS 'Trigger of csm.articles: the timer of expires_at';
COMMENT ON POLICY articles_insert ON csm.articles IS 'Who may contribute, in his own name; 42501 for a base, category or original that is hidden, missing or does not fit';
COMMENT ON POLICY articles_update ON csm.articles IS 'Staff of the audience: where it stands, who reads it, until when';
COMMENT ON FUNCTION csm_private.article_transitions() IS
'Which state of a version follows which, by which action, who may take it, whether a note is required and whether it begins a new version beside the one that stands; constant';
COMMENT ON FUNCTION csm_private.article_version_guard() IS
'Trigger of csm.article_versions: only steps of csm.article_transitions() (SM002); text changes in a draft alone and nothing of a version that stood or was given up (42501); counts revisions, stamps times; replaces the version that stood by the one published';
COMMENT ON FUNCTION csm_private.article_version_follow() IS
'Trigger of csm.article_versions: the article takes over text and state, the timer of a planned publication follows publish_at';
COMMENT ON FUNCTION csm_private.article_actors(csm.articles, csm.article_versions) IS
'What the caller is to an article and one of its versions: author, contributor, manager, reviewer, publisher; the system is all, nobody and null nothing';
COMMENT ON FUNCTION csm_private.known_article(bigint) IS
'The article, where the caller reads it or began a version of it and may still contribute; error 42501 otherwise, hidden and missing alike';
COMMENT ON FUNCTION csm_private.check_article_end(csm.articles, timestamptz) IS 'Error 22023 where the article would have expired by then';
COMMENT ON FUNCTION csm.article_actions(bigint) IS
'What the caller can do with an article now, by csm.act_on_article(): what a client needs to draw its buttons. Error 42501 for an article that is hidden or missing';
COMMENT ON FUNCTION csm.act_on_article(bigint, text, text, timestamptz, integer) IS
'Takes an action: submit, withdraw, reject (note required), publish (from at on, where that is later than now), discard, retire, revise (a new draft beside the text that stands); returns the article. With revision only if that is still the version''s. Who wrote the text does not publish it unless the base has self_publish. Errors: 42501 hidden, missing or not permitted, SM002 not possible from this state, SM003 note missing, 40001 changed since it was read, 22023 unknown action, at with another action, or it would have expired';
COMMENT ON FUNCTION csm.edit_article(bigint, integer, text, text, text) IS
'Changes the draft of an article: its author, and staff of the base. revision is the one that the writer has read; what is NULL stays, empty keywords clear them. Returns the version. Errors: 42501 hidden, missing or not permitted, SM002 no draft, 40001 somebody changed it meanwhile, 22004 revision NULL, 23514 a text out of its length';
COMMENT ON FUNCTION csm.restrict_article(bigint, jsonb) IS
'Who, of those whom the base lets, reads or writes the article: grants as csm_private.audience_within() takes them, [{"criteria": key, "action": "read"}, …]; an empty array leaves it to the base. Staff of the base. Errors: 42501 hidden, missing or not permitted, 22023 no such criteria or malformed';
COMMENT ON FUNCTION csm_private.reader_language() IS 'Language tag of the signed-in person; NULL for nobody';
COMMENT ON FUNCTION csm.article_in(bigint, text) IS
'The article, or its translation that the caller reads best: of the language (tag; his own by default), else of the same language elsewhere (de for de-AT), else the article itself. NULL where he does not read the article. Runs under the policies of the caller';
COMMENT ON FUNCTION csm_private.due_article_publish(bigint, bigint, timestamptz) IS
'Handler of timers of kind article_publish: publishes an approved version whose time has come; a minute later where somebody has it in hand';
COMMENT ON FUNCTION csm_private.due_article_expiry(bigint, bigint, timestamptz) IS
'Handler of timers of kind article_expiry: retires an article that has expired';
COMMENT ON TABLE csm.article_feedback IS 'What readers say of an article: one row a person, which he may change, and one each time for visitors who are not signed in; written by csm.rate_article()';
COMMENT ON COLUMN csm.article_feedback.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.article_feedback.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.article_feedback.article_id IS 'The article';
COMMENT ON COLUMN csm.article_feedback.user_id IS 'Who says it; NULL for a visitor';
COMMENT ON COLUMN csm.article_feedback.version IS 'Version of which he last said it';
COMMENT ON COLUMN csm.article_feedback.helpful IS 'Whether it helped; NULL: not said';
COMMENT ON COLUMN csm.article_feedback.solved IS 'Whether it solved the matter, so that no case is needed; NULL: not said';
COMMENT ON COLUMN csm.article_feedback.rating IS '1 (worst) to 5; NULL: not said';
COMMENT ON COLUMN csm.article_feedback.comment IS 'In words, up to 4,000 characters; NULL for nothing';
COMMENT ON COLUMN csm.article_feedback.created_at IS 'When it was first said';
COMMENT ON COLUMN csm.article_feedback.updated_at IS 'When it was last changed';
COMMENT ON POLICY article_feedback_select ON csm.article_feedback IS 'One''s own; all for staff of the base';
COMMENT ON TABLE csm_private.article_view_log IS 'Views not yet added up';
COMMENT ON COLUMN csm_private.article_view_log.base_id IS 'Base of the article';
COMMENT ON COLUMN csm_private.article_view_log.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.article_view_log.article_id IS 'The article; articles are never deleted, so without a foreign key';
COMMENT ON COLUMN csm_private.article_view_log.on_day IS 'Day of the view, UTC';
COMMENT ON TABLE csm.article_views IS 'How often an article was viewed on a day; kept by csm.run_due(), some minutes behind';
COMMENT ON COLUMN csm.article_views.article_id IS 'The article';
COMMENT ON COLUMN csm.article_views.on_day IS 'The day, UTC';
COMMENT ON COLUMN csm.article_views.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.article_views.views IS 'How often';
COMMENT ON POLICY article_views_select ON csm.article_views IS 'Staff of the base';
COMMENT ON TABLE csm.case_articles IS 'Articles on cases; written by csm.attach_article()';
COMMENT ON COLUMN csm.case_articles.case_id IS 'The case';
COMMENT ON COLUMN csm.case_articles.article_id IS 'The article';
COMMENT ON COLUMN csm.case_articles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_articles.relation IS 'suggested, related or solution';
COMMENT ON COLUMN csm.case_articles.attached_by IS 'Who attached it last; NULL for the system';
COMMENT ON COLUMN csm.case_articles.attached_at IS 'When it was attached, or its relation last changed';
COMMENT ON POLICY case_articles_select ON csm.case_articles IS 'Who reads both the case and the article';
COMMENT ON POLICY case_articles_delete ON csm.case_articles IS 'Staff who work on the case';
COMMENT ON TABLE csm.knowledge_gaps IS 'What a case showed to be missing in the knowledge: open, claimed by who writes it, answered by an article, or dismissed';
COMMENT ON COLUMN csm.knowledge_gaps.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.knowledge_gaps.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.knowledge_gaps.case_id IS 'The case';
COMMENT ON COLUMN csm.knowledge_gaps.base_id IS 'Base in which it is missing: its contributors among staff see the gap; NULL: only who works on the case does';
COMMENT ON COLUMN csm.knowledge_gaps.state IS 'open, claimed, answered or dismissed';
COMMENT ON COLUMN csm.knowledge_gaps.summary IS 'What is missing, up to 4,000 characters; read by people who do not see the case';
COMMENT ON COLUMN csm.knowledge_gaps.reported_by IS 'Who reported it; NULL for the system';
COMMENT ON COLUMN csm.knowledge_gaps.reported_at IS 'When';
COMMENT ON COLUMN csm.knowledge_gaps.claimed_by IS 'Who took it on; NULL for nobody';
COMMENT ON COLUMN csm.knowledge_gaps.article_id IS 'Article that answers it; NULL until then';
COMMENT ON COLUMN csm.knowledge_gaps.closed_at IS 'When it was answered or dismissed; NULL before';
COMMENT ON POLICY knowledge_gaps_select ON csm.knowledge_gaps IS 'Staff who work on the case, and staff who may contribute to the base';
COMMENT ON VIEW csm_report.article_use IS 'Articles whose audience the caller manages, and what became of them';
COMMENT ON COLUMN csm_report.article_use.article_id IS 'Identity of the article';
COMMENT ON COLUMN csm_report.article_use.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_report.article_use.base_id IS 'Knowledge base';
COMMENT ON COLUMN csm_report.article_use.number IS 'Human-facing number';
COMMENT ON COLUMN csm_report.article_use.language IS 'Language tag';
COMMENT ON COLUMN csm_report.article_use.state IS 'draft, review, published or retired';
COMMENT ON COLUMN csm_report.article_use.is_public IS 'Read without signing in';
COMMENT ON COLUMN csm_report.article_use.published_at IS 'When the text that stands was published; NULL before';
COMMENT ON COLUMN csm_report.article_use.views IS 'Views added up so far';
COMMENT ON COLUMN csm_report.article_use.helpful IS 'Readers whom it helped';
COMMENT ON COLUMN csm_report.article_use.not_helpful IS 'Readers whom it did not help';
COMMENT ON COLUMN csm_report.article_use.ratings IS 'Readers who rated it';
COMMENT ON COLUMN csm_report.article_use.average_rating IS '1.00 to 5.00; NULL without ratings';
COMMENT ON COLUMN csm_report.article_use.solved IS 'Readers whose matter it solved';
COMMENT ON COLUMN csm_report.article_use.cases IS 'Cases to which it is attached, of those that the caller reads';
COMMENT ON COLUMN csm_report.article_use.solutions IS 'Cases of them that it solves';
COMMENT ON FUNCTION csm.rate_article(bigint, boolean, integer, boolean, text, text) IS
'What the caller says of a published article that he reads: helpful, rating (1 to 5), solved, comment; what is NULL stays as he said it before. One row a person; a visitor who is not signed in adds one each time. source: where the caller of a trusted backend sits, as for signing in. Errors: 42501 hidden, missing or not published, 22023 nothing said or out of range, SM007 more than 100 an hour a person, 10 a visitor''s source';
COMMENT ON FUNCTION csm_private.note_view(csm.articles) IS 'Appends a view of a published article; true';
COMMENT ON FUNCTION csm.view_article(bigint, text) IS
'csm.article_in(), and counts a view of the article returned; NULL for what the caller does not read';
COMMENT ON FUNCTION csm_private.due_article_views(bigint, bigint, timestamptz) IS
'Handler of timers of kind article_views, one a base: adds up what was viewed and comes again ten minutes later';
COMMENT ON FUNCTION csm_private.begin_article_views() IS 'Trigger of csm.knowledge_bases: the first timer of kind article_views';
COMMENT ON FUNCTION csm.attach_article(bigint, bigint, text) IS
'Attaches a published article to a case, or changes its relation: suggested, related or solution. Staff who work on the case and read the article. Errors: SM001 no such case, 42501 not permitted, an article that is hidden, missing or not published, or as solution one that the requester may not read, SM004 case closed, 22023 unknown relation';
COMMENT ON FUNCTION csm.resolve_with_article(bigint, bigint, text, text) IS
'Attaches the article as solution and proposes it (csm.act, propose): its number and title become the resolution notes. Errors of csm.attach_article() and csm.act()';
COMMENT ON FUNCTION csm_private.gap_allows(bigint, bigint, bigint) IS
'Whether the caller sees a knowledge gap: works on the case, or is staff and may contribute to the base';
COMMENT ON FUNCTION csm.report_knowledge_gap(bigint, text, bigint) IS
'Reports that an article is missing for a case; with base_id to those who write there. Staff who work on the case. Errors: SM001 no such case, 42501 not permitted, or a base that is hidden or missing, 22023 summary empty or too long';
COMMENT ON FUNCTION csm.act_on_gap(bigint, text, bigint) IS
'Takes an action on a knowledge gap: claim, release, answer (with a published article), dismiss. Who sees the gap; once claimed, who claimed it and staff of the base. Errors: 42501 hidden, missing or not permitted, SM002 not possible from its state, 22023 unknown action, or an article missing or out of place';
COMMENT ON FUNCTION csm_private.forum_audience() IS
'Trigger of csm.forums: makes the audience of a new forum, within that of the parent where inherits is set, and keeps it so; 42501 for another parent or audience';
COMMENT ON FUNCTION csm_private.forum_publicity() IS 'Trigger of csm.forums: posts are public while their forum is';
COMMENT ON FUNCTION csm_private.question_fill() IS
'Trigger of csm.questions: audience and publicity of the forum, the author''s name, the words for search';
COMMENT ON FUNCTION csm_private.reply_fill() IS
'Trigger of csm.answers and csm.post_comments: audience and publicity of the question, which it locks, and the author''s name';
COMMENT ON FUNCTION csm_private.profile_audience() IS
'Trigger of csm.community_profiles: the audience of the forum, NULL where there is none; the policy judges it';
COMMENT ON FUNCTION csm_private.profile_gone() IS
'Trigger of csm.community_profiles: what the person wrote bears a neutral name from now on';
COMMENT ON FUNCTION csm_private.community_name(bigint) IS
'Name under which the person writes in the community: that of his profile, else member- and his number; never the one in csm.users (V11)';
COMMENT ON TABLE csm.forums IS 'Places to ask, in a tree. Who may read, ask, answer and moderate says the audience of each; a forum takes over nothing from its parent unless inherits is set';
COMMENT ON COLUMN csm.forums.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.forums.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.forums.audience_id IS 'Its own audience, made with it and never changed: grants of read, ask, answer, moderate, manage stand in csm.audience_grants';
COMMENT ON COLUMN csm.forums.parent_id IS 'Forum above, never changed; NULL at the top';
COMMENT ON COLUMN csm.forums.key IS 'Short name, unique in the tenant';
COMMENT ON COLUMN csm.forums.title IS 'Name that people read';
COMMENT ON COLUMN csm.forums.description IS 'What it is for; NULL for nothing';
COMMENT ON COLUMN csm.forums.inherits IS 'True: the audience stands within that of the parent, whose grants hold where it has none of its own, and whose limits always hold; false: nothing is inherited';
COMMENT ON COLUMN csm.forums.is_public IS 'True: visitors who are not signed in read what is shown. Not inherited';
COMMENT ON COLUMN csm.forums.hold_posts IS 'Posts of a person wait for a moderator until so many of his, in any forum, are shown; 0: none waits';
COMMENT ON COLUMN csm.forums.active IS 'False: it can be read, and nothing more be written';
COMMENT ON POLICY forums_select ON csm.forums IS 'Who may read in it';
COMMENT ON POLICY forums_select_admin ON csm.forums IS 'Who may read in it, and administrators';
COMMENT ON POLICY forums_guest ON csm.forums IS 'Visitors: public forums of their tenant';
COMMENT ON POLICY forums_write ON csm.forums IS 'Administrators';
COMMENT ON TABLE csm.questions IS 'Questions. Written by csm.ask(), csm.edit_post(), csm.delete_post() and csm.moderate(); never deleted';
COMMENT ON COLUMN csm.questions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.questions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.questions.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.questions.forum_id IS 'Where it was asked, or moved to';
COMMENT ON COLUMN csm.questions.author_id IS 'Who asked';
COMMENT ON COLUMN csm.questions.created_at IS 'When it was asked';
COMMENT ON COLUMN csm.questions.activity_at IS 'When it was asked or last answered';
COMMENT ON COLUMN csm.questions.edited_at IS 'When title or body last changed; NULL for never';
COMMENT ON COLUMN csm.questions.score IS 'Sum of the votes';
COMMENT ON COLUMN csm.questions.answer_count IS 'How many answers are shown';
COMMENT ON COLUMN csm.questions.is_public IS 'As the forum''s';
COMMENT ON COLUMN csm.questions.locked IS 'True: only moderators change the thread';
COMMENT ON COLUMN csm.questions.answered IS 'Whether an answer is accepted';
COMMENT ON COLUMN csm.questions.by_staff IS 'Whether the author wrote it as staff';
COMMENT ON COLUMN csm.questions.state IS 'visible; held (waits for a moderator); hidden (by a moderator); deleted (by its author: title and body say so, what hangs on it stays)';
COMMENT ON COLUMN csm.questions.author_name IS 'Name of the author''s community profile when he asked, else member- and his number';
COMMENT ON COLUMN csm.questions.language IS 'Language for search: a text search configuration, such as english, or a language tag; an unknown one counts as simple';
COMMENT ON COLUMN csm.questions.title IS 'The question in one line, up to 400 characters';
COMMENT ON COLUMN csm.questions.body IS 'The question, up to 100,000 characters';
COMMENT ON COLUMN csm.questions.search IS 'The words of title (weight A) and body (B); NULL for a deleted question';
COMMENT ON TABLE csm.answers IS 'Answers to questions. Written by csm.answer_question(), csm.accept_answer(), csm.edit_post(), csm.delete_post() and csm.moderate(); never deleted';
COMMENT ON COLUMN csm.answers.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.answers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.answers.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.answers.question_id IS 'The question';
COMMENT ON COLUMN csm.answers.author_id IS 'Who answered';
COMMENT ON COLUMN csm.answers.created_at IS 'When it was written';
COMMENT ON COLUMN csm.answers.edited_at IS 'When the body last changed; NULL for never';
COMMENT ON COLUMN csm.answers.score IS 'Sum of the votes';
COMMENT ON COLUMN csm.answers.is_public IS 'As the forum''s';
COMMENT ON COLUMN csm.answers.thread_shown IS 'Whether the question is shown';
COMMENT ON COLUMN csm.answers.accepted IS 'The one that solved the question, says the asker or a moderator; at most one a question';
COMMENT ON COLUMN csm.answers.by_staff IS 'Whether the author wrote it as staff';
COMMENT ON COLUMN csm.answers.state IS 'visible, held, hidden or deleted, as that of csm.questions';
COMMENT ON COLUMN csm.answers.author_name IS 'Name of the author''s community profile when he wrote, else member- and his number';
COMMENT ON COLUMN csm.answers.body IS 'The answer, up to 100,000 characters';
COMMENT ON TABLE csm.post_comments IS 'Comments on questions and answers. Written by csm.comment_post(), csm.edit_post(), csm.delete_post() and csm.moderate(); never deleted';
COMMENT ON COLUMN csm.post_comments.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.post_comments.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.post_comments.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.post_comments.question_id IS 'The question';
COMMENT ON COLUMN csm.post_comments.answer_id IS 'The answer commented on; NULL for the question itself';
COMMENT ON COLUMN csm.post_comments.author_id IS 'Who commented';
COMMENT ON COLUMN csm.post_comments.created_at IS 'When it was written';
COMMENT ON COLUMN csm.post_comments.edited_at IS 'When the body last changed; NULL for never';
COMMENT ON COLUMN csm.post_comments.is_public IS 'As the forum''s';
COMMENT ON COLUMN csm.post_comments.thread_shown IS 'Whether the question, and the answer commented on, are shown';
COMMENT ON COLUMN csm.post_comments.by_staff IS 'Whether the author wrote it as staff';
COMMENT ON COLUMN csm.post_comments.state IS 'visible, held, hidden or deleted, as that of csm.questions';
COMMENT ON COLUMN csm.post_comments.author_name IS 'Name of the author''s community profile when he wrote, else member- and his number';
COMMENT ON COLUMN csm.post_comments.body IS 'The comment, up to 4,000 characters';
COMMENT ON TABLE csm.votes IS 'Votes on questions and answers, one a person and post, written by csm.vote()';
COMMENT ON COLUMN csm.votes.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.votes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.votes.question_id IS 'The question; exactly one of question and answer is set';
COMMENT ON COLUMN csm.votes.answer_id IS 'The answer';
COMMENT ON COLUMN csm.votes.voter_id IS 'Who voted';
COMMENT ON COLUMN csm.votes.value IS '1 for, -1 against';
COMMENT ON COLUMN csm.votes.created_at IS 'When he first voted on it';
COMMENT ON POLICY votes_select ON csm.votes IS 'One''s own; others read scores';
COMMENT ON TABLE csm.subscriptions IS 'Who follows which forum or question, and up to when he has read; csm.community_news() says what is new. A subscription gives no right';
COMMENT ON COLUMN csm.subscriptions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.subscriptions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.subscriptions.user_id IS 'Who follows';
COMMENT ON COLUMN csm.subscriptions.forum_id IS 'The forum; exactly one of forum and question is set';
COMMENT ON COLUMN csm.subscriptions.question_id IS 'The question';
COMMENT ON COLUMN csm.subscriptions.created_at IS 'Since when';
COMMENT ON COLUMN csm.subscriptions.seen_at IS 'What was written until then is not news';
COMMENT ON POLICY subscriptions_own ON csm.subscriptions IS 'One''s own, of forums and questions that one reads';
COMMENT ON TABLE csm.community_profiles IS 'How a person shows himself in the community, if he wants to: his name on posts, and, where visible, his entry in csm.community_people()';
COMMENT ON COLUMN csm.community_profiles.user_id IS 'The person; at most one profile each';
COMMENT ON COLUMN csm.community_profiles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.community_profiles.forum_id IS 'The forum to whose readers he shows himself; he must be one of them';
COMMENT ON COLUMN csm.community_profiles.audience_id IS 'Audience of that forum';
COMMENT ON COLUMN csm.community_profiles.visible IS 'True: readers of the forum find him; false (default): only his name on posts';
COMMENT ON COLUMN csm.community_profiles.handle IS 'Short name, unique in the tenant: 3 to 30 of a to z, 0 to 9, ., _ and -, the first a letter; not beginning with member-';
COMMENT ON COLUMN csm.community_profiles.display IS 'Name on posts; NULL: the handle';
COMMENT ON COLUMN csm.community_profiles.about IS 'What he says of himself; NULL for nothing';
COMMENT ON COLUMN csm.community_profiles.created_at IS 'Since when';
COMMENT ON POLICY community_profiles_select ON csm.community_profiles IS 'One''s own; visible ones, who may read in the forum that the person chose';
COMMENT ON POLICY community_profiles_own ON csm.community_profiles IS 'Everyone keeps his own, for a forum that he reads';
COMMENT ON VIEW csm_private.posts IS 'Questions, answers and comments as rows of one form, under the rights of the reader';
COMMENT ON COLUMN csm_private.posts.kind IS 'question, answer or comment';
COMMENT ON COLUMN csm_private.posts.id IS 'Id within its kind';
COMMENT ON COLUMN csm_private.posts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.posts.question_id IS 'The question of the thread';
COMMENT ON COLUMN csm_private.posts.answer_id IS 'The answer, or the one that the comment is on; NULL for none';
COMMENT ON COLUMN csm_private.posts.comment_id IS 'The comment; NULL for other kinds';
COMMENT ON COLUMN csm_private.posts.forum_id IS 'Forum of the question';
COMMENT ON COLUMN csm_private.posts.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm_private.posts.author_id IS 'Who wrote it';
COMMENT ON COLUMN csm_private.posts.created_at IS 'When it was written';
COMMENT ON COLUMN csm_private.posts.state IS 'visible, held, hidden or deleted';
COMMENT ON COLUMN csm_private.posts.shown IS 'Whether everybody who reads the forum sees it';
COMMENT ON COLUMN csm_private.posts.locked IS 'Whether the thread is locked';
COMMENT ON COLUMN csm_private.posts.question_state IS 'State of the question';
COMMENT ON COLUMN csm_private.posts.asker_id IS 'Who asked the question';
COMMENT ON COLUMN csm_private.posts.title IS 'Title of a question; NULL for other kinds';
COMMENT ON COLUMN csm_private.posts.body IS 'The text';
COMMENT ON FUNCTION csm_private.community_setting(jsonb, text) IS
'A number from the setting community of a tenant, or its default: posts_per_day 50, votes_per_day 500, reports_per_day 20 (a person), edit_minutes 60 (in which an author edits); NULL means no limit';
COMMENT ON FUNCTION csm_private.check_community_settings() IS 'Trigger of csm.tenants: judges the setting community (22023)';
COMMENT ON FUNCTION csm_private.count_community(text, bigint) IS
'Counts a post, vote or report of the caller, whether or not the transaction commits; SM007 when it is one too many. Nothing for moderators';
COMMENT ON FUNCTION csm_private.seen_post(text, bigint) IS
'The post, by the rule of the policies; 42501 for hidden and missing alike, 22023 for an unknown kind';
COMMENT ON FUNCTION csm_private.lock_post(text, bigint) IS
'The post, its thread locked; errors as csm_private.seen_post()';
COMMENT ON FUNCTION csm_private.settle_thread(bigint) IS
'Reckons thread_shown, answer_count, answered and activity_at of a thread anew and returns the question';
COMMENT ON FUNCTION csm_private.open_forum(text, text) IS
'The forum of that key, where the caller has the right; 42501 for hidden and missing alike, 55000 where it is closed';
COMMENT ON FUNCTION csm_private.first_state(csm.forums) IS
'State of a new post of the caller in the forum: held while too few of his posts are shown (csm.forums.hold_posts), else visible';
COMMENT ON FUNCTION csm.ask(text, text, text, text) IS
'Asks a question in the forum of that key and returns it; the asker follows it. It may wait for a moderator (state held). Errors: 42501 no such forum, or no right to ask in it, 55000 forum closed, 23502 and 23514 title or body missing, blank or too long, SM007 too many posts today';
COMMENT ON FUNCTION csm_private.thread_to_answer(text, bigint, boolean) IS
'The post, its thread locked, where the caller may write below it now, which is counted; asker_may: the asker may with the right to ask. Errors of csm.answer_question()';
COMMENT ON FUNCTION csm.answer_question(bigint, text) IS
'Answers a question and returns the answer; who answers follows the question. It may wait for a moderator (state held). Errors: 42501 no such question, or no right to answer, 55000 held, hidden, deleted, locked or forum closed, 23502 and 23514 body missing, blank or too long, SM007 too many posts today';
COMMENT ON FUNCTION csm.comment_post(text, bigint, text) IS
'Comments on a question or an answer (kind), or beside a comment, and returns the comment. By who may answer, and the asker. Errors as csm.answer_question(), and 22023 for an unknown kind';
COMMENT ON FUNCTION csm_private.keep_version(csm_private.posts) IS 'Keeps the text of a post that is about to change';
COMMENT ON FUNCTION csm_private.post_to_change(text, bigint, boolean) IS
'The post, its thread locked, where the caller may change it: its author (with until_minutes as long as the setting edit_minutes says), with until_minutes also moderators. Errors 42501, 55000';
COMMENT ON FUNCTION csm_private.write_post(csm_private.posts, text, text, text) IS 'Writes text and state of a post';
COMMENT ON FUNCTION csm.edit_post(text, bigint, text, text) IS
'Changes the text of a post (kind question, answer, comment); NULL: as it is. What it was stays in csm.post_versions. By its author as long as the setting community.edit_minutes says, and by moderators. Errors: 42501 no such post, or not one''s own, 55000 too late, hidden, deleted or locked, 22023 argument, 23514 text blank or too long';
COMMENT ON FUNCTION csm.delete_post(text, bigint) IS
'Its author takes a post back: in its place stands "deleted", and what hangs on it stays; the text is kept for moderators in csm.post_versions. Errors: 42501 no such post, or not one''s own, 55000 deleted already, hidden or locked';
COMMENT ON FUNCTION csm.accept_answer(bigint, boolean) IS
'Says that an answer solved the question, in place of any accepted before (false: takes it back), and returns the question. By who asked and moderators. Errors: 42501 no such answer, or not permitted, 55000 held, hidden, deleted or locked';
COMMENT ON FUNCTION csm_private.count_vote() IS 'Trigger of csm.votes: the score of the post follows, whoever writes';
COMMENT ON FUNCTION csm_private.merge_votes(bigint, bigint) IS
'Takes back votes that cannot stand once the two persons are one, and returns them as csm.user_merges keeps them';
COMMENT ON FUNCTION csm.vote(text, bigint, integer) IS
'Votes for (1) or against (-1) a question or an answer, or takes the vote back (0), and returns the score; one vote a person and post, the last one counts. Errors: 42501 no such post, or one''s own, 55000 held, hidden, deleted or locked, 22023 argument, SM007 too many votes today';
COMMENT ON FUNCTION csm.community_news() IS
'What others wrote since seen_at in the forums (questions) and on the questions (answers, comments) that the caller follows, as far as he reads it, the newest first. UPDATE csm.subscriptions SET seen_at says what was read';
COMMENT ON FUNCTION csm.community_people() IS
'People who show themselves to readers of a forum that the caller reads, with how many of their questions, answers and accepted answers he sees; nobody else is named';
COMMENT ON TABLE csm.case_questions IS 'Which case a question became, and which question a case became. The link gives no right on either';
COMMENT ON COLUMN csm.case_questions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_questions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_questions.case_id IS 'The case';
COMMENT ON COLUMN csm.case_questions.question_id IS 'The question';
COMMENT ON COLUMN csm.case_questions.relation IS 'raised: the question became the case, once (csm.case_from_question()); published: the case became the question, once (csm.question_from_case())';
COMMENT ON COLUMN csm.case_questions.created_by IS 'Who did; NULL for the system';
COMMENT ON COLUMN csm.case_questions.created_at IS 'When';
COMMENT ON POLICY case_questions_select ON csm.case_questions IS 'Whoever sees the case; who only reads the question learns nothing of a case';
COMMENT ON FUNCTION csm_private.question_for_case(bigint) IS
'The question, locked, where the caller may make a case of it; errors 42501 and 55000 of csm.case_from_question()';
COMMENT ON FUNCTION csm_private.open_question_case(csm.questions) IS
'Body of csm.case_from_question(): the case that the question became, as far as the caller sees it, else a new one';
COMMENT ON FUNCTION csm_private.link_question(csm.cases, bigint) IS
'Body of csm.case_from_question(): links question and case; 55000 where it became another one that the caller does not see';
COMMENT ON FUNCTION csm.case_from_question(bigint) IS
'Opens a case out of a question and returns it, once: called again it returns the same case. Title and body become subject and description, the asker the requester (his persona decides branch and account), priority 4, channel community. By the asker, and by staff who may open a case for him. Errors: 42501 no such question, or not permitted, 55000 hidden, deleted, or a case already that the caller does not see; those of csm.open_case()';
COMMENT ON FUNCTION csm.question_from_case(bigint, text, text, text) IS
'Asks a question in the name of the caller out of what a case taught, once, and returns it. Nothing of the case is copied; a text is refused that holds its number, or the name of its account, requester or opener. The link is seen by who sees the case. By staff who work on the case and may ask in the forum. Errors: SM001 no such case, 42501 not permitted or no such forum, 55000 published already, 22023 the text names whom it must not; those of csm.ask()';
COMMENT ON TABLE csm.post_versions IS 'What posts said before they were changed or deleted';
COMMENT ON COLUMN csm.post_versions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.post_versions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.post_versions.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.post_versions.question_id IS 'The question; exactly one of question, answer and comment is set';
COMMENT ON COLUMN csm.post_versions.answer_id IS 'The answer';
COMMENT ON COLUMN csm.post_versions.comment_id IS 'The comment';
COMMENT ON COLUMN csm.post_versions.author_id IS 'Author of the post';
COMMENT ON COLUMN csm.post_versions.title IS 'Title that it had; NULL for answers and comments';
COMMENT ON COLUMN csm.post_versions.body IS 'Text that it had';
COMMENT ON COLUMN csm.post_versions.replaced_by IS 'Who changed or deleted it; NULL for the system';
COMMENT ON COLUMN csm.post_versions.replaced_at IS 'When';
COMMENT ON POLICY post_versions_select ON csm.post_versions IS 'The author of the post, and moderators of its forum';
COMMENT ON TABLE csm.post_reports IS 'Posts that members brought to the moderators, by csm.report_post()';
COMMENT ON COLUMN csm.post_reports.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.post_reports.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.post_reports.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.post_reports.question_id IS 'The question; exactly one of question, answer and comment is set';
COMMENT ON COLUMN csm.post_reports.answer_id IS 'The answer';
COMMENT ON COLUMN csm.post_reports.comment_id IS 'The comment';
COMMENT ON COLUMN csm.post_reports.reporter_id IS 'Who reported it; one open report a person and post';
COMMENT ON COLUMN csm.post_reports.reason IS 'Why, up to 4,000 characters';
COMMENT ON COLUMN csm.post_reports.created_at IS 'When';
COMMENT ON COLUMN csm.post_reports.closed_by IS 'The moderator whose act closed it; NULL while it is open';
COMMENT ON COLUMN csm.post_reports.closed_at IS 'When it was closed; NULL while it is open';
COMMENT ON POLICY post_reports_select ON csm.post_reports IS 'Who reported, and moderators of the forum; not the author';
COMMENT ON TABLE csm.moderation_acts IS 'What moderators did, one row each, never changed';
COMMENT ON COLUMN csm.moderation_acts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.moderation_acts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.moderation_acts.audience_id IS 'Audience of the forum in which it was done';
COMMENT ON COLUMN csm.moderation_acts.forum_id IS 'Forum in which it was done';
COMMENT ON COLUMN csm.moderation_acts.question_id IS 'The question; exactly one of question, answer and comment is set';
COMMENT ON COLUMN csm.moderation_acts.answer_id IS 'The answer';
COMMENT ON COLUMN csm.moderation_acts.comment_id IS 'The comment';
COMMENT ON COLUMN csm.moderation_acts.author_id IS 'Author of the post';
COMMENT ON COLUMN csm.moderation_acts.action IS 'approve, hide, restore, lock, unlock, move or dismiss; see csm.moderate()';
COMMENT ON COLUMN csm.moderation_acts.to_forum_id IS 'Where a question was moved to; NULL for other acts';
COMMENT ON COLUMN csm.moderation_acts.actor_id IS 'The moderator';
COMMENT ON COLUMN csm.moderation_acts.reason IS 'Why, up to 4,000 characters';
COMMENT ON COLUMN csm.moderation_acts.created_at IS 'When';
COMMENT ON POLICY moderation_acts_select ON csm.moderation_acts IS 'Moderators of the forum, and the author of the post';
COMMENT ON FUNCTION csm.report_post(text, bigint, text) IS
'Brings a post (kind question, answer, comment) to the moderators of its forum; false where the caller has an open report on it. Errors: 42501 no such post, 55000 one''s own, or deleted, 23502 and 23514 no reason, 22023 unknown kind, SM007 too many reports today';
COMMENT ON FUNCTION csm_private.place_thread(bigint, csm.forums) IS
'Moves a question with its answers, comments, earlier texts and reports to a forum; acts stay where they were done';
COMMENT ON FUNCTION csm.moderate(text, bigint, text, text, text) IS
'Moderates a post (kind question, answer, comment) and returns the act, which is kept with its reason: approve (held: it is shown), hide, restore, dismiss (its reports, without effect), of questions lock, unlock, move (to a forum in which the caller moderates too, with all that hangs on it). What is hidden takes its answers and comments with it, and is accepted no longer. Errors: 42501 no such post or forum, or not a moderator of it, 55000 not from this state, 22023 argument, 23502 and 23514 no reason';
COMMENT ON FUNCTION csm.moderation_queue() IS
'What waits for the caller as a moderator, the oldest first: posts that are held, and posts with open reports (why, how many, since when). No row for others';
COMMENT ON TABLE csm.interactions IS 'Conversations with people who ask for service, over any channel; written by functions only, never deleted';
COMMENT ON COLUMN csm.interactions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.interactions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.interactions.branch IS 'b2b, b2c or internal, from the requester''s persona; b2c for a visitor who is not known';
COMMENT ON COLUMN csm.interactions.requester_id IS 'For whom it was opened; NULL for a visitor who is not known';
COMMENT ON COLUMN csm.interactions.account_id IS 'Account of a b2b interaction';
COMMENT ON COLUMN csm.interactions.opened_by IS 'Who opened it; NULL for a visitor who is not signed in';
COMMENT ON COLUMN csm.interactions.opened_at IS 'When';
COMMENT ON COLUMN csm.interactions.channel IS 'chat, phone, email, bot or social';
COMMENT ON COLUMN csm.interactions.state IS 'new (nobody answered yet), active, wrap_up (over, the agent still writes) or closed';
COMMENT ON COLUMN csm.interactions.handled_by IS 'bot or agent: who answers, or has to';
COMMENT ON COLUMN csm.interactions.assigned_to IS 'The agent who has it; NULL while none has';
COMMENT ON COLUMN csm.interactions.verification IS 'How sure it is that the requester is the one: none, claimed (he said so), verified';
COMMENT ON COLUMN csm.interactions.verified_how IS 'By what, as a key: sign_in, callback, security_question, ...; NULL for none';
COMMENT ON COLUMN csm.interactions.verified_by IS 'Who judged it; NULL where csm did';
COMMENT ON COLUMN csm.interactions.verified_at IS 'When';
COMMENT ON COLUMN csm.interactions.case_id IS 'The case that came of it; NULL for none';
COMMENT ON COLUMN csm.interactions.subject IS 'What it is about, up to 400 characters; NULL when not said';
COMMENT ON COLUMN csm.interactions.language IS 'Text search configuration of its language';
COMMENT ON COLUMN csm.interactions.answered_at IS 'First answer of a bot or agent';
COMMENT ON COLUMN csm.interactions.handed_over_at IS 'When the bot, or the agent before, last handed it over; NULL for never';
COMMENT ON COLUMN csm.interactions.taken_at IS 'When the agent who has it took it';
COMMENT ON COLUMN csm.interactions.wrapped_at IS 'When the conversation was over';
COMMENT ON COLUMN csm.interactions.closed_at IS 'When it was closed';
COMMENT ON COLUMN csm.interactions.waited IS 'How long the customer last waited for an agent; NULL while none has taken it';
COMMENT ON COLUMN csm.interactions.lasted IS 'How long the conversation lasted; NULL while it lasts';
COMMENT ON POLICY interactions_select ON csm.interactions IS 'The requester, and who speaks for him (V4, V6)';
COMMENT ON POLICY interactions_select_staff ON csm.interactions IS 'Staff connections: by branch, account or team (V9), and the requester';
COMMENT ON TABLE csm.interaction_entries IS 'What was said, never changed. A case that came of the interaction refers to it, nothing is copied';
COMMENT ON COLUMN csm.interaction_entries.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.interaction_entries.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.interaction_entries.interaction_id IS 'The interaction';
COMMENT ON COLUMN csm.interaction_entries.author_kind IS 'customer, agent, bot or system';
COMMENT ON COLUMN csm.interaction_entries.author_id IS 'Who wrote it; NULL for a visitor who is not signed in';
COMMENT ON COLUMN csm.interaction_entries.author_name IS 'Name of the author when he wrote; visitor, bot and system as such';
COMMENT ON COLUMN csm.interaction_entries.body IS 'What was said, up to 10,000 characters';
COMMENT ON COLUMN csm.interaction_entries.created_at IS 'When';
COMMENT ON POLICY interaction_entries_select ON csm.interaction_entries IS 'Whoever sees the interaction';
COMMENT ON TABLE csm_private.interaction_tokens IS 'By what a visitor who is not signed in holds his interaction';
COMMENT ON COLUMN csm_private.interaction_tokens.interaction_id IS 'The interaction';
COMMENT ON COLUMN csm_private.interaction_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.interaction_tokens.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm_private.interaction_tokens.expires_at IS 'Until when it opens the interaction';
COMMENT ON FUNCTION csm_private.interaction_setting(jsonb, text) IS
'A number from the setting interactions of a tenant, or its default: guest_sessions_per_hour 200 (all visitors together), sessions_per_hour 20 (of a person), messages_per_hour 300 (of the customer in one interaction), guest_hours 24 (how long a visitor''s token holds)';
COMMENT ON FUNCTION csm_private.check_interaction_settings() IS 'Trigger of csm.tenants: judges the setting interactions (22023)';
COMMENT ON FUNCTION csm_private.count_interaction(bigint, text, text) IS
'Counts one of what a setting limits to so many in an hour, whether or not the transaction commits; SM007 when it is one too many';
COMMENT ON FUNCTION csm_private.interaction_allows(csm.interactions, text) IS
'The rule of the policies for one row and any action; false for nobody and a null row';
COMMENT ON FUNCTION csm_private.lock_interaction(bigint) IS
'The interaction, locked; 42501 for hidden and missing alike';
COMMENT ON FUNCTION csm_private.require_work(csm.interactions) IS '42501 unless the caller works on such cases as staff';
COMMENT ON FUNCTION csm_private.affiliation(bigint, bigint, text, bigint) IS
'As what a person turns to the desk: branch, and account for b2b; branch NULL where he is no contact of the account named';
COMMENT ON FUNCTION csm.open_interaction(text, text, bigint, bigint, text, boolean) IS
'Opens an interaction and returns it: for oneself (verified by sign_in; by csm.on_behalf_of() claimed by on_behalf), staff also for a person in their reach (claimed by desk). channel: chat, phone, email, bot, social. account_id: the home account by default. by_bot: a bot answers first; so for channel bot. Errors: 42501 nobody signed in, or person or account out of reach (hidden and missing alike), 23514 channel or subject, SM007 too many this hour';
COMMENT ON FUNCTION csm.open_guest_interaction(text, text, text, boolean) IS
'Opens an interaction for a visitor who is not signed in, and returns the token by which alone he speaks and reads: csm.guest_say(), csm.guest_transcript(). channel: chat, bot, social. Errors: 42501 no tenant, or signed in, 22023 channel, 23514 subject, SM007 too many visitors this hour (setting interactions.guest_sessions_per_hour)';
COMMENT ON FUNCTION csm_private.write_interaction(csm.interactions, text, bigint, text) IS
'Writes an entry of an interaction that the caller has locked; the first answer makes it active. 55000 when it is over, SM007 too many messages of the customer';
COMMENT ON FUNCTION csm.say(bigint, text, text) IS
'Writes into the transcript and returns the entry: the requester as customer, staff who work on such cases as agent, or for a bot or a system that runs under their name. Errors: 42501 no such interaction, or not permitted, 55000 over, 22023 kind, 23502 and 23514 text missing, blank or too long, SM007 too many messages this hour';
COMMENT ON FUNCTION csm_private.guest_interaction(text) IS
'The interaction that a visitor''s token opens; 42501 for an unknown one, an expired one and one of another tenant alike';
COMMENT ON FUNCTION csm.guest_say(text, text) IS
'A visitor speaks; returns the id of the entry. Errors: 42501 token, 55000 over, 23502 and 23514 text missing, blank or too long, SM007 too many messages this hour. Pass both as bind parameters';
COMMENT ON FUNCTION csm.guest_transcript(text) IS
'What was said in a visitor''s interaction, in order. Error 42501 token. Pass it as a bind parameter';
COMMENT ON FUNCTION csm.act_on_interaction(bigint, text) IS
'Takes an action and returns the interaction: take (new or handed over: the caller has it, it is active), hand_over (active, by the bot or the agent before: it waits for an agent), wrap_up (active), close. By staff who work on such cases; the requester may close. Errors: 42501 no such interaction, or not permitted, SM002 not from this state, 22023 unknown action';
COMMENT ON FUNCTION csm.verify_interaction(bigint, text, text, bigint, bigint) IS
'Says who it is (requester_id, account_id) and how sure that is: verification claimed or verified, how a key such as callback or security_question. From then on the interaction is his. By staff who work on such cases, for persons in their reach. Errors: 42501 no such interaction, not permitted, or person out of reach (hidden and missing alike), 55000 over, 22023 argument, 23514 key';
COMMENT ON FUNCTION csm_private.interaction_for_case(bigint) IS
'The interaction, locked, where the caller may make a case of it; errors 42501 and 55000 of csm.case_from_interaction()';
COMMENT ON FUNCTION csm_private.open_interaction_case(csm.interactions, text, text, text, integer) IS
'Body of csm.case_from_interaction(): the case that came of it, as far as the caller sees it, else a new one with his rights';
COMMENT ON FUNCTION csm_private.link_interaction(csm.cases, bigint) IS
'Body of csm.case_from_interaction(): links interaction and case; 55000 where it has one that the caller does not see';
COMMENT ON FUNCTION csm.case_from_interaction(bigint, text, text, text, integer) IS
'Opens a case out of an interaction and returns it, once: called again it returns the same case. subject: that of the interaction by default; requester, account and channel are the interaction''s. The transcript stays where it is, csm.interactions.case_id leads to it. By staff who work on such cases, and the requester. Errors: 42501 no such interaction, or not permitted, 55000 nobody is known as requester, or a case that the caller does not see; those of csm.open_case()';
COMMENT ON VIEW csm_report.interactions IS 'One row for each interaction that the reader may see, without what was said and with whom';
COMMENT ON COLUMN csm_report.interactions.id IS 'Key, csm.interactions.id';
COMMENT ON COLUMN csm_report.interactions.branch IS 'b2b, b2c or internal';
COMMENT ON COLUMN csm_report.interactions.account_id IS 'Account of a b2b interaction';
COMMENT ON COLUMN csm_report.interactions.channel IS 'chat, phone, email, bot or social';
COMMENT ON COLUMN csm_report.interactions.state IS 'new, active, wrap_up or closed';
COMMENT ON COLUMN csm_report.interactions.handled_by IS 'bot or agent';
COMMENT ON COLUMN csm_report.interactions.assigned_to IS 'The agent who has it';
COMMENT ON COLUMN csm_report.interactions.verification IS 'none, claimed or verified';
COMMENT ON COLUMN csm_report.interactions.verified_how IS 'By what; NULL for none';
COMMENT ON COLUMN csm_report.interactions.case_id IS 'The case that came of it';
COMMENT ON COLUMN csm_report.interactions.became_case IS 'Whether a case came of it';
COMMENT ON COLUMN csm_report.interactions.opened_at IS 'When it was opened';
COMMENT ON COLUMN csm_report.interactions.closed_at IS 'When it was closed';
COMMENT ON COLUMN csm_report.interactions.first_answer_seconds IS 'From the opening to the first answer of a bot or agent; NULL before';
COMMENT ON COLUMN csm_report.interactions.waited_seconds IS 'How long the customer last waited for an agent; NULL while none has taken it';
COMMENT ON COLUMN csm_report.interactions.lasted_seconds IS 'How long the conversation lasted; NULL while it lasts';
COMMENT ON FUNCTION csm_private.search_languages() IS
'Languages in which the caller searches: his own, and those of csm.tenants.settings -> search -> languages (english where there are none); empty for nobody';
COMMENT ON FUNCTION csm.search_query(text) IS
'What somebody typed as a query for csm.matches(), in his language and in those of the tenant (csm.tenants.settings -> search -> languages, english by default); NULL for NULL';
COMMENT ON FUNCTION csm_private.search_filters(jsonb) IS 'The filters of a search, checked, with a list for each; error 22023 for what is none';
COMMENT ON FUNCTION csm_private.search_kinds(text[], jsonb) IS
'Kinds that the caller''s search looks through: those asked for (NULL: all) that his role may read and whose rows have what the filters name; none for nobody; error 22023 for an unknown one';
COMMENT ON FUNCTION csm_private.search_cursor(text, timestamptz, numeric, text, bigint) IS
'Cursor for the page after a row: time of the first page and place of the row';
COMMENT ON FUNCTION csm_private.search_place(integer, text, text) IS
'Where a page begins: time of the first page and, after it, the place that a cursor holds; errors 22023: limit, a cursor that is damaged or of another search';
COMMENT ON FUNCTION csm_private.search_cases(text[], tsquery, tsquery, text, jsonb, timestamptz) IS
'Hits of a search among the caller''s cases: the number, the newest 500 with all words, where there are none the newest 500 with some words, else of the newest 2,000 those whose subject resembles what was typed';
COMMENT ON FUNCTION csm_private.search_articles(text[], tsquery, tsquery, text, jsonb) IS
'Hits of a search among published articles that the caller reads: the number, the newest 500 with all words, where there are none the newest 500 with some words, else the newest 500 whose title resembles what was typed. Age has no part in the score';
COMMENT ON FUNCTION csm_private.search_questions(text[], tsquery, tsquery, text, jsonb, timestamptz) IS
'Hits of a search among questions that the caller reads: the newest 500 with all words, where there are none the newest 500 with some words, else the newest 500 whose title resembles what was typed';
COMMENT ON FUNCTION csm_private.search_names(text[], text) IS
'Hits of a search among the caller''s accounts, people and products: number or e-mail, and names that resemble what was typed (of each kind the newest 1,000)';
COMMENT ON FUNCTION csm_private.search_snippet(text, bigint, text, integer) IS
'Passage of a hit that holds what was typed, as safe HTML; NULL for kinds that have no text and for what the caller may not read';
COMMENT ON FUNCTION csm.search(text, text[], jsonb, integer, text) IS
'What the caller may read and what answers the query, best first, a page of limit rows (1 to 100). kinds: account, article, case, person, product, question (NULL: all that his role reads). filters: language, since, until, state_class, state, case_type, priority, account_id, product_id, base_id, category_id, forum_id, answered, each a value or a list; a kind without such a column is left out. snippet is HTML in which all but <mark> is escaped, NULL where there is no text. found_by: number (or e-mail), words, some words (where no row of the kind has all), similar. at: when it was opened, published or made. after: the cursor of the last row of the page before. NULL and empty queries find nothing. Error 22023: limit, kind, filter, cursor';
COMMENT ON FUNCTION csm_private.facets_of(text[], tsquery, text, jsonb) IS
'Counts of csm.search_facets() by kind; n: rows of the kind, up to 10,001';
COMMENT ON FUNCTION csm.search_facets(text, text[], jsonb) IS
'How many rows that the caller may read answer a query (all words of it, or a name that resembles it), by kind and by value: of cases state_class, case_type, priority, language, product_id; of articles base_id, category_id, language, product_id; of questions forum_id, answered, language. complete = false: only the newest 10,000 of the kind were counted. Arguments and errors as csm.search()';
COMMENT ON FUNCTION csm_private.suggestions(text[], tsquery, tsquery, tsquery, text, text) IS
'Candidates of csm.suggest(): strict asks for all that was typed, rest for all but the last word, loose for some of it; fragment is the last word while it is typed';
COMMENT ON FUNCTION csm.suggest(text, integer) IS
'What may answer a question while it is typed: published articles, questions of the community and open major cases that the caller may read, best first, at most limit (up to 20). The last word counts from three letters on, unfinished; 400 characters count. NULL and empty text: no row; no input is an error';
COMMENT ON FUNCTION csm_private.case_to_compare(bigint) IS 'The case, read with the caller''s rights; SM001 for a hidden and a missing one';
COMMENT ON FUNCTION csm_private.cases_like(csm.cases, tsquery, tsquery, integer) IS
'Of the newest 300 cases of the caller that share words with this one, those that are most like it';
COMMENT ON FUNCTION csm.similar_cases(bigint, integer) IS
'Cases that the caller may read and whose subject or description shares words with the subject of this one, best first, at most limit (up to 100): solved ones, those of the same product and type first. With how they were solved, for the agent to take over. Of the newest 300 that share two words. Error SM001: no such case, hidden and missing alike';
COMMENT ON FUNCTION csm_private.answer_passage(text, bigint, text) IS
'Passage of an article, or of the accepted answer of a question, that answers best; NULL where the caller reads none';
COMMENT ON FUNCTION csm.answer(text, integer) IS
'For a chat bot: passages that answer a question, best first, at most limit (up to 10), each with its source: a published article or a question whose accepted answer is quoted. Only what the caller may read, so the bot signs in as whom it talks to. passage is HTML as csm.highlight() gives it; score 0 to 1, half of it where only some words were found. No input is an error';
COMMENT ON FUNCTION csm_private.guess_fields(tsquery, tsquery) IS 'Counts behind csm.predict_fields()';
COMMENT ON FUNCTION csm.predict_fields(text) IS
'What a case with such a subject will probably have, by the 100 closed cases of the caller that are most like it (of the newest 300 that share two words): for case_type, priority, product_id, assigned_group_id and resolution_code the commonest value, its share among those that have one, and how many cases that are; hours_to_close_median and hours_to_close_90, with the number of cases behind them. No row where there is nothing to go by';
COMMENT ON TABLE csm.surveys IS 'What is asked after a case; the setting survey of a case type names one by its key';
COMMENT ON COLUMN csm.surveys.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.surveys.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.surveys.key IS 'Name by which case types refer to it, unique in the tenant';
COMMENT ON COLUMN csm.surveys.label IS 'Title that people read';
COMMENT ON COLUMN csm.surveys.ask_when IS 'closed: when the case is closed; resolved: when a solution is proposed or the case is closed, whichever comes first';
COMMENT ON COLUMN csm.surveys.delay IS 'How long after that, up to 90 days; a case that is open again by then is not asked about yet';
COMMENT ON COLUMN csm.surveys.valid_for IS 'How long it can be answered, from an hour to 366 days';
COMMENT ON COLUMN csm.surveys.quarantine IS 'For so long after any survey a person is not asked again; zero for no such time';
COMMENT ON COLUMN csm.surveys.active IS 'False: nobody is asked any more';
COMMENT ON TABLE csm.survey_questions IS 'Questions of a survey; of each kind of score at most one';
COMMENT ON COLUMN csm.survey_questions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.survey_questions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.survey_questions.survey_id IS 'The survey';
COMMENT ON COLUMN csm.survey_questions.key IS 'Name of the answer, unique in the survey';
COMMENT ON COLUMN csm.survey_questions.position IS 'Place among the questions';
COMMENT ON COLUMN csm.survey_questions.kind IS 'csat (satisfaction, 1 to 5), nps (would recommend, 0 to 10), ces (it was easy, 1 to 7) or text';
COMMENT ON COLUMN csm.survey_questions.label IS 'The question';
COMMENT ON COLUMN csm.survey_questions.required IS 'Whether an answer without it is refused';
COMMENT ON COLUMN csm.survey_questions.low IS 'A score up to this one is followed up; NULL: none is';
COMMENT ON TABLE csm.survey_responses IS 'Who was asked about which case, once a case, and his scores; written by csm.run_due() and csm.answer_survey()';
COMMENT ON COLUMN csm.survey_responses.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.survey_responses.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.survey_responses.case_id IS 'The case';
COMMENT ON COLUMN csm.survey_responses.survey_id IS 'What was asked';
COMMENT ON COLUMN csm.survey_responses.user_id IS 'The person asked: who requested the case';
COMMENT ON COLUMN csm.survey_responses.sent_at IS 'When';
COMMENT ON COLUMN csm.survey_responses.expires_at IS 'Until when he can answer';
COMMENT ON COLUMN csm.survey_responses.answered_at IS 'When he answered; NULL while he has not';
COMMENT ON COLUMN csm.survey_responses.csat IS 'Satisfaction, 1 (not at all) to 5; NULL for none';
COMMENT ON COLUMN csm.survey_responses.nps IS 'Would recommend, 0 to 10: 9 and 10 promoters, up to 6 detractors; NULL for none';
COMMENT ON COLUMN csm.survey_responses.ces IS 'It was easy, 1 (not at all) to 7; NULL for none';
COMMENT ON COLUMN csm.survey_responses.low IS 'A score was low as its question says: followed up';
COMMENT ON TABLE csm.survey_answers IS 'The single answers';
COMMENT ON COLUMN csm.survey_answers.response_id IS 'To which survey';
COMMENT ON COLUMN csm.survey_answers.question_id IS 'The question';
COMMENT ON COLUMN csm.survey_answers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.survey_answers.case_id IS 'The case, copied';
COMMENT ON COLUMN csm.survey_answers.user_id IS 'Who answered, copied';
COMMENT ON COLUMN csm.survey_answers.score IS 'The score; NULL for free text';
COMMENT ON COLUMN csm.survey_answers.body IS 'Free text, up to 4,000 characters; NULL for a score';
COMMENT ON TABLE csm_private.survey_tokens IS 'The tokens by which surveys are answered from a mail, as hashes; gone when used';
COMMENT ON COLUMN csm_private.survey_tokens.response_id IS 'Which survey of which case';
COMMENT ON COLUMN csm_private.survey_tokens.tenant_id IS 'Its tenant';
COMMENT ON COLUMN csm_private.survey_tokens.user_id IS 'The person asked, copied';
COMMENT ON COLUMN csm_private.survey_tokens.token_hash IS 'As csm_private.token_hash() makes it';
COMMENT ON FUNCTION csm_private.survey_of(csm.cases) IS
'The survey that the case''s type names, itself or by its parent types; NULL where it names none that is active';
COMMENT ON FUNCTION csm_private.sees_case(jsonb) IS
'Whether whoever runs it sees the case case_id; run by csm_private.as_person()';
COMMENT ON FUNCTION csm_private.due_survey(bigint, bigint, timestamptz) IS
'Handler of timers of kind survey: asks who requested the case and sees it, by mail where he has an address. Not while the case is open again, within the quarantine, after he said that he does not want it (event survey, channel email), nor twice';
COMMENT ON FUNCTION csm_private.survey_form(bigint, bigint) IS
'The questions of a survey as a JSON array: key, kind, label, required, from and to (of a score)';
COMMENT ON FUNCTION csm_private.survey_fault(bigint, bigint, jsonb) IS
'True where the answers are not those of the survey: an unknown key, a required one missing, a score out of range, no text or one of more than 4,000 characters';
COMMENT ON FUNCTION csm_private.record_answers(bigint, bigint, jsonb) IS
'Writes the answers of a survey: accepted, invalid (nothing written), or refused where it is answered, expired or not there. Asks nothing';
COMMENT ON FUNCTION csm.survey_by_token(text) IS
'Title and questions of the survey whose mail carried the token, for the page on which it is answered; nothing of the case. No row where the token is unknown, used or expired';
COMMENT ON FUNCTION csm.answer_survey(text, jsonb) IS
'Answers a survey by the token of its mail, signed in or not: an object of question keys with scores and texts. accepted; invalid: not the answers of this survey, try again; refused: the token is unknown, used or expired, all alike';
COMMENT ON FUNCTION csm.my_surveys() IS
'Surveys that the caller is asked to answer, by csm.answer_my_survey(); case_id is NULL where he does not see the case any more';
COMMENT ON FUNCTION csm.answer_my_survey(bigint, jsonb) IS
'Answers one of csm.my_surveys(); answers and status as csm.answer_survey(). refused also for somebody else''s';
COMMENT ON FUNCTION csm_private.due_survey_low(bigint, bigint, timestamptz) IS
'Handler of timers of kind survey_low: event survey_low_score, and for the group of the case a task, or, where it is closed, a case that follows it up';
COMMENT ON VIEW csm_report.surveys IS 'One row for each survey sent about a case that the reader may see; scores, no text, no personal data';
COMMENT ON COLUMN csm_report.surveys.id IS 'Key, csm.survey_responses.id';
COMMENT ON COLUMN csm_report.surveys.case_id IS 'The case';
COMMENT ON COLUMN csm_report.surveys.survey IS 'Key of the survey';
COMMENT ON COLUMN csm_report.surveys.sent_at IS 'When the person was asked';
COMMENT ON COLUMN csm_report.surveys.expires_at IS 'Until when it can be answered';
COMMENT ON COLUMN csm_report.surveys.answered_at IS 'When it was answered; NULL while it is not';
COMMENT ON COLUMN csm_report.surveys.csat IS 'Satisfaction, 1 to 5';
COMMENT ON COLUMN csm_report.surveys.nps IS 'Would recommend, 0 to 10';
COMMENT ON COLUMN csm_report.surveys.ces IS 'It was easy, 1 to 7';
COMMENT ON COLUMN csm_report.surveys.nps_group IS 'promoter (9, 10), passive (7, 8) or detractor (0 to 6); NULL without that score';
COMMENT ON COLUMN csm_report.surveys.low IS 'A score was low as its question says';
COMMENT ON COLUMN csm_report.surveys.branch IS 'Branch of the case';
COMMENT ON COLUMN csm_report.surveys.case_type IS 'Type of the case';
COMMENT ON COLUMN csm_report.surveys.account_id IS 'Customer account of the case; NULL unless b2b';
COMMENT ON COLUMN csm_report.surveys.assigned_group_id IS 'Group that worked on it';
COMMENT ON COLUMN csm_report.surveys.assignee_id IS 'Who worked on it (csm.users.id)';
COMMENT ON VIEW csm_report.satisfaction IS 'Scores by survey, case type and month, of cases that the reader may see';
COMMENT ON COLUMN csm_report.satisfaction.id IS 'Key: survey, type and month';
COMMENT ON COLUMN csm_report.satisfaction.survey IS 'Key of the survey';
COMMENT ON COLUMN csm_report.satisfaction.case_type IS 'Type of case';
COMMENT ON COLUMN csm_report.satisfaction.month IS 'First day of the month (UTC) in which people were asked';
COMMENT ON COLUMN csm_report.satisfaction.sent IS 'How many were asked';
COMMENT ON COLUMN csm_report.satisfaction.answered IS 'How many answered';
COMMENT ON COLUMN csm_report.satisfaction.csat IS 'Average satisfaction, 1 to 5; NULL without answers';
COMMENT ON COLUMN csm_report.satisfaction.csat_satisfied IS 'Per cent of those answers that are 4 or 5';
COMMENT ON COLUMN csm_report.satisfaction.nps IS 'Net promoter score: per cent of promoters (9, 10) less per cent of detractors (0 to 6)';
COMMENT ON COLUMN csm_report.satisfaction.ces IS 'Average customer effort score, 1 to 7';
COMMENT ON COLUMN csm_report.satisfaction.low IS 'How many had a low score';
COMMENT ON FUNCTION csm_private.run_timer(csm.timers, timestamptz) IS
'Runs the handler of a timer whose case is locked; error 0A000 for a kind without a handler';
COMMENT ON FUNCTION csm_private.run_group(csm.timers[], timestamptz) IS
'Removes claimed timers and runs their handlers; done or busy for each, in their order';
COMMENT ON FUNCTION csm_private.run_timers(timestamptz, integer, bigint) IS
'Body of csm.run_due(); only_tenant NULL for all tenants. Error 22023 for a null or a limit below 1';
COMMENT ON FUNCTION csm.run_due_in(bigint, timestamptz, integer) IS
'csm.run_due() for one tenant: its administrators, never with a now beyond the clock; superuser or member of csm_owner without identity. Errors: 42501 not permitted or ahead of the clock, 22023 null or limit below 1';
COMMENT ON FUNCTION csm.run_due(timestamptz, integer) IS
'Does what is due by now, the longest due first, at most limit timers; counts per kind: done (looked at; whatever was to be done is done), failed (put off, see csm.timers.error) and busy (the case was locked by another session: the next call). Any number of sessions may call it at once. Superuser or member of csm_owner: all tenants, with any now; an administrator: his own, never with a now beyond the clock. Errors: 42501, 22023 null or limit below 1';
COMMENT ON FUNCTION csm.schedule(text, integer) IS
'Lets pg_cron call csm.run_due() in this database, every minute by default (schedule in the form of cron); returns the id of the job, which is named csm: calling it again changes the job, SELECT cron.unschedule(''csm'') ends it. Superuser or member of csm_owner. Errors: 55000 pg_cron is not installed here, 42501, 22023 limit below 1';
COMMENT ON TABLE csm.audit_log IS 'Who signed in, was refused, was invited, changed or looked at: one row each, written by functions only, never changed';
COMMENT ON COLUMN csm.audit_log.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.audit_log.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.audit_log.at IS 'When it happened';
COMMENT ON COLUMN csm.audit_log.kind IS 'What happened; README lists the kinds';
COMMENT ON COLUMN csm.audit_log.actor_id IS 'Who did it (csm.users.id, no foreign key); NULL for somebody not signed in and for the system';
COMMENT ON COLUMN csm.audit_log.subject_user_id IS 'Whom it concerns (csm.users.id, no foreign key); NULL where no person is known';
COMMENT ON COLUMN csm.audit_log.account_id IS 'Account in which it was done (no foreign key): its administrators read the row; NULL for none';
COMMENT ON COLUMN csm.audit_log.details IS 'Keys and values by kind, a JSON object: reasons and ids, never a password or token';
COMMENT ON POLICY audit_log_select ON csm.audit_log IS 'What one did and what concerns oneself; who manages contacts, his accounts; administrators, all of their tenant';
COMMENT ON FUNCTION csm_private.audit(text, bigint, bigint, bigint, jsonb, bigint) IS
'Writes a row of csm.audit_log; nothing on a standby, in a read-only transaction, and where the tenant is not known';
COMMENT ON TABLE csm_private.secrets IS 'Random keys of this database; not part of a dump';
COMMENT ON COLUMN csm_private.secrets.name IS 'What the key is for';
COMMENT ON COLUMN csm_private.secrets.value IS '256 random bits';
COMMENT ON TABLE csm_private.attempts IS 'Counters of attempts, outside transactions; read and written by csm_private.attempt() only. Not part of a dump';
COMMENT ON COLUMN csm_private.attempts.tag IS 'Keyed hash of kind and key; 0 for a row not used yet';
COMMENT ON COLUMN csm_private.attempts.free_at IS 'Rate: when nothing is counted any more; back-off: end of the pause';
COMMENT ON COLUMN csm_private.attempts.expires_at IS 'From when on the row is free for another key';
COMMENT ON COLUMN csm_private.attempts.count IS 'Back-off: attempts so far';
COMMENT ON FUNCTION csm_private.attempt(text, text, integer, interval, interval) IS
'Counts an attempt of this kind by this key, whether or not the transaction commits; false when it is one too many, which is then not counted. longest NULL: so many in a period. Else back-off: after so many a pause of one period, doubled by each further attempt up to longest, forgotten when nothing happened for longest. Errors 22004 for NULL, 22023 for values out of range, 25006 on a standby';
COMMENT ON FUNCTION csm_private.attempt_forgive(text, text, integer, interval, interval) IS
'The attempt just counted was a good one: a rate gets it back, a back-off begins anew. Arguments as those of csm_private.attempt()';
COMMENT ON FUNCTION csm_private.sign_in_as(bigint, boolean, timestamptz, bigint) IS
'Makes the transaction (local) or the session that person''s, for statements that start before until; NULL: nobody''s. For functions that have checked the proof; asks nothing. Error 22004 when local is null';
COMMENT ON FUNCTION csm_private.new_token() IS
'256 random bits in base64url, 43 characters. Stored as csm_private.token_hash() only';
COMMENT ON FUNCTION csm_private.token_hash(text) IS
'SHA-256 of a token: what is stored and looked up. Enough for 256 random bits, never for a password';
COMMENT ON TABLE csm.identity_providers IS 'OpenID Connect providers of the tenant: what their ID tokens must be like, and who their subjects are';
COMMENT ON COLUMN csm.identity_providers.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.identity_providers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.identity_providers.name IS 'Name that people read';
COMMENT ON COLUMN csm.identity_providers.issuer IS 'The claim iss, to the letter';
COMMENT ON COLUMN csm.identity_providers.audience IS 'The client id of the portal: must be in the claim aud, and be azp where that is given or aud names several';
COMMENT ON COLUMN csm.identity_providers.algorithms IS 'Signature algorithms accepted (RFC 7518); a key narrows them to what it can verify';
COMMENT ON COLUMN csm.identity_providers.clock_skew IS 'How far the clocks may differ for exp, iat and nbf; at most ten minutes';
COMMENT ON COLUMN csm.identity_providers.require_nonce IS 'True: csm.sign_in() must be given the nonce of the request';
COMMENT ON COLUMN csm.identity_providers.single_use IS 'True: a token must have a jti and is good for one sign-in; for portals that go on with a session of csm';
COMMENT ON COLUMN csm.identity_providers.subject_claim IS 'Claim that names the person for good: sub; oid for Microsoft Entra';
COMMENT ON COLUMN csm.identity_providers.claims IS 'Column of csm.users to the claim it is filled from when a person is made; external_id also serves link_by';
COMMENT ON COLUMN csm.identity_providers.trust_email IS 'True: the e-mail is believed without the claim email_verified, because the provider gives out the addresses itself';
COMMENT ON COLUMN csm.identity_providers.link_by IS 'An unknown subject is the known person with this e-mail (verified) or external_id; NULL: never';
COMMENT ON COLUMN csm.identity_providers.create_as IS 'An unknown subject becomes a person without persona (person), an employee, a consumer, or a contact of create_account_id; NULL: he is refused';
COMMENT ON COLUMN csm.identity_providers.create_account_id IS 'Account of the contacts that are made; NULL unless create_as is contact';
COMMENT ON COLUMN csm.identity_providers.create_role IS 'Their role; NULL unless create_as is contact';
COMMENT ON COLUMN csm.identity_providers.enabled IS 'False: its tokens are refused';
COMMENT ON COLUMN csm.identity_providers.created_at IS 'When the row was made';
COMMENT ON POLICY identity_providers_all ON csm.identity_providers IS 'Administrators keep the providers; issuer, audience and subject claim stay what they are, because identities stand on them';
COMMENT ON TABLE csm.identity_provider_keys IS 'Public keys of the providers, kept by csm.set_provider_keys()';
COMMENT ON COLUMN csm.identity_provider_keys.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.identity_provider_keys.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.identity_provider_keys.provider_id IS 'The provider';
COMMENT ON COLUMN csm.identity_provider_keys.kid IS 'Name of the key in the header of a token; NULL when it has none';
COMMENT ON COLUMN csm.identity_provider_keys.jwk IS 'The key as a JSON Web Key (RFC 7517), public members only';
COMMENT ON COLUMN csm.identity_provider_keys.algorithms IS 'What it may verify: by type and curve, or the one that the key names';
COMMENT ON COLUMN csm.identity_provider_keys.created_at IS 'When it was set';
COMMENT ON POLICY identity_provider_keys_select ON csm.identity_provider_keys IS 'Administrators see the keys';
COMMENT ON TABLE csm.external_identities IS 'Who the subjects of the providers are; a person may have one at each of several';
COMMENT ON COLUMN csm.external_identities.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.external_identities.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.external_identities.provider_id IS 'The provider';
COMMENT ON COLUMN csm.external_identities.subject IS 'What the provider calls the person, to the letter';
COMMENT ON COLUMN csm.external_identities.user_id IS 'The person';
COMMENT ON COLUMN csm.external_identities.created_at IS 'When they were linked';
COMMENT ON POLICY external_identities_select ON csm.external_identities IS 'One''s own; administrators, all';
COMMENT ON POLICY external_identities_insert ON csm.external_identities IS 'Administrators link subjects';
COMMENT ON POLICY external_identities_delete ON csm.external_identities IS 'Administrators unlink them';
COMMENT ON TABLE csm.spent_tokens IS 'Tokens of single_use providers that were used, until they would have expired; nobody but csm reads it';
COMMENT ON COLUMN csm.spent_tokens.provider_id IS 'The provider';
COMMENT ON COLUMN csm.spent_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.spent_tokens.token_hash IS 'SHA-256 of the claim jti';
COMMENT ON COLUMN csm.spent_tokens.expires_at IS 'When the token ends, clock skew included';
COMMENT ON FUNCTION csm_private.audit_identity() IS
'AFTER trigger of providers and identities: a row of the audit log for each change. Argument: beginning of the kind';
COMMENT ON FUNCTION csm_private.key_algorithms(text) IS
'Signature algorithms that a JSON Web Key can verify, or why it must not be used: one of the two is NULL';
COMMENT ON FUNCTION csm.set_provider_keys(bigint, jsonb) IS
'Makes these the keys of the provider, a JSON Web Key Set (RFC 7517), and returns how many can be used; keys for encryption and of unknown types are passed over, what is not in the set any more is accepted no longer. Errors: 42501 no such provider in the administrator''s tenant; 22023 no key set, no usable key, a name twice, a private or symmetric key';
COMMENT ON FUNCTION csm_private.adopt_subject(bigint, text, bigint, jsonb) IS
'Who an unknown subject of a verified token is: a known person by link_by, or a new one by create_as; else why he is refused. Raises nothing that claims could cause';
COMMENT ON FUNCTION csm_private.spend_token(bigint, bigint, text, timestamptz) IS
'True for the first use of a token, whether or not the transaction of that use commits';
COMMENT ON FUNCTION csm_private.record_refusal(bigint, text, text, bigint, bigint) IS
'Writes why somebody was not signed in: at most a thousand rows an hour for each person, and for nobody in particular';
COMMENT ON FUNCTION csm.sign_in(text, boolean, text) IS
'Signs in with the token of a session or API key that csm issued, or an ID token of a provider of the visitor''s tenant (csm.tenant): for the transaction, or with local false for the connection until the token ends. nonce: the one that the portal sent with its request, if it did. status is signed_in, or refused, which leaves nobody signed in and says no more; csm.audit_log has the reason. Raises nothing for what a token may contain';
COMMENT ON TABLE csm.mail_senders IS 'Persons, as a rule technical ones, as whom a sender process may fetch mail of the tenant; kept by csm.allow_mail_sender()';
COMMENT ON COLUMN csm.mail_senders.user_id IS 'The person';
COMMENT ON COLUMN csm.mail_senders.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.mail_senders.created_at IS 'Since when';
COMMENT ON POLICY mail_senders_select ON csm.mail_senders IS 'Administrators see who may fetch mail';
COMMENT ON TABLE csm.outbox IS 'Messages that wait for a sender process; read through csm.next_mail(), deleted when acknowledged or expired';
COMMENT ON COLUMN csm.outbox.id IS 'Identity, unique in the database; tells a repeated message';
COMMENT ON COLUMN csm.outbox.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.outbox.kind IS 'Which template: README lists them with their payloads';
COMMENT ON COLUMN csm.outbox.recipient IS 'One e-mail address';
COMMENT ON COLUMN csm.outbox.user_id IS 'The person it is for; NULL when he has no row yet';
COMMENT ON COLUMN csm.outbox.language IS 'Language tag for the template';
COMMENT ON COLUMN csm.outbox.payload IS 'What the template fills in, a JSON object; token is a single-use secret';
COMMENT ON COLUMN csm.outbox.created_at IS 'When it was written';
COMMENT ON COLUMN csm.outbox.expires_at IS 'From then on it is deleted instead of handed out; NULL: never';
COMMENT ON COLUMN csm.outbox.claimed_until IS 'Not handed out again before, unless acknowledged; NULL: never handed out';
COMMENT ON COLUMN csm.outbox.attempts IS 'How often it was handed out';
COMMENT ON FUNCTION csm_private.send_mail(bigint, text, text, bigint, text, jsonb, timestamptz) IS
'Puts a message into the outbox; error 23514 for what is not one plain address';
COMMENT ON FUNCTION csm.allow_mail_sender(bigint, boolean) IS
'Lets a sender process that is signed in as this person fetch mail, or no longer. Superuser or member of csm_owner. Errors: 42501, 22023 no such user';
COMMENT ON FUNCTION csm_private.sender_tenant() IS
'Tenant whose mail the caller sends; NULL for the system, which sends everybody''s. Error 42501 for anybody else';
COMMENT ON FUNCTION csm.next_mail(integer, interval) IS
'Messages to be sent, the oldest first: each to one caller at a time, again when the lease has passed without csm.acknowledge_mail(). Commit before sending. Persons named by csm.allow_mail_sender() for their tenant, members of csm_owner without identity for all. Errors: 42501, 22023';
COMMENT ON FUNCTION csm.acknowledge_mail(bigint[]) IS
'Says that messages were sent, or are to be given up; deletes them and returns how many there were. Callers as csm.next_mail(). Error 42501';
COMMENT ON TABLE csm.password_policies IS 'What the tenant demands of passwords and of those who try them; without a row the defaults hold';
COMMENT ON COLUMN csm.password_policies.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.password_policies.allowed IS 'False: nobody signs in with a password';
COMMENT ON COLUMN csm.password_policies.minimum_length IS 'Characters';
COMMENT ON COLUMN csm.password_policies.free_attempts IS 'Wrong passwords of one login until the first pause';
COMMENT ON COLUMN csm.password_policies.first_pause IS 'How long the login is then locked; each further wrong password doubles it';
COMMENT ON COLUMN csm.password_policies.longest_pause IS 'And never longer; without an attempt for so long all is forgotten';
COMMENT ON COLUMN csm.password_policies.source_attempts IS 'Wrong passwords and reset requests from one source in source_period';
COMMENT ON COLUMN csm.password_policies.source_period IS 'See source_attempts';
COMMENT ON COLUMN csm.password_policies.reset_valid IS 'How long the token of a reset is good';
COMMENT ON POLICY password_policies_all ON csm.password_policies IS 'Administrators';
COMMENT ON TABLE csm.denied_passwords IS 'Passwords that nobody of the tenant may choose: lists of leaked ones, the name of the company; COPY into it';
COMMENT ON COLUMN csm.denied_passwords.password IS 'In lower case; upper and lower case do not count';
COMMENT ON COLUMN csm.denied_passwords.tenant_id IS 'Tenant of the row';
COMMENT ON POLICY denied_passwords_all ON csm.denied_passwords IS 'Administrators';
COMMENT ON TABLE csm.passwords IS 'Who can sign in with a password; no role reads or writes it';
COMMENT ON COLUMN csm.passwords.user_id IS 'The person';
COMMENT ON COLUMN csm.passwords.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.passwords.hash IS 'Argon2id with salt and cost, as libsodium writes it';
COMMENT ON COLUMN csm.passwords.must_change IS 'True: good for nothing but csm.change_password()';
COMMENT ON COLUMN csm.passwords.changed_at IS 'When it was set';
COMMENT ON TABLE csm.password_resets IS 'Who may set a password with the token that he was sent: one at a time, a newer token replaces it; no role reads it';
COMMENT ON COLUMN csm.password_resets.user_id IS 'The person';
COMMENT ON COLUMN csm.password_resets.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.password_resets.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm.password_resets.expires_at IS 'From when on it is good for nothing';
COMMENT ON FUNCTION csm_private.password_hash(text) IS
'Argon2id with a new salt: 64 MB of memory, some 60 ms, at most eight at a time in a database';
COMMENT ON FUNCTION csm_private.password_matches(text, text) IS
'Is it the password of the hash? Hash NULL: false, after the same time';
COMMENT ON FUNCTION csm_private.password_outdated(text) IS
'Was the hash made at another cost than new ones?';
COMMENT ON FUNCTION csm_private.password_text(text) IS
'What is hashed of a password: Unicode in form NFKC; of what is too long to be one, the beginning';
COMMENT ON FUNCTION csm_private.password_policy(bigint) IS
'The policy of the tenant, or the defaults';
COMMENT ON FUNCTION csm_private.common_passwords() IS
'Passwords denied to everybody, in lower case, beside csm.denied_passwords';
COMMENT ON FUNCTION csm_private.password_fault(bigint, bigint, text) IS
'Why the person may not choose this password: too_short, too_long (1,000 characters), denied; NULL: he may. user_id NULL: nothing of the person is compared';
COMMENT ON FUNCTION csm_private.set_password(bigint, bigint, text, boolean) IS
'Stores the password of a person; asks nothing, tokens of resets end. The caller has looked at csm_private.password_fault()';
COMMENT ON FUNCTION csm_private.source_of(text) IS
'Where a request comes from: what a trusted backend says, else the address of the connection';
COMMENT ON FUNCTION csm_private.person_of_login(bigint, text) IS
'The person with this e-mail, else with this external id; NULL for none';
COMMENT ON FUNCTION csm_private.try_password(bigint, bigint, text, text) IS
'Is it the password of the person? Counts the attempt before it looks. refusal NULL: yes; else source_limit, locked, wrong_password, no_password (of a person who has none, is disabled or unknown, or where passwords are not allowed)';
COMMENT ON FUNCTION csm.sign_in_password(text, text, text, boolean) IS
'Signs a person of the visitor''s tenant (csm.tenant) in by e-mail or external id and password, for the transaction or with local false for the session. source: the visitor''s address, from a backend that stands between. status: signed_in; must_change: right, but only csm.change_password() is open to him; refused, which leaves nobody signed in and says no more. Pass the password as a bind parameter';
COMMENT ON FUNCTION csm.change_password(text, text, text, text) IS
'Sets another password: of the signed-in person, or, when nobody is signed in, of the person with that login (who must change it first). status: changed; refused (current password wrong, login locked); too_short, too_long, denied, unchanged (new password). Pass both as bind parameters';
COMMENT ON FUNCTION csm_private.issue_password_reset(bigint, bigint, text, interval) IS
'Sends the person, to his address on record, a token with which he sets his password once; an earlier one ends. kind: the template. valid NULL: as the policy says. False when he is unknown, disabled or has no address; asks nothing else';
COMMENT ON FUNCTION csm.request_password_reset(text, text) IS
'Sends a person who has a password a token to set another one. status is always accepted, whether or not somebody is known by that login, and where too many were asked for: three an hour for a person, and those of a source';
COMMENT ON FUNCTION csm.reset_password(text, text) IS
'Sets the password with the token of a reset or an invitation, once, and unlocks the login; signs nobody in. status: changed; refused (token unknown, used, replaced or expired); too_short, too_long, denied, which leave the token good. Pass both as bind parameters';
COMMENT ON FUNCTION csm.send_password_reset(bigint) IS
'Sends the person a token to set his password, to his address on record; who had none gets one so. Staff with person_manage. Error 42501';
COMMENT ON FUNCTION csm.require_password_change(bigint) IS
'The person''s password is good for nothing but csm.change_password() from now on. Staff with person_manage. Error 42501';
COMMENT ON FUNCTION csm_private.directory_fault(jsonb) IS
'What is wrong with an element given to csm.upsert_users(), taken by itself; NULL: nothing';
COMMENT ON FUNCTION csm_private.upsert_user(bigint, jsonb) IS
'One element of csm.upsert_users() in which csm_private.directory_fault() finds nothing: outcome created, updated, unchanged or rejected, the person, and why rejected';
COMMENT ON FUNCTION csm.upsert_users(jsonb, boolean) IS
'Makes and updates people by external_id: objects with external_id, display_name, email, language, time_zone, phone, title, enabled, location, employee, department; a key left out changes nothing. A row for each with outcome created, updated, unchanged or rejected and the reason; deactivate_missing disables enabled people who have an external_id that is not named (never the caller), outcome deactivated. Administrators. Errors: 42501; 22023 no array, or an empty one with deactivate_missing; 23505 where somebody else takes an e-mail at the same moment: nothing is done then, repeat it';
COMMENT ON FUNCTION csm_private.administers(bigint, bigint) IS
'Whether the caller administers the login of the person: staff with person_manage or configure; with contact_manage only while every persona of the person is a contact in his reach';
COMMENT ON TABLE csm.sessions IS 'Sessions and API keys that csm issued; made by csm.start_session() and csm.create_api_key(), ended by csm.revoke_session() and its like. A row that expired may stand until its person starts another';
COMMENT ON COLUMN csm.sessions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.sessions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sessions.user_id IS 'The person who signs in by it';
COMMENT ON COLUMN csm.sessions.last_used_at IS 'Last sign-in by it, to the minute; uses on a standby do not count. Written outside transactions';
COMMENT ON COLUMN csm.sessions.kind IS 'session, or key (API key)';
COMMENT ON COLUMN csm.sessions.label IS 'What the person called it; NULL for nothing';
COMMENT ON COLUMN csm.sessions.created_at IS 'When it was made';
COMMENT ON COLUMN csm.sessions.expires_at IS 'Absolute end';
COMMENT ON COLUMN csm.sessions.idle_minutes IS 'A session ends when it was not used for so many minutes; NULL for an API key';
COMMENT ON COLUMN csm.sessions.persona IS 'An API key counts through this persona alone; NULL: through all';
COMMENT ON COLUMN csm.sessions.actions IS 'An API key permits these actions alone, as far as its person holds them; NULL: all';
COMMENT ON POLICY sessions_select ON csm.sessions IS 'One''s own, and those of people whose login one administers';
COMMENT ON TABLE csm_private.session_tokens IS 'How the token of a session or API key is known: the token itself is stored nowhere';
COMMENT ON COLUMN csm_private.session_tokens.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm_private.session_tokens.session_id IS 'The session or API key';
COMMENT ON COLUMN csm_private.session_tokens.tenant_id IS 'Its tenant';
COMMENT ON FUNCTION csm_private.sign_in_by_token(text, boolean) IS
'Signs in by the token of a session or API key, for the transaction (local) or the connection; the person, or NULL and nothing done where the token is unknown or has expired. On a standby the absolute end alone counts';
COMMENT ON FUNCTION csm_private.session_setting(bigint, text) IS
'A setting of the tenant: session_idle_minutes (30), session_hours (12), api_key_days (365; 0: no API keys); what is no number counts as not set, what is out of range as the nearest';
COMMENT ON FUNCTION csm_private.add_session(text, text, timestamptz, text, text[], text) IS
'A row of csm.sessions for the signed-in person, and its token; error 42501 when he was disabled meanwhile';
COMMENT ON FUNCTION csm.start_session(text) IS
'A token by which the signed-in person can sign in (csm.sign_in()) until the session ends: 256 random bits, told once, stored as a hash. A person has at most 100 sessions. Errors: 42501 nobody, by an API key or for another; 22023 label too long; 25006 on a standby';
COMMENT ON FUNCTION csm.create_api_key(text, text, text[], timestamptz) IS
'A token for an integration, which signs in as the caller by csm.sign_in(): through one persona and for some actions only where given; with what the caller may at the time of use, never more. Ends after 90 days or as given, at most the tenant''s api_key_days. Told once, stored as a hash. Errors: 42501 nobody, by an API key, for another, another''s persona, keys forbidden; 22023 name, actions or end; SM007 more than 50';
COMMENT ON FUNCTION csm_private.end_sessions(bigint, bigint, boolean) IS
'Ends the sessions of a person, keys: his API keys as well; how many. For functions that change a login';
COMMENT ON FUNCTION csm.revoke_session(bigint) IS
'Ends a session or API key (csm.sessions.id) at once, open transactions included: one''s own, or of a person whose login one administers. False where there is none, another''s alike. Error 42501: nobody, by an API key or for another';
COMMENT ON FUNCTION csm.revoke_all_sessions(bigint, boolean) IS
'Ends all sessions of the person, by default the caller, and his API keys unless keys is false; how many. The one that the caller uses ends too. Error 42501: nobody, by an API key, for another, or a person whose login he does not administer, missing ones alike';
COMMENT ON FUNCTION csm_private.login_ends() IS
'Trigger of csm.users and csm.contacts: sessions and API keys end when the person is disabled, or the login of his last persona. Argument: the column that names the person';
COMMENT ON FUNCTION csm_private.set_behalf(bigint) IS
'The signed-in person acts for that one until the transaction ends; NULL lifts it. Asks nothing: whether he may shows in his rights';
COMMENT ON FUNCTION csm.on_behalf_of(bigint) IS
'Until the transaction ends the caller acts for that person: with that person''s rights as a customer, in the branches where the caller holds act_for and contact_read, and of the actions those that the caller himself holds there with reach all. Entries, history and events name both. NULL, or oneself, lifts it. Error 42501: nobody, without act_for, no such person, disabled or of another tenant';
COMMENT ON FUNCTION csm.on_behalf_of() IS
'For whom the caller acts (csm.users.id); NULL for himself';
COMMENT ON TABLE csm_private.captcha_used IS 'Challenges that were solved and used, until they expire; not part of a dump, as their key is not';
COMMENT ON COLUMN csm_private.captcha_used.tenant_id IS 'Tenant whose challenge it was';
COMMENT ON COLUMN csm_private.captcha_used.challenge IS 'The challenge, 32 bytes';
COMMENT ON COLUMN csm_private.captcha_used.expires_at IS 'From then on the row is not needed any more';
COMMENT ON FUNCTION csm_private.altcha_challenge(bytea, integer, timestamptz) IS
'A new signed challenge as JSON text; error 22023 for a key shorter than 32 bytes, a max_number below 1 or an expiry before 1970';
COMMENT ON FUNCTION csm_private.altcha_solved(bytea, text, bigint, text, text) IS
'Until when a challenge may be used, NULL unless it was signed with the key and the number solves it. Knows neither the clock nor what was used already';
COMMENT ON FUNCTION csm_private.captcha_setting(jsonb, text) IS
'max_number (the greatest number to try; 100000) or minutes (for which a challenge counts; 20) from the settings of a tenant';
COMMENT ON FUNCTION csm_private.captcha_key(bigint) IS 'Key that signs the challenges of a tenant';
COMMENT ON FUNCTION csm.captcha_challenge() IS
'A challenge as the ALTCHA widget expects it from its challenge URL: algorithm, challenge, maxnumber, salt, signature. Nothing is stored. NULL where the tenant is not known';
COMMENT ON FUNCTION csm_private.use_captcha(bigint, text) IS
'Whether the payload of the widget (JSON in base64) solves a challenge of the tenant that is neither expired nor used; it is used then';
COMMENT ON FUNCTION csm_private.captcha_passed(bigint, text, text) IS
'Whether the captcha is passed: by the function that csm.captcha_verifier names, else by csm''s proof of work; always where the tenant''s settings say {"captcha": {"required": false}}';
COMMENT ON FUNCTION csm_private.role_within(bigint, text) IS
'Whether the role permits a contact of the account nothing that the caller, who manages its contacts, may not do there himself. True for staff with account_manage; false for nobody and where he does not manage them';
COMMENT ON TABLE csm.account_domains IS 'E-mail domains of accounts: who proves an address there may ask that account to take him in';
COMMENT ON COLUMN csm.account_domains.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.account_domains.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.account_domains.account_id IS 'The account';
COMMENT ON COLUMN csm.account_domains.domain IS 'Part of an address after the @, in lower case; subdomains are domains of their own';
COMMENT ON COLUMN csm.account_domains.verified_at IS 'When staff made sure that the domain is the company''s; NULL: not yet, and it counts for nothing';
COMMENT ON COLUMN csm.account_domains.created_at IS 'When the row was made';
COMMENT ON POLICY account_domains_select ON csm.account_domains IS 'Who manages contacts of the account; staff with account_manage';
COMMENT ON POLICY account_domains_write ON csm.account_domains IS 'Staff with account_manage: a customer does not vouch for himself';
COMMENT ON TABLE csm_private.registration_codes IS 'The registration code of an account, as a hash; the audit log says who made it';
COMMENT ON COLUMN csm_private.registration_codes.account_id IS 'The account';
COMMENT ON COLUMN csm_private.registration_codes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.registration_codes.code_hash IS 'As csm_private.code_hash() makes it';
COMMENT ON COLUMN csm_private.registration_codes.created_at IS 'When the code was made';
COMMENT ON TABLE csm.registrations IS 'Requests of strangers to become a consumer or a contact, and invitations; written by functions only';
COMMENT ON COLUMN csm.registrations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.registrations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.registrations.kind IS 'consumer, contact (he asked) or invitation (he was asked)';
COMMENT ON COLUMN csm.registrations.state IS 'pending, requested, approved, rejected or no_longer_required; which may follow which is enforced';
COMMENT ON COLUMN csm.registrations.email IS 'Address as given';
COMMENT ON COLUMN csm.registrations.email_key IS 'Address as csm.users.email_key';
COMMENT ON COLUMN csm.registrations.display_name IS 'Name as given; of a person who is known already nothing is changed';
COMMENT ON COLUMN csm.registrations.language IS 'Language of his mail, and his own if he is new';
COMMENT ON COLUMN csm.registrations.terms IS 'Which terms he accepted; NULL: none were put to him';
COMMENT ON COLUMN csm.registrations.account_id IS 'Account to which he wants; NULL for consumers, and while staff have to find out';
COMMENT ON COLUMN csm.registrations.role IS 'Role that he gets; NULL until it is decided';
COMMENT ON COLUMN csm.registrations.route IS 'What led to the account: code, domain, invitation or staff; NULL while none is known';
COMMENT ON COLUMN csm.registrations.invited_by IS 'Who invited him; NULL where he asked himself';
COMMENT ON COLUMN csm.registrations.created_at IS 'When he registered or was invited';
COMMENT ON COLUMN csm.registrations.confirmed_at IS 'When he proved that the address is his; NULL: not yet';
COMMENT ON COLUMN csm.registrations.decided_at IS 'When it ended; NULL while open';
COMMENT ON COLUMN csm.registrations.decided_by IS 'Who decided; NULL where nobody had to';
COMMENT ON COLUMN csm.registrations.reason IS 'Reason of a rejection; it is mailed to him';
COMMENT ON COLUMN csm.registrations.user_id IS 'The person who has the persona now; NULL unless approved';
COMMENT ON POLICY registrations_select ON csm.registrations IS 'Proven ones and invitations: who manages contacts of the account, staff with account_manage (consumers: person_manage); one''s own';
COMMENT ON TABLE csm_private.registration_tokens IS 'The token by which a registration goes on, as a hash; gone when used';
COMMENT ON COLUMN csm_private.registration_tokens.registration_id IS 'The registration';
COMMENT ON COLUMN csm_private.registration_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.registration_tokens.purpose IS 'confirm: proves the address; invite: accepts an invitation';
COMMENT ON COLUMN csm_private.registration_tokens.token_hash IS 'As csm_private.token_hash() makes it';
COMMENT ON COLUMN csm_private.registration_tokens.expires_at IS 'From then on it is of no use';
COMMENT ON FUNCTION csm_private.guard_registration() IS
'Which state of a registration may follow which; error 55000';
COMMENT ON FUNCTION csm_private.registration_setting(jsonb, text) IS
'per_source (registrations of a source in an hour; 20), per_email (mails to an address in a day; 5), per_account (requests, and invitations, of an account in a day; 50), confirm_hours (48) or invite_days (14; how long tokens live) from the settings of a tenant';
COMMENT ON FUNCTION csm_private.contact_managers(bigint, bigint) IS
'Contacts who manage the contacts of an account: its own administrators, those of its ancestors, those of partners that administer it';
COMMENT ON FUNCTION csm_private.manages_contacts(bigint) IS
'Whether the caller manages the contacts of the account, as its administrator or as staff; NULL for a missing account';
COMMENT ON FUNCTION csm_private.may_assign_role(bigint, text) IS
'Whether the caller may give a contact of the account this role (R A14). Staff with account_manage: any contact role. Who manages its contacts: one that the tenant''s settings list (assignable_roles; by default customer, customer_admin, partner, partner_admin) and that is not above his own, as csm_private.role_within() says';
COMMENT ON FUNCTION csm_private.is_address(text) IS 'Whether mail can be sent there; NULL for NULL';
COMMENT ON FUNCTION csm_private.is_name(text) IS 'Whether it can be a person''s name; NULL for NULL';
COMMENT ON FUNCTION csm_private.is_language(text) IS 'Whether it is a language tag as csm.users takes it; NULL for NULL';
COMMENT ON FUNCTION csm_private.code_hash(bigint, text) IS
'SHA-256 of a registration code within its tenant; case, blanks and hyphens do not count, O is read as 0, I and L as 1';
COMMENT ON FUNCTION csm_private.issue_registration_token(csm.registrations, text, timestamptz) IS
'Makes the token by which a registration goes on, and the timer that ends it; the caller mails it';
COMMENT ON FUNCTION csm_private.mail_registration(csm.registrations, text, jsonb, timestamptz) IS
'Mails something to whom a registration is about; the account''s name only where he is taken in, rejected or invited';
COMMENT ON FUNCTION csm_private.lock_registration(csm.registrations) IS
'Locks a registration and what else is open for its address; the row as it is then';
COMMENT ON FUNCTION csm_private.claim_registration(text, text) IS
'The registration whose unexpired token this is, locked; NULL for any other token';
COMMENT ON FUNCTION csm_private.end_registration_token(csm.registrations) IS 'Takes back the token of a registration and its timer';
COMMENT ON FUNCTION csm_private.person_of(csm.registrations) IS
'The person of the address, locked; made where nobody has it';
COMMENT ON FUNCTION csm_private.add_contact(bigint, bigint, bigint, text) IS
'Makes the person, whose row is locked, a contact of the account; false where he is one already';
COMMENT ON FUNCTION csm_private.decide_registration(csm.registrations, text, bigint, text) IS
'Ends a registration, whose row is locked, and where it is approved the other open ones of the same address for the same account';
COMMENT ON FUNCTION csm_private.request_registration(csm.registrations) IS
'Puts a proven registration before the administrators of its account and mails them';
COMMENT ON FUNCTION csm_private.is_superfluous(csm.registrations) IS
'Whether the person of the address is a contact of the account already, or another request of his is before its administrators';
COMMENT ON FUNCTION csm_private.still_manages(bigint, bigint, bigint) IS
'Whether the person, who need not be signed in, manages the contacts of the account now';
COMMENT ON FUNCTION csm_private.has_credentials(csm.users) IS
'Whether the person signs in somehow already, or comes from a directory that will let him: then registering gives him no password';
COMMENT ON FUNCTION csm_private.first_password_fault(csm.registrations, text) IS
'As csm_private.password_fault(), for somebody who is no person yet; NULL for no password';
COMMENT ON FUNCTION csm_private.complete_registration(csm.registrations, text) IS
'Gives the person of a proven address the persona, and a password where he has no credentials; false where he is disabled, and nothing is given';
COMMENT ON FUNCTION csm_private.forward_registration(csm.registrations) IS
'Puts a proven request before the administrators of its account, or leaves it pending for staff';
COMMENT ON FUNCTION csm_private.refuse_registration(bigint, text, text, bigint, text) IS
'Records why something was refused, at most a thousand times an hour for each person and for visitors together, and returns refused';
COMMENT ON FUNCTION csm_private.begin_registration(text, text, text, text, text, text, text, text) IS
'Writes a pending registration and the mail that proves its address; accepted, or refused for malformed or missing values, terms not accepted, a captcha not passed, or too many';
COMMENT ON FUNCTION csm.register_consumer(text, text, text, text, text, text) IS
'A visitor asks to become a consumer. accepted: a mail with a token went to the address, whoever has it; refused: malformed, captcha not passed, terms of the tenant not accepted, or too many from this source or to this address. captcha: payload of the widget; source: address of the visitor, where a backend stands between (NULL: that of the connection); terms: those he accepted. Raises nothing';
COMMENT ON FUNCTION csm.register_contact(text, text, text, text, text, text, text) IS
'A visitor asks to become a contact of the account whose registration code he gives, or without one of the account to which the domain of his address belongs. Once he has proven the address the administrators of the account are asked; staff, where code or domain lead nowhere. Answers and other arguments as csm.register_consumer()';
COMMENT ON FUNCTION csm.confirm_registration(text, text) IS
'Proves the address of a registration with the token that was mailed there. A consumer is one from then on; a known person gets the persona, nothing else about him changes. password: the first one of a consumer who has no credentials; NULL for who signs in through a provider. A contact''s request goes to those who decide, with the same answer wherever it goes. status: confirmed; too_short, too_long, denied (password), which leave the token good; refused: token unknown, used or expired. Pass both as bind parameters';
COMMENT ON FUNCTION csm.accept_invitation(text, text) IS
'Accepts an invitation with the token that was mailed: the person of that address, made where nobody has it, becomes a contact of the account. password: his first one, where he has no credentials; NULL for who signs in through a provider. status: accepted; too_short, too_long, denied (password), which leave the token good; refused: token unknown, used, expired or withdrawn. Pass both as bind parameters';
COMMENT ON FUNCTION csm_private.claim_decision(bigint) IS
'A proven request of a contact, or an invitation, that the caller may decide, its row locked; NULL for a missing and a hidden one';
COMMENT ON FUNCTION csm.approve_registration(bigint, text) IS
'Makes whoever asked a contact of the account with that role, and mails him; without credentials he gets a second mail, with a token for csm.reset_password(). One approval suffices: a second one changes nothing. For who manages contacts of the account, and staff with account_manage. status: approved; no_longer_required when he is a contact there already; refused (recorded): no such registration, or a role that is not the caller''s to give. Error 55000 when it is neither requested nor approved';
COMMENT ON FUNCTION csm.reject_registration(bigint, text) IS
'Rejects a request with a reason, which is mailed, or withdraws an invitation. Callers as csm.approve_registration(); of requests without an account, staff. status: rejected, or refused (recorded): no such registration. Errors: 22023 no reason, 55000 decided already';
COMMENT ON FUNCTION csm.assign_registration(bigint, bigint) IS
'Staff say which account a request is for that led nowhere; its administrators are asked then. status: requested; no_longer_required when he is a contact there already; refused (recorded): no such registration or active account, or not staff with account_manage. Error 55000 when it is not pending';
COMMENT ON FUNCTION csm.invite_contact(bigint, text, text, text, text) IS
'Invites somebody to become a contact of the account: a mail with a token goes to the address, whoever has it. For who manages contacts of the account, and staff with account_manage; csm.reject_registration() withdraws it. status: invited, or refused (recorded): no such active account of his, or a role that is not his to give. Errors: 22023 malformed e-mail, name or language; SM007 too many';
COMMENT ON FUNCTION csm.rotate_registration_code(bigint, boolean) IS
'A new registration code for the account, shown this once; the one before counts no more, but for registrations begun with it. withdraw: no code from now on. For who manages contacts of the account, and staff with account_manage. status: rotated, withdrawn, or refused (recorded): no such account of his';
COMMENT ON FUNCTION csm_private.due_registration(bigint, bigint, timestamptz) IS
'When the token of a registration has expired: what was never proven is deleted, an invitation ends as no_longer_required';
COMMENT ON FUNCTION csm_private.audit_contacts() IS
'Trigger of csm.contacts: what somebody signed in changes is audited as contact_added, contact_removed, contact_moved, contact_role_changed, contact_login_enabled, contact_login_disabled or contact_validity_changed';
COMMENT ON FUNCTION csm_private.audit_user_roles() IS
'Trigger of csm.user_roles: what somebody signed in changes is audited as staff_role_added, staff_role_changed or staff_role_removed';
COMMENT ON FUNCTION csm_private.contact_to_administer(bigint) IS
'The contact, where the caller may administer it: not himself, in an account whose contacts he manages, with a role not above his own; else NULL';
COMMENT ON FUNCTION csm_private.person_in_reach(bigint) IS
'Whether every persona of the person, present or to come, is one that the caller may administer; staff with person_manage: always. False for himself';
COMMENT ON FUNCTION csm_private.refuse_administration(text, bigint, jsonb) IS
'Records a refusal, in the account only where the caller manages it, and returns refused';
COMMENT ON FUNCTION csm_private.limit_contact_mail(bigint) IS 'SM007 when administrators of the account had more than 100 mails sent in a day';
COMMENT ON FUNCTION csm.add_contact(bigint, text, text, text, text, text, text, text) IS
'Adds a contact to an account whose contacts the caller manages, with one of the assignable roles that is not above his own: a person of his own who counts at once, for cases on his behalf. An e-mail address becomes his when it has answered (csm.confirm_email()); if somebody has it already, the two become one then, and until then nothing tells. status: added, or refused (recorded). Errors: 22023 what cannot stand in a profile, SM007 too many mails';
COMMENT ON FUNCTION csm.set_contact_login(bigint, boolean) IS
'Switches what this contact may do for his account off or on, from the next statement of every session on; the person''s other personas stay. Returns done, or refused (recorded): not the caller''s to administer, or himself';
COMMENT ON FUNCTION csm.set_contact_role(bigint, text) IS
'Gives a contact another of the assignable roles, none above the caller''s own; a contact always has one. Returns done, or refused (recorded): no such contact of his, himself, a role that is not his to give';
COMMENT ON FUNCTION csm.end_contact(bigint) IS
'Ends a contact''s membership of the account now; his row and his cases stay. Returns done, or refused (recorded)';
COMMENT ON FUNCTION csm.update_contact(bigint, text, text, text, text, text, text) IS
'Asks for a change of the person behind a contact; the empty string empties phone and title. Done while every persona of that person is the caller''s to administer, a new e-mail address when it has answered; else the person is asked, at his address on record, to do it himself. Returns accepted either way, or refused (recorded). Errors: 22023 what cannot stand in a profile, SM007 too many mails';
COMMENT ON FUNCTION csm.send_credentials(bigint) IS
'Sends a contact, to his address on record, a token to set his password (csm.reset_password()), his first one too. Nobody else learns it or sets it. Returns sent, also where he has no address, or refused (recorded): not the caller''s to administer, or the tenant has no passwords. Error SM007 too many mails';
COMMENT ON FUNCTION csm.colleagues(bigint) IS
'The directory: the current contacts of accounts in which the caller is one himself, where accounts.directory_visible is on; NULL for all of his accounts. No row elsewhere, for a hidden and a missing account alike';
COMMENT ON FUNCTION csm.show_directory(bigint, boolean) IS
'Switches accounts.directory_visible: whether contacts of the account may list one another. Returns done, or refused (recorded)';
COMMENT ON FUNCTION csm_private.merge_ranges() IS
'Tables in which a person has one row at a time, and what else the rows are told apart by';
COMMENT ON FUNCTION csm_private.given_up(text, jsonb) IS 'A row as csm.user_merges keeps it: without what is secret';
COMMENT ON FUNCTION csm_private.give_up_duplicates(regclass, text, bigint, bigint) IS
'Deletes rows that refer to the one where a unique index allows no second beside that of the other, and returns them; of rows that differ by idempotency_key only the key is taken';
COMMENT ON FUNCTION csm_private.repoint(regclass, bigint, bigint) IS
'Makes every row of csm''s own tables that refers to the one row of the target refer to the other; returns what was given up';
COMMENT ON FUNCTION csm_private.trim_ranges(bigint, bigint) IS
'Where both persons have a row at a time at which one can be, leaves of the one''s what lies outside the other''s; returns the rows as they were';
COMMENT ON FUNCTION csm_private.widen_rights(bigint, bigint) IS
'Gives rows of the kept person what the other''s rows for the same account, case or item permit beyond them, where those count for all of the time';
COMMENT ON FUNCTION csm_private.merge_users(bigint, bigint, text, bigint) IS
'Makes the two one; asks nothing. Both are of one tenant';
COMMENT ON FUNCTION csm.merge_users(bigint, bigint, text) IS
'Makes two persons one: everything that refers to the one refers to the other from then on, what is missing of the kept person''s row is filled in, sessions and API keys of the other end, and the other row is gone. Recorded in csm.user_merges, csm.audit_log and the history of each case (action merge). For staff with person_manage; with configure too where either has a staff role. Errors: 42501, 22023 the same person or no reason, 55000 the one to remove has a login role';
COMMENT ON TABLE csm.notification_preferences IS 'Which events a person wants to hear of, and how; what he does not say csm.notification_rules does';
COMMENT ON COLUMN csm.notification_preferences.user_id IS 'The person';
COMMENT ON COLUMN csm.notification_preferences.event IS 'Kind of event (as csm.notification_rules.event); * for every one without a row of its own';
COMMENT ON COLUMN csm.notification_preferences.channel IS 'Way by which he is told, such as email; * for every one without a row of its own. A row that names the event goes before one that names the channel';
COMMENT ON COLUMN csm.notification_preferences.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notification_preferences.enabled IS 'Whether he wants it';
COMMENT ON POLICY notification_preferences_select ON csm.notification_preferences IS 'One''s own';
COMMENT ON POLICY notification_preferences_insert ON csm.notification_preferences IS 'One''s own';
COMMENT ON POLICY notification_preferences_update ON csm.notification_preferences IS 'One''s own';
COMMENT ON POLICY notification_preferences_delete ON csm.notification_preferences IS 'One''s own';
COMMENT ON FUNCTION csm_private.wants_notification(bigint, bigint, text, text) IS
'What the person said about this event on this channel; NULL when nothing, and the default counts';
COMMENT ON TABLE csm_private.email_changes IS 'Addresses that wait to be confirmed';
COMMENT ON COLUMN csm_private.email_changes.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm_private.email_changes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.email_changes.user_id IS 'The person';
COMMENT ON COLUMN csm_private.email_changes.email IS 'Address that is to become his';
COMMENT ON COLUMN csm_private.email_changes.token_hash IS 'SHA-256 of the token that was sent there';
COMMENT ON COLUMN csm_private.email_changes.joins IS 'True: the row of a person whom an administrator added; where the address is somebody''s already, the two become one when he confirms';
COMMENT ON COLUMN csm_private.email_changes.created_at IS 'When it was asked for';
COMMENT ON COLUMN csm_private.email_changes.expires_at IS 'Until when the token counts';
COMMENT ON FUNCTION csm_private.ask_for_email(bigint, text, boolean) IS
'Sends a token to the address, which becomes the person''s with csm.confirm_email(); a request before is void. An address of somebody else gets a warning instead, or, where the person was added by an administrator (joins), the question whether he is the same. No check of the caller';
COMMENT ON FUNCTION csm_private.check_profile(text, text, text, text, text, text) IS
'Error 22023 for what cannot stand in a profile; NULL always can';
COMMENT ON FUNCTION csm_private.set_profile(bigint, text, text, text, text, text) IS
'Changes what is given; the empty string empties phone and title. No check of the caller, nor of what is given: csm_private.check_profile()';
COMMENT ON FUNCTION csm.update_profile(text, text, text, text, text, text) IS
'Changes what is given of the caller''s own profile and returns his row; the empty string empties phone and title. A new e-mail address counts after csm.confirm_email() with the token that is sent there. Errors: 42501 nobody, 22023 what cannot stand in a profile, SM007 more than five addresses a day';
COMMENT ON FUNCTION csm.confirm_email(text) IS
'Whoever has the token that was sent to a new address makes it his, signed in or not; single use, three days. A person whom a customer''s administrator added and whose address is somebody''s becomes one with him. Returns confirmed, or refused without saying why. The old address is told';
COMMENT ON TABLE csm_private.mail_tokens IS 'Tokens in mail that was sent: a case on which its reader answers, or an event that he may unsubscribe from';
COMMENT ON COLUMN csm_private.mail_tokens.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm_private.mail_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.mail_tokens.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm_private.mail_tokens.user_id IS 'The person to whom it was sent';
COMMENT ON COLUMN csm_private.mail_tokens.case_id IS 'The case that the mail is about; NULL for a token that unsubscribes';
COMMENT ON COLUMN csm_private.mail_tokens.event IS 'Event to unsubscribe from; NULL for a token of a case';
COMMENT ON COLUMN csm_private.mail_tokens.channel IS 'Channel to unsubscribe from; NULL for a token of a case';
COMMENT ON COLUMN csm_private.mail_tokens.created_at IS 'When it was first given out';
COMMENT ON FUNCTION csm_private.derived_token(bytea) IS
'The token of a matter: 40 hexadecimal digits that nobody without the key of the database can guess';
COMMENT ON FUNCTION csm_private.mail_token(bigint, bigint) IS
'The token by which an answer of this person on this case is recognised: for Message-ID and Reply-To. Always the same until a restore. No check of the caller, nor of what the person sees';
COMMENT ON FUNCTION csm_private.unsubscribe_token(bigint, bigint, text, text) IS
'The token by which whoever has it lets this person hear no more of the event on the channel: csm.unsubscribe()';
COMMENT ON FUNCTION csm_private.mail_token_target(text) IS
'The case and the person of the first token of csm_private.mail_token() in the text; nulls where there is none. Says nothing about who sent the text';
COMMENT ON TABLE csm.notifications IS 'Who is told of which event, once by each channel. Written by csm.run_due(), deleted after a time (README)';
COMMENT ON COLUMN csm.notifications.id IS 'Identity, unique in the database; tells a repeated message';
COMMENT ON COLUMN csm.notifications.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notifications.user_id IS 'The person who is told';
COMMENT ON COLUMN csm.notifications.case_id IS 'The case';
COMMENT ON COLUMN csm.notifications.event_id IS 'The event (csm.events.id, no foreign key: events are deleted sooner)';
COMMENT ON COLUMN csm.notifications.kind IS 'What happened: event of csm.notification_rules';
COMMENT ON COLUMN csm.notifications.channel IS 'Way by which he is told; portal is read in place by csm.my_notifications()';
COMMENT ON COLUMN csm.notifications.audience IS 'As csm.events.audience: who besides may know';
COMMENT ON COLUMN csm.notifications.side IS 'As csm.events.side';
COMMENT ON COLUMN csm.notifications.entry_id IS 'The comment that it is about (csm.case_entries.id, no foreign key); NULL for other events';
COMMENT ON COLUMN csm.notifications.state IS 'waiting: for a sender process; sent (in the portal: at once); withheld: when it was to be sent he saw the case no more, wanted no such mail any more, or had no address; failed: given up after ten attempts';
COMMENT ON COLUMN csm.notifications.created_at IS 'When it was made';
COMMENT ON COLUMN csm.notifications.read_at IS 'When he marked it as read; NULL until then';
COMMENT ON COLUMN csm.notifications.claimed_until IS 'Not handed out again before; NULL: never handed out, or done with';
COMMENT ON COLUMN csm.notifications.sent_at IS 'When a sender process said that it was sent; in the portal when it was made';
COMMENT ON COLUMN csm.notifications.attempts IS 'How often it was handed out';
COMMENT ON COLUMN csm.notifications.error IS 'What the sender process said of the last attempt that failed, up to 1,000 characters; NULL for none';
COMMENT ON POLICY notifications_select ON csm.notifications IS 'One''s own, while one sees the case, and what happened there';
COMMENT ON TABLE csm_private.notification_readers IS 'How far csm.run_due() has read the events of each tenant to make notifications';
COMMENT ON COLUMN csm_private.notification_readers.tenant_id IS 'The tenant';
COMMENT ON COLUMN csm_private.notification_readers.position IS 'Position in csm.events up to which notifications were made';
COMMENT ON COLUMN csm_private.notification_readers.since IS 'What happened before is told to nobody';
COMMENT ON COLUMN csm_private.notification_readers.read_at IS 'When it last read; NULL for never';
COMMENT ON FUNCTION csm_private.begin_notifications() IS
'Trigger of csm.notification_rules: with the first rule of a tenant, its events are read by csm.run_due()';
COMMENT ON FUNCTION csm_private.notification_values(bigint, bigint) IS
'Every placeholder of a notification, with what the caller may read there; null for what he may not';
COMMENT ON FUNCTION csm_private.notification_template_guard() IS
'Trigger of csm.notification_templates: error 22023 for an unknown placeholder and for braces that make none';
COMMENT ON FUNCTION csm_private.notification_kinds(text, jsonb) IS
'What an event is for csm.notification_rules, what says most first: assigned and group_assigned for what is new, submitted, approval_requested, declined, info_requested, escalated and ruled by the action, else its kind';
COMMENT ON FUNCTION csm_private.account_readers(bigint, bigint) IS
'Persons who read cases for an account: by their role, or, where no contact''s role says so, all contacts';
COMMENT ON FUNCTION csm_private.notification_recipients(csm.cases, text, text, text[]) IS
'Persons who stand in one of the relations to the case and on a side that the event is for. Whether they see the case is asked when they are told';
COMMENT ON FUNCTION csm_private.make_notifications(bigint, integer) IS
'Makes the notifications of the next events of a tenant, at most so many; returns how many events were read';
COMMENT ON FUNCTION csm_private.due_notify(bigint, bigint, timestamptz) IS
'Handler of timers of kind notify, one a tenant with rules: makes notifications, and deletes what is older than the tenant keeps (setting notifications, keep_days; 90)';
COMMENT ON FUNCTION csm_private.notification_template(text, text) IS
'The words for the signed-in person: of the event before those of all, in his language (exact tag, base) before the tenant''s and English, of the channel before those of all. No row where there are none, and for nobody';
COMMENT ON FUNCTION csm_private.one_line(text) IS
'The text as one line of at most 400 characters, without control characters';
COMMENT ON FUNCTION csm_private.notification_message(jsonb) IS
'language, subject and body of the notification {"id": …} for the person who reads it; NULL where it is not his, or he sees the case or the entry no more, or the tenant has no words for it';
COMMENT ON FUNCTION csm.my_notifications(integer, bigint, boolean) IS
'The caller''s inbox, the newest first, at most limit (up to 1,000) before that id, in his language; unread: only what is not marked as read. Only what he sees now. Words are NULL where the tenant has none';
COMMENT ON FUNCTION csm.mark_read(bigint[]) IS
'Marks these notifications of the caller''s inbox as read, NULL for all; returns how many were unread and are his to see';
COMMENT ON TABLE csm.mail_gateways IS 'Persons, as a rule technical ones, as whom a gateway may hand over mail for the tenant; kept by csm.allow_mail_gateway()';
COMMENT ON COLUMN csm.mail_gateways.user_id IS 'The person';
COMMENT ON COLUMN csm.mail_gateways.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.mail_gateways.created_at IS 'Since when';
COMMENT ON POLICY mail_gateways_select ON csm.mail_gateways IS 'Administrators see who may hand over mail';
COMMENT ON TABLE csm.email_log IS 'Mail that came in and what became of it, a row each; written by csm.receive_email(), the text kept where nothing was done with it';
COMMENT ON COLUMN csm.email_log.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.email_log.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.email_log.received_at IS 'When the gateway received it, or handed it over';
COMMENT ON COLUMN csm.email_log.message_id IS 'Its Message-ID, unique in the tenant; NULL where it had none that could be read';
COMMENT ON COLUMN csm.email_log.from_address IS 'Address of From, in lower case; NULL where there was none that could be read';
COMMENT ON COLUMN csm.email_log.user_id IS 'The person with that address; NULL where nobody had it, or it was not proven';
COMMENT ON COLUMN csm.email_log.status IS 'opened (a case), commented, queued (for staff), refused, ignored (no person wrote it); received only while it is worked on';
COMMENT ON COLUMN csm.email_log.reason IS 'Why nothing was done, as the gateway was told; NULL where something was';
COMMENT ON COLUMN csm.email_log.detail IS 'What the gateway was not told: error and message; NULL for none';
COMMENT ON COLUMN csm.email_log.case_id IS 'The case opened or commented on, or the one that was refused to him; NULL for none';
COMMENT ON COLUMN csm.email_log.entry_id IS 'The entry that it became; NULL for none';
COMMENT ON COLUMN csm.email_log.attached IS 'How many of its attachments were taken';
COMMENT ON COLUMN csm.email_log.not_attached IS 'How many were not: too large, too many, malformed';
COMMENT ON COLUMN csm.email_log.subject IS 'Subject without control and direction characters; NULL where the mail became a case or an entry';
COMMENT ON COLUMN csm.email_log.body IS 'Text likewise, the first 100,000 characters; NULL where the mail became a case or an entry, or was ignored';
COMMENT ON COLUMN csm.email_log.settled_by IS 'Who took it from the queue by csm.settle_email(); NULL for nobody';
COMMENT ON COLUMN csm.email_log.settled_at IS 'When; NULL while it waits, or never waited';
COMMENT ON POLICY email_log_select ON csm.email_log IS 'Administrators all of it; staff with person_manage what waits for them';
COMMENT ON FUNCTION csm_private.mail_setting(bigint, text) IS
'trust (dmarc: From counts where DMARC passed; token: also where the mail carries a token that was sent to that person; any: always, the gateway lets nobody else in), unknown (refuse or queue what an unknown address sends), closed (refuse an answer to a closed case, or open a follow_up), opens (whether mail opens cases), case_type (of those), per_sender (mails of an address in an hour; 20), marker (line above which one writes), from the setting mail_in of a tenant';
COMMENT ON FUNCTION csm_private.mail_clean(text, boolean) IS
'Text without control and direction characters, trimmed; lines: with its lines, ended by line feeds, else as one line';
COMMENT ON FUNCTION csm_private.mail_reply(text, text) IS
'What of a mail''s text is its answer: above the first line with the marker, without quoted lines at the end and a line that ends with a colon before them; may be empty';
COMMENT ON FUNCTION csm_private.mail_address(text) IS
'The one address of a header From, in lower case; NULL where there is none, more than one, or anything that a header would read otherwise';
COMMENT ON FUNCTION csm_private.mail_fault(jsonb) IS
'malformed or too_large; NULL where the mail can be read';
COMMENT ON FUNCTION csm_private.mail_loop(jsonb) IS
'Why nobody is to be answered: bounce, loop, auto_submitted or mailing_list; NULL where a person seems to have written';
COMMENT ON FUNCTION csm_private.mail_person(bigint, text) IS
'The enabled person who has this address, or had it before he was made one with another; NULL for none';
COMMENT ON FUNCTION csm_private.mail_act(jsonb) IS
'Body of csm.receive_email(), run as the sender: finds the case among what he sees and comments on it, or opens one. Returns what was done, or refused and why; errors as csm.comment() and csm.open_case()';
COMMENT ON FUNCTION csm_private.judge_mail(csm.email_log, jsonb) IS
'Finds the sender and the case, and does as the sender what the mail asks; the row of the log as it is then. What is refused is no error; others, such as a deadlock, pass through';
COMMENT ON FUNCTION csm.receive_email(jsonb) IS
'Takes a mail from a gateway: an object with message_id, in_reply_to, references, from, to, subject, text, received_at, headers (an object), authentication ({"dmarc": "pass"}), attachments (objects with file_name, media_type, and content in base64 or url, size, sha256 in hexadecimal). With the rights of the person who sent it, it becomes an entry of the case that it answers (status commented) or a new case (opened); else it is queued for staff, refused or ignored, and reason says why: README lists them. The same message_id gets the same answer. Persons named by csm.allow_mail_gateway(), for their tenant; the system. Errors: 42501 no gateway, 22023 no JSON object; what is wrong with a mail is no error';
COMMENT ON FUNCTION csm_private.mail_time(text) IS
'When the gateway says that it received the mail, never in the future; now where it says nothing that can be read';
COMMENT ON FUNCTION csm_private.gateway_tenant() IS
'Tenant for which the caller hands over mail; of the system the only one. Errors: 42501 for anybody else, 22023 for the system where there are several tenants';
COMMENT ON FUNCTION csm.allow_mail_gateway(bigint, boolean) IS
'Lets a gateway that is signed in as this person hand over mail, or no longer. Superuser or member of csm_owner. Errors: 42501, 22023 no such user';
COMMENT ON FUNCTION csm.settle_email(bigint, bigint) IS
'Takes a mail from the queue: case_id is the case that staff opened from it, NULL for none. Staff with person_manage, administrators. Errors: 42501 no such mail in the queue, SM001 no case on which he works, 55000 settled already';
COMMENT ON FUNCTION csm_private.forget_mail(bigint, timestamptz, integer) IS
'Deletes rows of csm.email_log received before, but for those of a person or case that a legal hold keeps; returns how many. A mail that comes again after that is a new one';
COMMENT ON FUNCTION csm_private.notification_headers(csm.notifications, jsonb) IS
'Tokens of a message, and header values made of them and of the tenant''s setting notifications; these are NULL without domain or unsubscribe_url';
COMMENT ON FUNCTION csm_private.message_for(csm.notifications, csm.users) IS
'What csm_private.notification_message() gives the recipient now; NULL where he sees the matter no more, is disabled, has no plain address, or said that he does not want it';
COMMENT ON FUNCTION csm.next_notifications(text, integer, interval) IS
'Notifications of a channel that are to be sent, the oldest first, ready to be sent: each to one caller at a time, again when the lease has passed without csm.acknowledge_notifications(), at most ten times. What the recipient does not see any more is withheld. Call it in a transaction of its own and commit before sending. recipient: e-mail address, NULL for other channels. Persons named by csm.allow_mail_sender() for their tenant, members of csm_owner without identity for all. Errors: 42501, 22023';
COMMENT ON FUNCTION csm.acknowledge_notifications(bigint[], text) IS
'Says that notifications were sent, or, with an error, that they could not be: then they come again after 1, 2, 4 … minutes, and are given up after ten attempts. Returns how many there were. Callers as csm.next_notifications(). Error 42501';
COMMENT ON FUNCTION csm.notification_status() IS
'How many notifications of the tenant wait, were sent, withheld or given up, and the time of the oldest, by channel: whether the sender process keeps up. Administrators, the system; error 42501 for anybody else';
COMMENT ON FUNCTION csm.unsubscribe(text, boolean) IS
'Whoever has the token of a message lets its recipient hear no more of that kind of event on that channel, or of any (everything); as often as he likes. Always returns accepted. Undone in csm.notification_preferences';
COMMENT ON FUNCTION csm_private.delete_expired(bigint, integer) IS
'Deletes sessions and API keys that have ended, tokens of resets, of new addresses and of surveys, spent ID tokens, used captchas and messages that have expired: of each at most so many. Returns the greatest of the numbers. By the clock, never ahead of it';
COMMENT ON FUNCTION csm_private.due_expired(bigint, bigint, timestamptz) IS
'Handler of timers of kind expired, one a tenant: daily, after a minute where something was left over';
COMMENT ON FUNCTION csm_private.begin_expired() IS 'Trigger of csm.tenants: the first timer of kind expired';
COMMENT ON TABLE csm.licence_products IS 'What is licensed separately: each product covers the acts of some roles';
COMMENT ON COLUMN csm.licence_products.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.licence_products.product IS 'Key of the product';
COMMENT ON COLUMN csm.licence_products.label IS 'Name that people read';
COMMENT ON COLUMN csm.licence_products.roles IS 'csm.roles that it covers. A staff role: what is done while holding it. Any role of another kind: whatever those do who ask for service';
COMMENT ON TABLE csm.licence_policies IS 'Readings of a licence contract: which acts make a person count. csm.licence_usage() answers by any of them, also for the past';
COMMENT ON COLUMN csm.licence_policies.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.licence_policies.policy IS 'Key of the policy';
COMMENT ON COLUMN csm.licence_policies.label IS 'Name that people read';
COMMENT ON COLUMN csm.licence_policies.counts IS 'Acts that count: fulfiller (worked on a case), stakeholder (acted for a customer by a staff role of that class), counterparty_act (an action on a dispute as the other company: propose, withdraw, escalate ...), counterparty_update (its comments and files, and the acknowledgement that its first comment is), approver (decided where an approver was asked), requester (whatever else those did who ask for service)';
COMMENT ON COLUMN csm.licence_policies.window_days IS 'An act counts in the period in which it falls and for so many days more; 0: in the period alone';
COMMENT ON COLUMN csm.licence_policies.products IS 'Only acts that these csm.licence_products cover; empty: all acts, as one product';
COMMENT ON COLUMN csm.licence_policies.union_products IS 'True: who acts under several products counts once; false: once for each';
COMMENT ON COLUMN csm.licence_policies.active IS 'The policy that is meant when none is named; at most one in a tenant';
COMMENT ON VIEW csm_private.acts IS 'Links of csm.case_history that a person made, with their kind for the licence meter';
COMMENT ON COLUMN csm_private.acts.id IS 'csm.case_history.id';
COMMENT ON COLUMN csm_private.acts.tenant_id IS 'Tenant of the link';
COMMENT ON COLUMN csm_private.acts.case_id IS 'The case';
COMMENT ON COLUMN csm_private.acts.at IS 'When it was done';
COMMENT ON COLUMN csm_private.acts.actor_id IS 'Who did it';
COMMENT ON COLUMN csm_private.acts.action IS 'What was done';
COMMENT ON COLUMN csm_private.acts.persona IS 'As what he did it';
COMMENT ON COLUMN csm_private.acts.relation IS 'In which relations to the case';
COMMENT ON COLUMN csm_private.acts.kind IS 'staff:<role>, staff, approver, counterparty_update, counterparty_act, other (for somebody else, or on a case shared with him) or requester';
COMMENT ON FUNCTION csm_private.act_kinds(bigint) IS 'Kinds of csm_private.acts that the tenant has, walked over by the index';
COMMENT ON FUNCTION csm_private.shipped_licence_policies() IS 'Licence policies that a new tenant gets';
COMMENT ON FUNCTION csm_private.ship_licence_policies() IS 'Trigger of csm.tenants: the licence policies that a new tenant gets';
COMMENT ON FUNCTION csm_private.licence_firsts(csm.licence_policies, tstzrange) IS
'First act of each kind that counts by the policy in that time, for each person, and each product where the policy names some';
COMMENT ON FUNCTION csm_private.licence_policy(text) IS
'The policy of the caller''s tenant, the active one for NULL. Errors: 42501 for others than administrators and managers with reach all, 22023 no such policy, or one that names an unknown product';
COMMENT ON FUNCTION csm.licence_usage(tstzrange, text) IS
'Every person whom a policy (NULL: the active one) counts in the period, with the first act that made him count and the highest class he reached; once, or once for each product where the policy does not unite them. Without products the column product is null. Administrators, and managers with reach all; errors: 42501, 22023 no such policy or a period without beginning or end';
COMMENT ON FUNCTION csm.licence_preview(text, text, integer) IS
'What a policy would have counted in each of the last months (UTC, the running one included, 1 to 120), compared with another one (NULL: the active one): how many each counts, and whom the policy adds and drops. Administrators, and managers with reach all; errors: 42501, 22023';
COMMENT ON POLICY erasure_requests_select ON csm.erasure_requests IS 'Staff with person_manage, and administrators';
COMMENT ON TABLE csm.erasure_requests IS 'Erasures of persons, asked for and done; at most one open for a person';
COMMENT ON COLUMN csm.erasure_requests.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.erasure_requests.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.erasure_requests.user_id IS 'The person';
COMMENT ON COLUMN csm.erasure_requests.case_id IS 'Privacy request it comes from; NULL for retention and the system';
COMMENT ON COLUMN csm.erasure_requests.reason IS 'Why; emptied with the erasure, as it may name the person';
COMMENT ON COLUMN csm.erasure_requests.requested_by IS 'Who asked for it; NULL for retention and the system';
COMMENT ON COLUMN csm.erasure_requests.requested_at IS 'When he asked';
COMMENT ON COLUMN csm.erasure_requests.approved_by IS 'The second person, who had it done; NULL for retention, the system and while it is open';
COMMENT ON COLUMN csm.erasure_requests.erased_at IS 'When it was done; NULL while it is open';
COMMENT ON COLUMN csm.erasure_requests.erased IS 'How many rows were emptied or deleted, by table; a JSON object';
COMMENT ON FUNCTION csm_private.erase_texts(bigint[], boolean) IS
'Empties what is written in these cases: their own texts, fields and files, with all_texts also what anybody wrote on them; and the history of it. Returns how many rows by table';
COMMENT ON FUNCTION csm_private.erase(csm.users) IS
'Empties every registered column that concerns the person, disables him, and takes the statistics of subject and search anew; returns how many rows by table';
COMMENT ON FUNCTION csm.request_erasure(bigint, text) IS
'Asks that the requester of a privacy request be erased; a second person does it with csm.erase_person(). Staff who work on the case. Errors: SM001, 42501, 22023 no open privacy_request with right_asked erasure and an identity_proof, 23505 asked for already';
COMMENT ON FUNCTION csm.erase_person(bigint, text) IS
'Erases a person: every registered personal column of his, the texts, fields and files of his cases, his entries, the history of these; his row stays, disabled, as a number. Keeps cases, counts, and a chain that verifies. Done by staff with person_manage or an administrator other than who asked for it with csm.request_erasure(); the system needs no request. What others wrote: csm.find_mentions(), before. Errors: 42501 (also for an unknown person), 55000 nobody asked, 55006 legal hold, 22023 no reason';
COMMENT ON FUNCTION csm.export_person_in_full(bigint) IS
'csm.export_person() for those who keep personal data: everything but secrets and contents of files, whatever the caller''s own reach. Staff with person_manage, administrators; error 42501';
COMMENT ON FUNCTION csm.export_person(bigint) IS
'All that concerns a person as one JSON document: user_id, made_at, made_by, and parts, each with the table, the column through which the rows concern him, and the rows. Without secrets and the contents of files. A person gets of himself what row-level security lets him read; staff with person_manage and administrators get all of anybody of the tenant. Error 42501 for anybody else';
COMMENT ON VIEW csm_report.people IS 'One row for each person whom the reader may see, under a number in place of a name';
COMMENT ON COLUMN csm_report.people.id IS 'Key, csm.users.id';
COMMENT ON COLUMN csm_report.people.label IS 'Stands for the name: Person and the key';
COMMENT ON COLUMN csm_report.people.enabled IS 'False: disabled, or erased';
COMMENT ON COLUMN csm_report.people.language IS 'Language tag';
COMMENT ON COLUMN csm_report.people.time_zone IS 'Time zone name';
COMMENT ON COLUMN csm_report.people.created_at IS 'When the row was made';
COMMENT ON COLUMN csm_report.people.is_employee IS 'Whether the reader sees an employee persona of his';
COMMENT ON COLUMN csm_report.people.is_consumer IS 'Whether the reader sees a consumer persona of his';
COMMENT ON COLUMN csm_report.people.is_contact IS 'Whether the reader sees a contact persona of his';
COMMENT ON POLICY legal_holds_select ON csm.legal_holds IS 'Staff with person_manage, and administrators';
COMMENT ON TABLE csm.legal_holds IS 'What must not be erased while it stands: by csm.erase_person(), csm.redact_mention() and csm.run_retention(). Kept by csm.place_hold() and csm.release_hold()';
COMMENT ON COLUMN csm.legal_holds.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.legal_holds.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.legal_holds.user_id IS 'The person held, with all cases that are his; exactly one of user, account and case is set';
COMMENT ON COLUMN csm.legal_holds.account_id IS 'The account whose cases are held';
COMMENT ON COLUMN csm.legal_holds.case_id IS 'The case held';
COMMENT ON COLUMN csm.legal_holds.reason IS 'Why, up to 4,000 characters';
COMMENT ON COLUMN csm.legal_holds.placed_by IS 'Who placed it; NULL for the system';
COMMENT ON COLUMN csm.legal_holds.placed_at IS 'From when on it holds';
COMMENT ON COLUMN csm.legal_holds.released_by IS 'Who released it; NULL for the system and while it holds';
COMMENT ON COLUMN csm.legal_holds.released_at IS 'When it was released; NULL while it holds';
COMMENT ON FUNCTION csm_private.may_keep_privacy(bigint) IS
'Whether the caller keeps personal data of the tenant: staff with person_manage, administrators, the system';
COMMENT ON FUNCTION csm_private.person_to_keep(bigint) IS
'The person; 42501 where the caller does not keep his data, or there is none';
COMMENT ON FUNCTION csm_private.holds_on(csm.cases) IS 'Whether a legal hold stands on the case, its requester or its account';
COMMENT ON FUNCTION csm_private.refuse_held(csm.users) IS
'Error 55006 where a legal hold stands on the person, one of his cases or the account of one';
COMMENT ON FUNCTION csm.place_hold(text, bigint, bigint, bigint) IS
'Places a legal hold on exactly one of a person, an account, a case. Staff with person_manage, administrators. Errors: 42501 (also for what does not exist), 23514 not exactly one, 23502 no reason';
COMMENT ON FUNCTION csm.release_hold(bigint) IS
'Releases a legal hold; one that is released already stays as it is. Staff with person_manage, administrators. Error 42501 (also for a hold that does not exist)';
COMMENT ON FUNCTION csm_private.mention_pattern(csm.users) IS
'Regular expression for the strings by which texts name the person: name, last name, e-mail, phone, external id, those of persons made one with him too; NULL for an erased one';
COMMENT ON FUNCTION csm_private.row_key(text) IS 'Name of the column by which csm.find_mentions() names a row of the table, and of the one that holds its case, NULL for none';
COMMENT ON FUNCTION csm.find_mentions(bigint) IS
'Where texts that concern others name the person (name, last name, e-mail, phone, external id): what csm.erase_person() leaves. Reads all texts of the tenant. For csm.redact_mention(), which must come before the erasure: afterwards nobody knows the strings. Staff with person_manage, administrators; error 42501';
COMMENT ON FUNCTION csm.redact_mention(bigint, text, text, bigint) IS
'Replaces the strings that name the person, in one text that csm.find_mentions() offered, by the word erased; a link of history is emptied instead. True where something was replaced. Staff with person_manage or administrators other than who asked for the erasure; the system. Errors: 42501, 22023 no such column, 55006 legal hold';
COMMENT ON FUNCTION csm_private.personal_columns() IS
'Every column of a type that can hold words or bytes. content: none; person (data of the person whom the column subject names); text (free text, subject: its author or whom it is about; may mention anybody); secret (never exported). erasure: null, word (''erased'' where a value is), object ({}), list ([]), delete (the row), own (written out in csm_private.erase_texts() and erase()), offer (csm.find_mentions() alone)';
COMMENT ON FUNCTION csm.person_references() IS
'Every column of csm that names a person (csm.users.id): what csm.export_person() looks through';
COMMENT ON FUNCTION csm_private.retain(bigint, timestamptz, integer) IS
'Erases what the tenant''s setting retention says is over: texts of cases ended case_days ago, persons without a persona in use and without a sign of life for person_days, registrations of strangers that were decided before, what csm.email_log keeps of mail received mail_days ago; nothing where a legal hold stands';
COMMENT ON FUNCTION csm.run_retention(timestamptz, integer) IS
'Erases what the setting retention of the tenant says is over, at most limit cases, persons, registrations and mails of each tenant: how many, and how many a legal hold keeps. csm.run_due() does so daily. Administrators for their tenant, never with a now beyond the clock; members of csm_owner without identity for all. Errors: 42501, 22023';
COMMENT ON FUNCTION csm_private.due_retention(bigint, bigint, timestamptz) IS
'Handler of timers of kind retention, one a tenant that has the setting: daily, after a minute where something was left over';
COMMENT ON FUNCTION csm_private.begin_retention() IS
'Trigger of csm.tenants: judges the setting retention (22023), and sets or clears the timer of that kind';
COMMENT ON FUNCTION csm_private.drop_guard() IS
'Sees to it that no command of this session drops a table of csm that holds rows, unless csm.allow_drop is on (error 55000)';
COMMENT ON EVENT TRIGGER csm_drop_guard IS
'Arms csm_private.drop_guard() before a command that can take the extension with it';
COMMENT ON FUNCTION csm_private.verify_install() IS
'What in the catalogue breaks a rule of the house: row-level security, tenant policy, privileges, pinned paths, owners, dump registration, comments, PUBLIC, schemas; no row when all is well';
-- Last: what an install must hold
-- Ends the install and every update: refuses a catalogue that breaks a rule of
-- the house.  Tests call the function too.  Only members of the extension are
-- judged, and only the roles of csm: what a DBA adds in his own name is his.

CREATE OR REPLACE FUNCTION csm_private.verify_install()
RETURNS TABLE (problem text, object text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH extension AS (
        SELECT e.oid, e.extconfig FROM pg_extension e WHERE e.extname = 'csm'
    ), house AS (
        SELECT n.oid, n.nspname FROM pg_namespace n WHERE n.nspname IN ('csm', 'csm_private', 'csm_report')
    ), csm_role AS (
        SELECT r.oid, r.rolname FROM pg_roles r
        WHERE r.rolname IN ('csm_guest', 'csm_portal', 'csm_agent', 'csm_reporter', 'csm_admin')
    ), owner AS (
        SELECT r.oid FROM pg_roles r WHERE r.rolname = 'csm_owner'
    ), member AS (
        SELECT d.classid, d.objid FROM pg_depend d, extension e
        WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
    ), rel AS (
        SELECT c.*, h.nspname, format('%I.%I', h.nspname, c.relname) AS name,
               h.nspname = 'csm_private' AND c.relname ~ '^anchor_[0-9]+$' AS is_anchor
        FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
        JOIN house h ON h.oid = c.relnamespace
    ), func AS (
        SELECT p.*, h.nspname, p.oid::regprocedure::text AS name, l.lanname
        FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
        JOIN house h ON h.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
    ), granted AS (
        -- what roles may do with a table or some of its columns
        SELECT DISTINCT r.oid AS relid, r.relkind, r.name, a.grantee, a.privilege_type
        FROM rel r, aclexplode(r.relacl) a
        UNION
        SELECT t.attrelid, r.relkind, r.name, a.grantee, a.privilege_type
        FROM rel r JOIN pg_attribute t ON t.attrelid = r.oid AND NOT t.attisdropped, aclexplode(t.attacl) a
    ), policy AS (
        SELECT p.*, r.name AS table_name,
               CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' END AS command
        FROM pg_policy p JOIN rel r ON r.oid = p.polrelid
    )
    -- row-level security
    SELECT 'table without row-level security', r.name FROM rel r
    WHERE r.relkind IN ('r', 'p') AND NOT r.relrowsecurity AND NOT r.is_anchor
  UNION ALL
    SELECT 'table without restrictive tenant policy', r.name FROM rel r
    WHERE r.relkind IN ('r', 'p') AND r.nspname = 'csm'
      AND NOT EXISTS (SELECT FROM policy p
                      WHERE p.polrelid = r.oid AND NOT p.polpermissive AND p.polcmd = '*'
                        AND pg_get_expr(p.polqual, p.polrelid) ~ '^\(?(tenant_id|id) = csm\.current_tenant_id\(\)\)?$'
                        AND (p.polroles = '{0}'
                             OR p.polroles @> (SELECT array_agg(c.oid) FROM csm_role c WHERE c.rolname <> 'csm_guest')))
  UNION ALL
    -- granted without a permissive policy for the role and the command: either is a slip
    SELECT 'privilege without policy', format('%s on %s to %s', g.privilege_type, g.name, c.rolname)
    FROM granted g JOIN csm_role c ON c.oid = g.grantee
    WHERE g.relkind IN ('r', 'p') AND g.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
      AND NOT EXISTS (SELECT FROM policy p
                      WHERE p.polrelid = g.relid AND p.polpermissive AND (p.polcmd = '*' OR p.command = g.privilege_type)
                        AND (p.polroles = '{0}' OR g.grantee = ANY (p.polroles)))
  UNION ALL
    SELECT 'privilege that row-level security does not bind', format('%s on %s to %s', g.privilege_type, g.name, c.rolname)
    FROM granted g JOIN csm_role c ON c.oid = g.grantee
    WHERE g.relkind IN ('r', 'p') AND g.privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER')
  UNION ALL
    SELECT 'view without security_invoker', r.name FROM rel r
    WHERE r.relkind = 'v' AND NOT coalesce(r.reloptions && '{security_invoker=true,security_invoker=on}', false)
  UNION ALL
    SELECT 'report column of a type that BI tools cannot read', format('%s.%I', r.name, a.attname)
    FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE r.nspname = 'csm_report' AND (t.typname IN ('json', 'jsonb', 'ltree', 'tsvector') OR t.typtype IN ('c', 'r', 'm') OR t.typcategory = 'A')
  UNION ALL
    -- functions
    SELECT 'function without pinned search_path', f.name FROM func f
    WHERE (f.prosecdef OR f.lanname = 'plpgsql' OR f.lanname = 'sql' AND f.prosqlbody IS NULL)
      AND f.lanname NOT IN ('c', 'internal')
      AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (f.proconfig), false)
  UNION ALL
    SELECT 'SECURITY DEFINER function without pinned search_path', f.name FROM func f
    WHERE f.prosecdef AND f.lanname IN ('c', 'internal')
      AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (f.proconfig), false)
  UNION ALL
    SELECT 'SECURITY DEFINER function of a superuser', f.name FROM func f JOIN pg_roles r ON r.oid = f.proowner
    WHERE f.prosecdef AND r.rolsuper
  UNION ALL
    -- owners
    SELECT 'owner is not csm_owner', v.name
    FROM (SELECT f.name, f.proowner FROM func f
          UNION ALL SELECT r.name, r.relowner FROM rel r
          UNION ALL SELECT format('schema %I', n.nspname), n.nspowner FROM pg_namespace n JOIN house h ON h.oid = n.oid
          UNION ALL SELECT format('type %s', t.oid::regtype), t.typowner
                    FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid)
         AS v(name, owner) CROSS JOIN owner o
    WHERE v.owner <> o.oid
  UNION ALL
    -- dump
    SELECT 'not registered for dump', r.name FROM rel r CROSS JOIN extension e
    WHERE r.relkind IN ('r', 'p', 'S') AND NOT r.is_anchor AND NOT r.oid = ANY (coalesce(e.extconfig, '{}'))
  UNION ALL
    -- comments
    SELECT 'without comment', v.name
    FROM (SELECT 'pg_class'::regclass, r.oid, 0, r.name FROM rel r WHERE r.relkind <> 'S'
          UNION ALL SELECT 'pg_class'::regclass, r.oid, a.attnum, format('%s.%I', r.name, a.attname)
                    FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
                    WHERE r.relkind <> 'S'
          UNION ALL SELECT 'pg_proc'::regclass, f.oid, 0, f.name FROM func f
          UNION ALL SELECT 'pg_policy'::regclass, p.oid, 0, format('policy %I on %s', p.polname, p.table_name)
                    FROM policy p JOIN rel r ON r.oid = p.polrelid
                    WHERE starts_with(p.polname, r.relname)
          UNION ALL SELECT 'pg_namespace'::regclass, h.oid, 0, format('schema %I', h.nspname) FROM house h
          UNION ALL SELECT 'pg_type'::regclass, t.oid, 0, format('type %s', t.oid::regtype)
                    FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
                    WHERE t.typcategory <> 'A'
          UNION ALL SELECT 'pg_event_trigger'::regclass, t.oid, 0, format('event trigger %I', t.evtname)
                    FROM pg_event_trigger t JOIN member m ON m.classid = 'pg_event_trigger'::regclass AND m.objid = t.oid)
         AS v(class, oid, subid, name)
    WHERE NOT EXISTS (SELECT FROM pg_description d
                      WHERE d.classoid = v.class AND d.objoid = v.oid AND d.objsubid = v.subid AND d.description <> '')
  UNION ALL
    -- PUBLIC; a function without a list of privileges may be called by anybody
    SELECT 'open to PUBLIC', format('%s on %s', v.privilege_type, v.name)
    FROM (SELECT f.name, a.grantee, a.privilege_type
          FROM func f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
          UNION ALL SELECT g.name, g.grantee, g.privilege_type FROM granted g
          UNION ALL SELECT format('schema %I', n.nspname), a.grantee, a.privilege_type
                    FROM pg_namespace n JOIN house h ON h.oid = n.oid, aclexplode(n.nspacl) a) AS v
    WHERE v.grantee = 0
  UNION ALL
    -- nothing outside the three schemas; an event trigger has no schema
    SELECT 'outside the schemas of csm', pg_describe_object(m.classid, m.objid, 0)
    FROM member m, pg_identify_object(m.classid, m.objid, 0) i
    WHERE m.classid <> 'pg_event_trigger'::regclass
      AND NOT coalesce(i.schema IN (SELECT h.nspname FROM house h), false)
      AND NOT (m.classid = 'pg_namespace'::regclass AND m.objid IN (SELECT h.oid FROM house h))
$$;
ALTER FUNCTION csm_private.verify_install() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.verify_install() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.verify_install() IS
'What in the catalogue breaks a rule of the house: row-level security, tenant policy, privileges, pinned paths, owners, dump registration, comments, PUBLIC, schemas; no row when all is well';

DO $$
DECLARE
    found text;
    problems bigint;
BEGIN
    SELECT count(*), string_agg(format('%s: %s', v.problem, v.object), E'\n' ORDER BY v.problem, v.object)
      INTO problems, found FROM csm_private.verify_install() v;
    IF problems > 0 THEN
        RAISE EXCEPTION 'the catalogue of csm breaks % of its rules', problems
            USING ERRCODE = '55000', DETAIL = found,
                  HINT = 'This is a fault in the install script of csm.';
    END IF;
END $$;
