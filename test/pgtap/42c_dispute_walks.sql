-- Random lives of disputes: whoever tries whatever, at any moment, the clock included. Each step is judged by the rows of
-- csm.case_transitions in plain SQL, and at the end proposals, clocks and events must tell the same story as the log.
\set ON_ERROR_STOP on
\ir ../lib/disputes.sql
SELECT * FROM no_plan();

CREATE TABLE d.relation (who text, relations text[]);
INSERT INTO d.relation VALUES
    ('north contact', '{requester,customer,claimant}'), ('north manager', '{customer,claimant}'), ('globex manager', '{respondent}'),
    ('b2b agent', '{agent}'), ('desk manager', '{agent,manager}'), ('second manager', '{agent,manager}'), ('viewer', '{}'), ('system', '{system}');
CREATE TABLE d.log (n bigint GENERATED ALWAYS AS IDENTITY, dispute bigint, who text, action text, was text, expected text, got text, became text);

CREATE FUNCTION d.walk(steps integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    c CONSTANT bigint := d.open('north contact', draft => random() < 0.3);
    p d.relation;
    verb text;
    was text;
    want text;
    got text;
    ruler text;
BEGIN
    FOR i IN 1 .. steps LOOP
        was := d.now(c, 'state');
        SELECT * INTO p FROM d.relation ORDER BY random() LIMIT 1;
        IF random() < 0.15 THEN
            -- What is due is due: either nothing comes of it, or what the system may do.
            UPDATE csm.timers SET due_at = clock_timestamp() - interval '1 second' WHERE case_id = c AND kind LIKE 'dispute\_%';
            PERFORM csm.run_due();
            INSERT INTO d.log (dispute, who, action, was, expected, got, became)
            VALUES (c, 'time', 'due', was, 'due', 'due', d.now(c, 'state'));
            CONTINUE;
        ELSIF random() < 0.15 AND p.who NOT IN ('viewer', 'system') THEN
            PERFORM d.run(p.who, format('SELECT csm.comment(%s, ''word'')', c), true);
            INSERT INTO d.log (dispute, who, action, was, became) VALUES (c, p.who, 'comment', was, d.now(c, 'state'));
            CONTINUE;
        END IF;
        -- Withdrawing ends it all, so it comes seldom.
        SELECT a INTO verb FROM unnest('{submit,acknowledge,request_info,resume,propose,propose,propose,accept,reject,reject,withdraw_proposal,escalate,send_back,rule,confirm,cancel,assign_contact}'::text[]) a
        ORDER BY random() LIMIT 1;
        IF random() < 0.02 THEN
            verb := 'withdraw';
        END IF;
        SELECT CASE WHEN p.relations = '{respondent}' AND d.now(c, 'submitted_at') = '' THEN 'SM001'
                    WHEN NOT EXISTS (SELECT FROM csm.case_transitions t WHERE t.case_type = 'dispute' AND t.tenant_id = small.tenant() AND t.action = verb AND t.actors && p.relations) THEN '42501'
                    WHEN s.state_class IN ('closed', 'cancelled') THEN 'SM004'
                    ELSE coalesce((SELECT CASE WHEN t.actors && p.relations THEN t.to_state ELSE '42501' END FROM csm.case_transitions t
                                   WHERE t.case_type = 'dispute' AND t.tenant_id = small.tenant() AND t.action = verb AND t.from_state = was), 'SM002') END
        INTO want
        FROM csm.case_states s WHERE s.case_type = 'dispute' AND s.tenant_id = small.tenant() AND s.state = was;
        SELECT proposed_name INTO ruler FROM csm.dispute_proposals WHERE case_id = c AND outcome IS NULL AND side = 'operator';
        IF verb = 'confirm' AND want = 'ruled_final' AND ruler = p.who THEN
            want := '42501';
        ELSIF verb = 'reject' AND want = 'in_discussion'
              AND (SELECT count(*) FROM d.log l WHERE l.dispute = c AND l.action = 'reject' AND l.got IN ('in_discussion', 'escalated')) >= 2 THEN
            want := 'escalated';
        END IF;
        got := d.act(p.who, c, verb);
        INSERT INTO d.log (dispute, who, action, was, expected, got, became) VALUES (c, p.who, verb, was, want, got, d.now(c, 'state'));
    END LOOP;
    RETURN c;
END $$;
SELECT setseed(0.4242);
CREATE TEMP TABLE walked AS SELECT d.walk(40) AS id FROM generate_series(1, 40);

SELECT is_empty('SELECT n, dispute, who, action, was, expected, got FROM d.log WHERE got IS DISTINCT FROM expected', 'T15 every step went as the rows of the machine say');
SELECT is_empty($$SELECT * FROM d.log WHERE got ~ '^(SM|[0-9])' AND became <> was$$, 'T15 a refused act changes nothing');
SELECT is_empty($$SELECT * FROM d.log WHERE action NOT IN ('due', 'comment') AND got !~ '^(SM|[0-9])' AND became <> got$$, 'T15 what csm.act returns is what stands');
SELECT is_empty($$SELECT * FROM d.log WHERE action = 'due' AND (was, became) NOT IN (SELECT s, s FROM csm.case_states x(t, c, s))
                    AND (was, became) NOT IN (VALUES ('submitted', 'escalated'), ('in_discussion', 'escalated'), ('proposed', 'settled'), ('ruled', 'ruled_final'))$$, 'T15 time does what the system may');
SELECT is_empty($$SELECT * FROM d.log WHERE action = 'comment' AND became <> CASE
                    WHEN was = 'submitted' AND who = 'globex manager' THEN 'in_discussion'
                    WHEN was = 'awaiting_claimant' AND who LIKE 'north%' THEN 'in_discussion' ELSE was END$$, 'T15 words acknowledge and answer, and do nothing else');
SELECT is_empty($$SELECT s FROM unnest('{submitted,in_discussion,awaiting_claimant,proposed,escalated,ruled,settled,withdrawn,ruled_final,cancelled}'::text[]) s
                  WHERE s NOT IN (SELECT became FROM d.log)$$, 'T15 the walks came to every stage');
SELECT cmp_ok((SELECT count(*) FROM d.log WHERE got ~ '^(SM|[0-9])'), '>', 300::bigint, 'T15 and met many a refusal');

-- Proposals against the log.
SELECT is_empty($$SELECT w.id, c.state FROM walked w JOIN csm.cases c ON c.id = w.id
                  WHERE (SELECT count(*) FROM csm.dispute_proposals p WHERE p.case_id = w.id AND p.outcome IS NULL) <> (c.state IN ('proposed', 'ruled'))::int$$,
                'T15 one proposal is pending where one stands, else none');
SELECT is_empty($$SELECT w.id FROM walked w WHERE (SELECT coalesce(array_agg(round ORDER BY id), '{}') FROM csm.dispute_proposals p WHERE p.case_id = w.id)
                  <> ARRAY(SELECT generate_series(1, (SELECT count(*)::int FROM csm.dispute_proposals p WHERE p.case_id = w.id)))$$, 'R5.4.7 rounds count from 1');
SELECT results_eq($$SELECT w.id, count(p.id) FILTER (WHERE p.side = 'counterparty'), count(p.id) FILTER (WHERE p.side = 'operator'), count(p.id) FILTER (WHERE p.outcome = 'rejected'),
                           count(p.id) FILTER (WHERE p.outcome = 'withdrawn'), count(p.id) FILTER (WHERE p.outcome = 'accepted'), count(p.id) FILTER (WHERE p.outcome = 'confirmed')
                    FROM walked w LEFT JOIN csm.dispute_proposals p ON p.case_id = w.id GROUP BY w.id ORDER BY w.id$$,
                  $$SELECT w.id, count(l.n) FILTER (WHERE l.action = 'propose' AND l.got = 'proposed'), count(l.n) FILTER (WHERE l.action = 'rule' AND l.got = 'ruled'),
                           count(l.n) FILTER (WHERE l.action = 'reject' AND l.got IN ('in_discussion', 'escalated')), count(l.n) FILTER (WHERE l.action = 'withdraw_proposal' AND l.got = 'in_discussion'),
                           count(l.n) FILTER (WHERE l.was <> 'settled' AND l.became = 'settled'), count(l.n) FILTER (WHERE l.was <> 'ruled_final' AND l.became = 'ruled_final')
                    FROM walked w LEFT JOIN d.log l ON l.dispute = w.id GROUP BY w.id ORDER BY w.id$$, 'T15 proposals tell what the log tells');
SELECT is_empty($$SELECT p.* FROM csm.dispute_proposals p JOIN walked w ON w.id = p.case_id
                  WHERE CASE p.outcome WHEN 'accepted' THEN p.decided_name !~ '^(north|system)' WHEN 'rejected' THEN p.decided_name !~ '^north'
                                       WHEN 'withdrawn' THEN p.decided_name <> 'globex manager' WHEN 'confirmed' THEN p.decided_name = p.proposed_name ELSE false END$$,
                'T15 each decided by the side whose right it is');
SELECT is((SELECT string_agg(concat_ws(' ', e.kind, e.n), ',' ORDER BY e.kind) FROM (SELECT kind, count(*) AS n FROM csm.events WHERE case_id IN (SELECT id FROM walked) AND kind LIKE 'proposal%' GROUP BY kind) e),
          (SELECT format('proposal_decided %s,proposal_made %s', count(outcome), count(*)) FROM csm.dispute_proposals WHERE case_id IN (SELECT id FROM walked)), 'R5.4.7 an event for each, made and decided');
-- Clocks.
SELECT is_empty($$SELECT w.id, c.state, x.kinds FROM walked w JOIN csm.cases c ON c.id = w.id,
                      LATERAL (SELECT coalesce(string_agg(t.kind, ',' ORDER BY t.kind), 'none') AS kinds FROM csm.timers t WHERE t.case_id = w.id AND t.kind LIKE 'dispute\_%') x
                  WHERE x.kinds <> CASE WHEN c.state IN ('submitted', 'in_discussion') THEN 'dispute_response' WHEN c.state = 'proposed' THEN 'dispute_auto_accept'
                                        WHEN c.state = 'ruled' THEN 'dispute_appeal' ELSE 'none' END$$, 'R5.4.6 the one clock of the stage runs');
SELECT is_empty($$SELECT c.id FROM csm.cases c JOIN walked w ON w.id = c.id
                  WHERE (c.closed_at IS NOT NULL) <> (c.state_class IN ('closed', 'cancelled')) OR (c.submitted_at IS NULL AND c.state NOT IN ('draft', 'cancelled', 'withdrawn'))
                     OR c.reopen_count <> (SELECT count(*) FROM d.log l WHERE l.dispute = c.id AND l.who LIKE 'north%' AND l.was = 'proposed' AND l.got IN ('in_discussion', 'escalated'))$$,
                'T15 times and counters of the case');
SELECT is((SELECT bool_and(v.intact) FROM csm.verify_history() v), true, 'T15 the history of all of it is whole');

SELECT * FROM finish();
