-- How long personal data is kept: the setting retention of a tenant.

-- One tenant, at most so many cases and persons: what is left over the next run
-- meets.
CREATE FUNCTION csm_private.retain(tenant_id bigint, at timestamptz, at_most integer)
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
COMMENT ON FUNCTION csm_private.retain(bigint, timestamptz, integer) IS
'Erases what the tenant''s setting retention says is over: texts of cases ended case_days ago, persons without a persona in use and without a sign of life for person_days, registrations of strangers that were decided before, what csm.email_log keeps of mail received mail_days ago; nothing where a legal hold stands';

CREATE FUNCTION csm.run_retention(now timestamptz DEFAULT clock_timestamp(), "limit" integer DEFAULT 1000)
RETURNS TABLE (tenant_id bigint, kind text, erased bigint, held bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    everywhere CONSTANT boolean := csm_private.acts_as_system();
    mine CONSTANT bigint := csm.current_tenant_id();
BEGIN
    IF NOT everywhere AND NOT coalesce(csm.all_in(mine, 'internal', 'configure'), false) THEN
        RAISE EXCEPTION 'permission denied to run retention' USING ERRCODE = '42501',
            HINT = 'An administrator runs it for his own tenant, a member of csm_owner for all.';
    ELSIF run_retention.now IS NULL OR run_retention."limit" IS NULL OR run_retention."limit" < 1 THEN
        RAISE EXCEPTION 'now and limit must not be null, nor limit less than 1' USING ERRCODE = '22023', HINT = 'Leave them out.';
    ELSIF NOT everywhere AND run_retention.now > clock_timestamp() THEN
        RAISE EXCEPTION 'what is to be kept still cannot be erased' USING ERRCODE = '42501',
            DETAIL = format('The time given is %s.', run_retention.now), HINT = 'Leave now out.';
    END IF;
    RETURN QUERY SELECT t.id, r.kind, r.erased, r.held
                 FROM csm.tenants t CROSS JOIN LATERAL csm_private.retain(t.id, run_retention.now, run_retention."limit") r
                 WHERE everywhere OR t.id = mine;
END $$;
COMMENT ON FUNCTION csm.run_retention(timestamptz, integer) IS
'Erases what the setting retention of the tenant says is over, at most limit cases, persons, registrations and mails of each tenant: how many, and how many a legal hold keeps. csm.run_due() does so daily. Administrators for their tenant, never with a now beyond the clock; members of csm_owner without identity for all. Errors: 42501, 22023';

CREATE FUNCTION csm_private.due_retention(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at_most CONSTANT integer := 200;
    most bigint;
BEGIN
    SELECT max(r.erased) INTO most FROM csm_private.retain(due_retention.tenant_id, due_retention.at, at_most) r;
    IF most IS NOT NULL THEN
        PERFORM csm_private.set_timer(due_retention.tenant_id, 'retention', due_retention.object_id, NULL,
            due_retention.at + CASE WHEN most < at_most THEN interval '1 day' ELSE interval '1 minute' END);
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.due_retention(bigint, bigint, timestamptz) IS
'Handler of timers of kind retention, one a tenant that has the setting: daily, after a minute where something was left over';

CREATE FUNCTION csm_private.begin_retention() RETURNS trigger
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
COMMENT ON FUNCTION csm_private.begin_retention() IS
'Trigger of csm.tenants: judges the setting retention (22023), and sets or clears the timer of that kind';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.retain(bigint, timestamptz, integer)',
        'csm.run_retention(timestamptz, integer)',
        'csm_private.due_retention(bigint, bigint, timestamptz)',
        'csm_private.begin_retention()']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.run_retention(timestamptz, integer) TO csm_admin;

CREATE TRIGGER tenants_50_retention AFTER INSERT OR UPDATE OF settings ON csm.tenants
    FOR EACH ROW EXECUTE FUNCTION csm_private.begin_retention();
