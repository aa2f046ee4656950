-- What nobody can use any more goes by itself: a person who comes back clears
-- away what is his, and this what is left of those who never do. What has a
-- timer of its own (registrations) is not looked at here.

CREATE FUNCTION csm_private.delete_expired(tenant_id bigint, at_most integer) RETURNS bigint
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

CREATE FUNCTION csm_private.due_expired(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
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

CREATE FUNCTION csm_private.begin_expired() RETURNS trigger
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
