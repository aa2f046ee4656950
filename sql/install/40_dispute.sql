-- The machine of disputes that csm ships: a claimant, a respondent, and the
-- operator between them.  The shipped types (40_shipped.sql) take it in.

CREATE OR REPLACE FUNCTION csm_private.shipped_dispute_states()
RETURNS TABLE (state text, value integer, state_class text, label text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 11
BEGIN ATOMIC
    VALUES
        ('draft', 0, 'draft', 'Draft'),
        ('submitted', 1, 'new', 'Submitted'),
        ('in_discussion', 10, 'open', 'In discussion'),
        ('awaiting_claimant', 18, 'waiting', 'Awaiting claimant'),
        ('proposed', 6, 'resolved', 'Proposed'),
        ('escalated', 20, 'open', 'Escalated'),
        ('ruled', 16, 'resolved', 'Ruled'),
        ('settled', 3, 'closed', 'Settled'),
        ('withdrawn', 4, 'closed', 'Withdrawn'),
        ('ruled_final', 5, 'closed', 'Ruled, final'),
        ('cancelled', 7, 'cancelled', 'Cancelled');
END;

-- What the system may take, time takes: escalate when the respondent is silent
-- or after too many rounds, accept when nobody answers a proposal, confirm when
-- the appeal window ends.
CREATE OR REPLACE FUNCTION csm_private.shipped_dispute_transitions()
RETURNS TABLE (from_state text, action text, to_state text, actors text[],
               required_fields text[], note_required boolean, effects jsonb, label text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 40
BEGIN ATOMIC
    SELECT f.from_state, t.action, coalesce(t.to_state, f.from_state), t.actors,
           t.required_fields, t.note_required, t.effects, t.label
    FROM (VALUES
        ('{draft}'::text[], 'submit', 'submitted', '{claimant}'::text[], '{}'::text[], false, '{}'::jsonb, 'Submit'),
        ('{draft}', 'cancel', 'cancelled', '{claimant}', '{}', true, '{}', 'Cancel'),
        ('{submitted}', 'cancel', 'cancelled', '{agent}', '{}', true, '{}', 'Cancel'),
        ('{submitted}', 'acknowledge', 'in_discussion', '{respondent}', '{}', false, '{}', 'Acknowledge'),
        ('{in_discussion}', 'request_info', 'awaiting_claimant', '{respondent,agent}', '{}', true, '{}', 'Request info'),
        -- any comment of the claimant does it
        ('{awaiting_claimant}', 'resume', 'in_discussion', '{claimant}', '{}', false, '{}', 'Answer'),
        ('{submitted,in_discussion,awaiting_claimant}', 'propose', 'proposed', '{respondent}',
            '{reference,resolution_code,resolution_notes}', false, '{"proposal": "made"}', 'Propose resolution'),
        ('{proposed}', 'accept', 'settled', '{claimant,system}', '{}', false, '{"proposal": "accepted"}', 'Accept'),
        ('{proposed}', 'reject', 'in_discussion', '{claimant}', '{}', true, '{"proposal": "rejected"}', 'Reject'),
        ('{proposed}', 'withdraw_proposal', 'in_discussion', '{respondent}', '{}', false, '{"proposal": "withdrawn"}', 'Withdraw proposal'),
        ('{submitted,in_discussion}', 'escalate', 'escalated', '{claimant,respondent,system}', '{}', true, '{}', 'Escalate to operator'),
        ('{awaiting_claimant}', 'escalate', 'escalated', '{claimant,respondent}', '{}', true, '{}', 'Escalate to operator'),
        ('{proposed}', 'escalate', 'escalated', '{claimant,respondent}', '{}', true, '{"proposal": "lapsed"}', 'Escalate to operator'),
        ('{escalated}', 'send_back', 'in_discussion', '{agent}', '{}', false, '{}', 'Send back to the parties'),
        ('{escalated}', 'rule', 'ruled', '{manager}', '{resolution_code,resolution_notes}', false, '{"proposal": "made"}', 'Rule'),
        ('{ruled}', 'confirm', 'ruled_final', '{agent,system}', '{}', false, '{"proposal": "confirmed"}', 'Confirm ruling'),
        ('{draft,submitted,in_discussion,awaiting_claimant,escalated}', 'withdraw', 'withdrawn', '{claimant}', '{}', false,
            '{"resolution_code": "Withdrawn by claimant", "resolution_notes": "Withdrawn by claimant", "note": "Withdrawn by claimant"}', 'Withdraw claim'),
        ('{proposed,ruled}', 'withdraw', 'withdrawn', '{claimant}', '{}', false,
            '{"resolution_code": "Withdrawn by claimant", "resolution_notes": "Withdrawn by claimant", "note": "Withdrawn by claimant", "proposal": "lapsed"}', 'Withdraw claim'),
        ('{submitted,in_discussion,awaiting_claimant,proposed,escalated}', 'assign_contact', NULL, '{respondent,agent}',
            '{counterparty_contact_id}', false, '{}', 'Name contact')
    ) AS t(from_states, action, to_state, actors, required_fields, note_required, effects, label),
    unnest(t.from_states) AS f(from_state);
END;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.shipped_dispute_states()', 'States of the case type dispute that csm ships'),
        ('csm_private.shipped_dispute_transitions()', 'Transitions of the case type dispute that csm ships')
    ) AS v(name, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
    END LOOP;
END $$;
