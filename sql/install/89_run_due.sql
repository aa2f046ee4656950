-- csm.run_due(): everything that time does.
--
-- One call is one transaction. A crash leaves every timer that the call had
-- claimed as it was. Items are worked off in groups, one subtransaction a
-- group (a subtransaction an item would overflow what other sessions' snapshots
-- keep of them); where an item fails, its group is done again item by item, and
-- the one that fails is put off, longer each time, and never dropped.

-- One line a kind, in the order of the module files, but for those that handle
-- many cases at once (run_group). The timer is gone already: the handler may set
-- it anew.
CREATE FUNCTION csm_private.run_timer(t csm.timers, at timestamptz) RETURNS void
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
        WHEN 'article_publish' THEN PERFORM csm_private.due_article_publish(t.tenant_id, t.object_id, at);
        WHEN 'article_expiry' THEN PERFORM csm_private.due_article_expiry(t.tenant_id, t.object_id, at);
        WHEN 'article_views' THEN PERFORM csm_private.due_article_views(t.tenant_id, t.object_id, at);
        WHEN 'interaction_idle' THEN PERFORM csm_private.due_interaction_idle(t.tenant_id, t.object_id, at);
        WHEN 'publication_publish' THEN PERFORM csm_private.due_publication_publish(t.tenant_id, t.object_id, at);
        WHEN 'publication_expiry' THEN PERFORM csm_private.due_publication_expiry(t.tenant_id, t.object_id, at);
        WHEN 'publication_address' THEN PERFORM csm_private.due_publication_address(t.tenant_id, t.object_id, at);
        WHEN 'publication_mail' THEN PERFORM csm_private.due_publication_mail(t.tenant_id, t.object_id, at);
        WHEN 'publication_clear' THEN PERFORM csm_private.due_publication_clear(t.tenant_id, t.object_id, at);
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

-- What became of each timer: done, or busy where somebody has the case in hand
-- and the timer stays. Nothing here waits for the lock of a case.
CREATE FUNCTION csm_private.run_group(claimed csm.timers[], at timestamptz) RETURNS text[]
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t csm.timers;
    free bigint[];
    reminders bigint[];
    closings bigint[];
    followers bigint[];
    outcomes text[] := '{}'::text[];
BEGIN
    free := ARRAY(SELECT c.id FROM csm.cases c
                  WHERE c.id = ANY (ARRAY(SELECT u.case_id FROM unnest(claimed) u WHERE u.case_id IS NOT NULL))
                  ORDER BY c.id FOR NO KEY UPDATE SKIP LOCKED);
    DELETE FROM csm.timers d USING unnest(claimed) u
    WHERE d.kind = u.kind AND d.object_id = u.object_id AND d.tenant_id = u.tenant_id
      AND (u.case_id IS NULL OR u.case_id = ANY (free));
    FOREACH t IN ARRAY claimed LOOP
        IF t.case_id IS NOT NULL AND t.case_id <> ALL (free) THEN
            outcomes := outcomes || 'busy'::text;
            CONTINUE;
        ELSIF t.kind = 'auto_close_reminder' THEN
            reminders := reminders || t.object_id;
        ELSIF t.kind = 'auto_close' THEN
            closings := closings || t.object_id;
        ELSIF t.kind = 'follow_parent' THEN
            followers := followers || t.object_id;
        ELSE
            PERFORM csm_private.run_timer(t, at);
        END IF;
        outcomes := outcomes || 'done'::text;
    END LOOP;
    IF reminders IS NOT NULL THEN
        PERFORM csm_private.due_auto_close_reminder(reminders, at);
    END IF;
    IF closings IS NOT NULL THEN
        PERFORM csm_private.due_auto_close(closings, at);
    END IF;
    IF followers IS NOT NULL THEN
        PERFORM csm_private.due_follow_parent(followers, at);
    END IF;
    RETURN outcomes;
END $$;

-- The next timers after the one seen last, locked. The settings keep to the one
-- plan that stops after a group: timers come and go by the hundred thousand within
-- a transaction, of which statistics know nothing, and a plan made for a few of
-- them reads and sorts all for each group.
CREATE FUNCTION csm_private.claim_timers(now timestamptz, seen csm.timers, "limit" integer, only_tenant bigint)
RETURNS csm.timers[]
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
AS $$
BEGIN
    RETURN (SELECT array_agg(x.d ORDER BY (x.d).due_at, (x.d).kind, (x.d).object_id)
            FROM (SELECT d FROM csm.timers d
                  WHERE d.due_at <= claim_timers.now AND (d.due_at, d.kind, d.object_id) > (seen.due_at, seen.kind, seen.object_id)
                    AND (only_tenant IS NULL OR d.tenant_id = only_tenant)
                  ORDER BY d.due_at, d.kind, d.object_id
                  LIMIT claim_timers."limit" FOR UPDATE SKIP LOCKED) x);
END $$;

-- Runs as csm_owner whoever asks; only csm.run_due() and csm.run_due_in(), which
-- check the caller, may execute it.
CREATE FUNCTION csm_private.run_timers(now timestamptz, "limit" integer, only_tenant bigint)
RETURNS TABLE (kind text, done bigint, failed bigint, busy bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    group_size CONSTANT integer := 100;
    left_over integer := run_timers."limit";
    seen csm.timers;
    claimed csm.timers[];
    t csm.timers;
    cause text;
    of_group text[];
    kinds text[] := '{}'::text[];
    outcomes text[] := '{}'::text[];
BEGIN
    IF run_timers.now IS NULL OR run_timers."limit" IS NULL OR run_timers."limit" < 1 THEN
        RAISE EXCEPTION 'now and limit must not be null, nor limit less than 1' USING ERRCODE = '22023',
            HINT = 'Leave them out for the clock and 10,000 timers.';
    END IF;
    seen.due_at := '-infinity';
    seen.kind := '';
    seen.object_id := 0;
    LOOP
        claimed := csm_private.claim_timers(run_timers.now, seen, least(group_size, left_over), only_tenant);
        EXIT WHEN claimed IS NULL;
        seen := claimed[cardinality(claimed)];
        left_over := left_over - cardinality(claimed);

        BEGIN
            of_group := csm_private.run_group(claimed, run_timers.now);
        EXCEPTION WHEN OTHERS THEN
            of_group := '{}';
            FOREACH t IN ARRAY claimed LOOP
                BEGIN
                    of_group := of_group || csm_private.run_group(ARRAY[t], run_timers.now);
                EXCEPTION WHEN OTHERS THEN
                    GET STACKED DIAGNOSTICS cause = MESSAGE_TEXT;
                    cause := SQLSTATE || ': ' || cause;
                    -- 1, 2, 4 ... minutes later, at most a day
                    UPDATE csm.timers d
                    SET attempts = d.attempts + 1, error = left(cause, 1000),
                        due_at = run_timers.now + least(interval '1 minute' * 2 ^ least(d.attempts, 11), interval '1 day')
                    WHERE d.kind = t.kind AND d.object_id = t.object_id AND d.tenant_id = t.tenant_id;
                    of_group := of_group || 'failed'::text;
                END;
            END LOOP;
        END;
        FOREACH t IN ARRAY claimed LOOP
            kinds := kinds || t.kind;
        END LOOP;
        outcomes := outcomes || of_group;
        EXIT WHEN left_over <= 0;
    END LOOP;
    RETURN QUERY
        SELECT u.kind, count(*) FILTER (WHERE u.outcome = 'done'), count(*) FILTER (WHERE u.outcome = 'failed'),
               count(*) FILTER (WHERE u.outcome = 'busy')
        FROM unnest(kinds, outcomes) u(kind, outcome) GROUP BY u.kind ORDER BY u.kind;
END $$;

CREATE FUNCTION csm.run_due_in(tenant_id bigint, now timestamptz DEFAULT clock_timestamp(), "limit" integer DEFAULT 10000)
RETURNS TABLE (kind text, done bigint, failed bigint, busy bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.acts_as_system() THEN
        IF NOT coalesce(csm.all_in(run_due_in.tenant_id, 'internal', 'configure'), false) THEN
            RAISE EXCEPTION 'permission denied to run what is due' USING ERRCODE = '42501',
                HINT = 'An administrator runs it for his own tenant, a member of csm_owner for all.';
        ELSIF run_due_in.now > clock_timestamp() THEN
            RAISE EXCEPTION 'what is not due yet cannot be run' USING ERRCODE = '42501',
                DETAIL = format('The time given is %s.', run_due_in.now), HINT = 'Leave now out.';
        END IF;
    END IF;
    RETURN QUERY SELECT r.* FROM csm_private.run_timers(run_due_in.now, run_due_in."limit", run_due_in.tenant_id) r;
END $$;

-- Runs with the rights of its caller: who has those of csm_owner runs it for
-- all tenants.
CREATE FUNCTION csm.run_due(now timestamptz DEFAULT clock_timestamp(), "limit" integer DEFAULT 10000)
RETURNS TABLE (kind text, done bigint, failed bigint, busy bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF pg_has_role(current_user, 'csm_owner', 'USAGE') THEN
        RETURN QUERY SELECT r.* FROM csm_private.run_timers(run_due.now, run_due."limit", NULL) r;
    ELSE
        RETURN QUERY SELECT r.* FROM csm.run_due_in(csm.current_tenant_id(), run_due.now, run_due."limit") r;
    END IF;
END $$;

-- pg_cron runs the job as whoever calls this. The texts are constants: nothing
-- of cron exists where the extension is not installed.
CREATE FUNCTION csm.schedule(schedule text DEFAULT '* * * * *', "limit" integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    call text;
    job bigint;
BEGIN
    IF NOT pg_has_role(current_user, 'csm_owner', 'USAGE') THEN
        RAISE EXCEPTION 'permission denied to schedule csm.run_due()' USING ERRCODE = '42501',
            HINT = 'Only a superuser or a member of csm_owner may call csm.schedule().';
    ELSIF schedule."limit" IS NULL OR schedule."limit" < 1 THEN
        RAISE EXCEPTION 'limit must not be null nor less than 1' USING ERRCODE = '22023',
            HINT = 'Leave it out for 10,000 timers a run.';
    ELSIF NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
        RAISE EXCEPTION 'extension "pg_cron" is not installed in database "%"', current_database() USING ERRCODE = '55000',
            DETAIL = 'Without it another scheduler has to run csm.run_due().',
            HINT = format('CREATE EXTENSION pg_cron; where it lives in another database, run there: '
                          'SELECT cron.schedule_in_database(''csm'', ''* * * * *'', ''SELECT csm.run_due()'', %L);', current_database());
    END IF;
    call := 'SELECT cron.schedule($1, $2, $3)';
    EXECUTE call INTO job
        USING 'csm', schedule.schedule, format('SELECT csm.run_due("limit" => %s)', schedule."limit");
    RETURN job;
END $$;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.run_timer(csm.timers, timestamptz)',
        'csm_private.run_group(csm.timers[], timestamptz)',
        'csm_private.claim_timers(timestamptz, csm.timers, integer, bigint)',
        'csm_private.run_timers(timestamptz, integer, bigint)',
        'csm.run_due_in(bigint, timestamptz, integer)',
        'csm.run_due(timestamptz, integer)',
        'csm.schedule(text, integer)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.run_due_in(bigint, timestamptz, integer), csm.run_due(timestamptz, integer) TO csm_admin;
COMMENT ON FUNCTION csm_private.run_timer(csm.timers, timestamptz) IS
'Runs the handler of a timer whose case is locked; error 0A000 for a kind without a handler';
COMMENT ON FUNCTION csm_private.run_group(csm.timers[], timestamptz) IS
'Removes claimed timers and runs their handlers; done or busy for each, in their order';
COMMENT ON FUNCTION csm_private.claim_timers(timestamptz, csm.timers, integer, bigint) IS
'Timers due by now after the one seen last, in their order, at most limit, locked; those that another session holds are passed over. only_tenant NULL for all tenants; NULL when there is none';
COMMENT ON FUNCTION csm_private.run_timers(timestamptz, integer, bigint) IS
'Body of csm.run_due(); only_tenant NULL for all tenants. Error 22023 for a null or a limit below 1';
COMMENT ON FUNCTION csm.run_due_in(bigint, timestamptz, integer) IS
'csm.run_due() for one tenant: its administrators, never with a now beyond the clock; superuser or member of csm_owner without identity. Errors: 42501 not permitted or ahead of the clock, 22023 null or limit below 1';
COMMENT ON FUNCTION csm.run_due(timestamptz, integer) IS
'Does what is due by now, the longest due first, at most limit timers; counts per kind: done (looked at; whatever was to be done is done), failed (put off, see csm.timers.error) and busy (the case was locked by another session: the next call). Any number of sessions may call it at once. Superuser or member of csm_owner: all tenants, with any now; an administrator: his own, never with a now beyond the clock. Errors: 42501, 22023 null or limit below 1';
COMMENT ON FUNCTION csm.schedule(text, integer) IS
'Lets pg_cron call csm.run_due() in this database, every minute by default (schedule in the form of cron); returns the id of the job, which is named csm: calling it again changes the job, SELECT cron.unschedule(''csm'') ends it. Superuser or member of csm_owner. Errors: 55000 pg_cron is not installed here, 42501, 22023 limit below 1';
