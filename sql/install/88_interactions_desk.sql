-- Interactions at the desk: who takes one, hands it over and closes it, whose it
-- is, and the case that comes of it.

CREATE FUNCTION csm.act_on_interaction(interaction_id bigint, action text, service_organization_id bigint DEFAULT NULL) RETURNS csm.interactions
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
    IF service_organization_id IS NOT NULL AND action <> 'hand_over' THEN
        RAISE EXCEPTION 'a service organisation is given to hand over, and for nothing else' USING ERRCODE = '22023',
            DETAIL = format('The action is %s.', action), HINT = 'Leave it out.';
    ELSIF service_organization_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM csm.service_organizations o WHERE o.id = service_organization_id AND o.tenant_id = i.tenant_id) THEN
        RAISE EXCEPTION 'service organisation % does not exist', service_organization_id USING ERRCODE = '42501',
            HINT = 'Give one of this tenant, or none.';
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
            UPDATE csm.interactions x SET handled_by = 'agent', assigned_to = NULL, taken_at = NULL, handed_over_at = at,
                service_organization_id = coalesce(act_on_interaction.service_organization_id, x.service_organization_id) WHERE x.id = i.id;
        WHEN 'wrap_up' THEN
            UPDATE csm.interactions x SET state = 'wrap_up', wrapped_at = at WHERE x.id = i.id;
        ELSE
            UPDATE csm.interactions x SET state = 'closed', closed_at = at WHERE x.id = i.id;
    END CASE;
    SELECT * INTO i FROM csm.interactions x WHERE x.id = i.id;
    RETURN i;
END $$;
COMMENT ON FUNCTION csm.act_on_interaction(bigint, text, bigint) IS
'Takes an action and returns the interaction: take (new or handed over: the caller has it, it is active), hand_over (active, by the bot or the agent before: it waits for an agent, with service_organization_id also for those of that organisation, who see it from then on), wrap_up (active), close. By staff who work on such cases; the requester may close. Errors: 42501 no such interaction, or not permitted, SM002 not from this state, 22023 unknown action, or an organisation with another one';

CREATE FUNCTION csm.verify_interaction(interaction_id bigint, verification text, how text, requester_id bigint DEFAULT NULL, account_id bigint DEFAULT NULL)
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
        -- an organisation has reach over what was handed to it, not over persons
        found.service_organization_id := NULL;
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

CREATE FUNCTION csm_private.interaction_for_case(interaction_id bigint) RETURNS csm.interactions
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

CREATE FUNCTION csm_private.open_interaction_case(i csm.interactions, subject text, description text, case_type text, priority integer) RETURNS csm.cases
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
                         priority => open_interaction_case.priority, channel => i.channel,
                         -- by whom a case is served say staff
                         fields => CASE WHEN i.service_organization_id IS NOT NULL AND has_column_privilege('csm.cases', 'service_organization_id', 'INSERT')
                                        THEN jsonb_build_object('service_organization_id', i.service_organization_id) ELSE '{}' END);
END $$;
COMMENT ON FUNCTION csm_private.open_interaction_case(csm.interactions, text, text, text, integer) IS
'Body of csm.case_from_interaction(): the case that came of it, as far as the caller sees it, else a new one with his rights';

CREATE FUNCTION csm_private.link_interaction(c csm.cases, interaction_id bigint) RETURNS csm.cases
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

CREATE FUNCTION csm.case_from_interaction(interaction_id bigint, subject text DEFAULT NULL, description text DEFAULT NULL,
    case_type text DEFAULT 'case', priority integer DEFAULT NULL) RETURNS csm.cases
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT csm_private.link_interaction(csm_private.open_interaction_case(
        csm_private.interaction_for_case(interaction_id), subject, description, case_type, priority), interaction_id);
END;
COMMENT ON FUNCTION csm.case_from_interaction(bigint, text, text, text, integer) IS
'Opens a case out of an interaction and returns it, once: called again it returns the same case. subject: that of the interaction by default; requester, account, channel and, where staff open it, service organisation are the interaction''s. The transcript stays where it is, csm.interactions.case_id leads to it. By staff who work on such cases, and the requester. Errors: 42501 no such interaction, or not permitted, 55000 nobody is known as requester, or a case that the caller does not see; those of csm.open_case()';

-- Nobody says anything any more ----------------------------------------------

CREATE FUNCTION csm_private.begin_idle() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() AND NEW.state <> 'closed' AND NEW.channel <> 'email' THEN
        PERFORM csm_private.set_timer(NEW.tenant_id, 'interaction_idle', NEW.id, NULL, NEW.opened_at + interval '1 hour');
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.begin_idle() IS
'Trigger of csm.interactions: the timer of kind interaction_idle. An e-mail waits for its answer';
CREATE TRIGGER interactions_30_idle AFTER INSERT ON csm.interactions
    FOR EACH ROW EXECUTE FUNCTION csm_private.begin_idle();

-- The timer looks again when the interaction can first have been idle for so
-- long, or, while the setting says never, a day later.
CREATE FUNCTION csm_private.due_interaction_idle(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    hours CONSTANT integer := (SELECT csm_private.interaction_setting(t.settings, 'idle_hours') FROM csm.tenants t WHERE t.id = tenant_id);
    i csm.interactions;
    idle_from timestamptz;
BEGIN
    SELECT * INTO i FROM csm.interactions x WHERE x.id = object_id AND x.tenant_id = tenant_id FOR NO KEY UPDATE SKIP LOCKED;
    IF i.state = 'closed' THEN
        RETURN;
    ELSIF i.id IS NULL THEN
        -- somebody has it in hand, for whom time does not wait
        PERFORM csm_private.set_timer(tenant_id, 'interaction_idle', object_id, NULL, at + interval '1 hour');
        RETURN;
    END IF;
    idle_from := greatest(i.opened_at, i.taken_at, i.handed_over_at, i.wrapped_at,
                          (SELECT e.created_at FROM csm.interaction_entries e WHERE e.interaction_id = i.id ORDER BY e.id DESC LIMIT 1));
    IF hours = 0 OR idle_from + make_interval(hours => hours) > at THEN
        PERFORM csm_private.set_timer(tenant_id, 'interaction_idle', i.id, NULL,
                                      CASE hours WHEN 0 THEN at + interval '1 day' ELSE idle_from + make_interval(hours => hours) END);
        RETURN;
    END IF;
    PERFORM csm_private.write_interaction(i, 'system', NULL, format('Closed after %s hours without a word.', hours));
    UPDATE csm.interactions x SET state = 'closed', closed_at = at WHERE x.id = i.id AND x.tenant_id = tenant_id;
END $$;
COMMENT ON FUNCTION csm_private.due_interaction_idle(bigint, bigint, timestamptz) IS
'Handler of timers of kind interaction_idle: closes an interaction in which nothing was said or done for as long as the setting interactions.idle_hours says, with an entry of the system';

CREATE VIEW csm_report.interactions WITH (security_invoker = true) AS
SELECT i.id, i.branch, i.account_id, i.channel, i.state, i.handled_by, i.assigned_to, i.verification, i.verified_how, i.case_id,
       i.case_id IS NOT NULL AS became_case, i.opened_at, i.closed_at,
       extract(epoch FROM i.answered_at - i.opened_at)::bigint AS first_answer_seconds,
       extract(epoch FROM i.waited)::bigint AS waited_seconds,
       extract(epoch FROM i.lasted)::bigint AS lasted_seconds,
       i.service_organization_id
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
COMMENT ON COLUMN csm_report.interactions.service_organization_id IS 'Service organisation to which it was handed over';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.begin_idle()',
        'csm_private.due_interaction_idle(bigint, bigint, timestamptz)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
    FOREACH f IN ARRAY ARRAY[
        'csm.act_on_interaction(bigint, text, bigint)',
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
        'csm.verify_interaction(bigint, text, text, bigint, bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_agent', f);
    END LOOP;
END $$;
