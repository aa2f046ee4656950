-- The triggers of cases and entries.  The machine is enforced in C for whoever
-- writes: src/csm_case_trigger.c, src/csm_entry_trigger.c, src/csm_lifecycle.c.
-- All are ordinary triggers: rows that a subscription applies were judged
-- where they were written.

CREATE OR REPLACE FUNCTION csm_private.case_guard() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_case_guard' LANGUAGE c;
COMMENT ON FUNCTION csm_private.case_guard() IS
'Trigger of csm.cases: fills in a new case, judges every change by the machine of the case type (42501, SM002, SM003, SM004), refuses DELETE and TRUNCATE';

CREATE OR REPLACE FUNCTION csm_private.entry_guard() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_entry_guard' LANGUAGE c;
COMMENT ON FUNCTION csm_private.entry_guard() IS
'Trigger of csm.case_entries: author, name, side, branch and time of a new entry; SM004 on a closed case';

CREATE OR REPLACE FUNCTION csm_private.append_only() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_append_only' LANGUAGE c;
COMMENT ON FUNCTION csm_private.append_only() IS
'BEFORE trigger that refuses UPDATE, DELETE and TRUNCATE for everybody (42501). Arguments: columns that an announced erasure may change';

CREATE OR REPLACE FUNCTION csm_private.case_actors(c csm.cases) RETURNS text[]
AS 'MODULE_PATHNAME', 'csm_case_actors_sql' LANGUAGE c STABLE STRICT;
COMMENT ON FUNCTION csm_private.case_actors(csm.cases) IS
'Relations of the current person to the case, as case_transitions.actors names them; empty for none';

CREATE OR REPLACE FUNCTION csm_private.acts_as_system() RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_acts_as_system_sql' LANGUAGE c STABLE;
COMMENT ON FUNCTION csm_private.acts_as_system() IS
'True for a write without identity by a role that row security does not bind';

CREATE OR REPLACE FUNCTION csm_private.importing() RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_importing_sql' LANGUAGE c STABLE;
COMMENT ON FUNCTION csm_private.importing() IS
'True while a superuser loads history with csm.importing = on';

CREATE OR REPLACE FUNCTION csm_private.machine_type(tenant_id bigint, case_type text) RETURNS text
AS 'MODULE_PATHNAME', 'csm_machine_type' LANGUAGE c STABLE STRICT;
COMMENT ON FUNCTION csm_private.machine_type(bigint, text) IS
'The farthest type on the chain of parents whose states and transitions count for a case type, itself where it has a machine of its own; NULL for an unknown type';

CREATE OR REPLACE FUNCTION csm_private.actions_for(tenant_id bigint, case_type text, state text, actor text) RETURNS text[]
AS 'MODULE_PATHNAME', 'csm_actions_for' LANGUAGE c STABLE;
COMMENT ON FUNCTION csm_private.actions_for(bigint, text, text, text) IS
'Actions that a relation (system, customer, ...) may take from a state of the type''s machine; empty for what is unknown or null';

CREATE OR REPLACE FUNCTION csm_private.dispute_permits(c csm.cases, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_dispute_permits' LANGUAGE c STABLE STRICT;
COMMENT ON FUNCTION csm_private.dispute_permits(csm.cases, text) IS
'Whether the caller may take the action on a dispute: the machine, and that a second person confirms a ruling and a manager names the contact';

-- What csm's functions announce to the triggers.  An announcement is memory of
-- the backend, meets one write and ends with the transaction at the latest.
CREATE OR REPLACE FUNCTION csm_private.begin_open(draft boolean, idempotency_key text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_begin_open' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_open(boolean, text) IS
'Announces a new case: as draft or not, with a key or NULL; error 22023 for an empty key or one longer than 200 characters';

CREATE OR REPLACE FUNCTION csm_private.end_open(c csm.cases) RETURNS csm.cases
AS 'MODULE_PATHNAME', 'csm_end_open' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.end_open(csm.cases) IS
'Ends the announcement of a new case that was not met; returns its argument';

CREATE OR REPLACE FUNCTION csm_private.begin_act(c csm.cases, action text, note text, fields jsonb, as_system boolean) RETURNS text
AS 'MODULE_PATHNAME', 'csm_begin_act' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_act(csm.cases, text, text, jsonb, boolean) IS
'Judges an action of the caller or, with as_system, of the system (42501, 22023, SM004, SM002) and announces it, with the proposal in fields (reference, amount, currency); returns the note to write, NULL for none';

CREATE OR REPLACE FUNCTION csm_private.begin_system(case_id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_system' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_system(bigint) IS
'Announces that the next change of the case is csm''s own: judged as the system''s, and it may write escalated, follow_the_sun and major_state';

CREATE OR REPLACE FUNCTION csm_private.begin_systems(case_ids bigint[]) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_systems' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_systems(bigint[]) IS
'csm_private.begin_system() for each of these cases, at most 256';

CREATE OR REPLACE FUNCTION csm_private.begin_acts(case_ids bigint[], action text) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_acts' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_acts(bigint[], text) IS
'Announces that the next change of each of these cases is an action of the system''s with a note; at most 256 cases';

CREATE OR REPLACE FUNCTION csm_private.begin_notes(case_ids bigint[]) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_notes' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_notes(bigint[]) IS
'Announces an entry of the system''s on each of these cases, without effects of its own; at most 256 cases';

CREATE OR REPLACE FUNCTION csm_private.end_many() RETURNS void
AS 'MODULE_PATHNAME', 'csm_end_many' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.end_many() IS
'Takes back what was announced for many cases and has not been met';

CREATE OR REPLACE FUNCTION csm_private.begin_note(case_id bigint, as_system boolean) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_note' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_note(bigint, boolean) IS
'Announces the note of an act: an entry that has no effects of its own; with as_system it has no author';

CREATE OR REPLACE FUNCTION csm_private.begin_entry(case_id bigint, visibility text, side text, author_id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_entry' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_entry(bigint, text, text, bigint) IS
'Announces what a new entry means for its case; author_id is NULL for the system';

CREATE OR REPLACE FUNCTION csm_private.entry_is_note(entry_id bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_entry_is_note' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.entry_is_note(bigint) IS
'Whether the entry is the note of the act just taken';

CREATE OR REPLACE FUNCTION csm_private.entry_effects() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_entry_effects' LANGUAGE c;
COMMENT ON FUNCTION csm_private.entry_effects() IS
'Trigger of csm.case_entries: a customer''s shared comment resumes a waiting case, needs_attention, first_response_at, updated_at';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.case_guard()',
        'csm_private.entry_guard()',
        'csm_private.append_only()',
        'csm_private.case_actors(csm.cases)',
        'csm_private.acts_as_system()',
        'csm_private.importing()',
        'csm_private.machine_type(bigint, text)',
        'csm_private.actions_for(bigint, text, text, text)',
        'csm_private.dispute_permits(csm.cases, text)',
        'csm_private.begin_open(boolean, text)',
        'csm_private.end_open(csm.cases)',
        'csm_private.begin_act(csm.cases, text, text, jsonb, boolean)',
        'csm_private.begin_system(bigint)',
        'csm_private.begin_systems(bigint[])',
        'csm_private.begin_note(bigint, boolean)',
        'csm_private.begin_acts(bigint[], text)',
        'csm_private.begin_notes(bigint[])',
        'csm_private.end_many()',
        'csm_private.begin_entry(bigint, text, text, bigint)',
        'csm_private.entry_is_note(bigint)',
        'csm_private.entry_effects()']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;

CREATE OR REPLACE TRIGGER cases_10_guard BEFORE INSERT OR UPDATE OR DELETE ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.case_guard();
CREATE OR REPLACE TRIGGER cases_10_guard_truncate BEFORE TRUNCATE ON csm.cases
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.case_guard();

CREATE OR REPLACE TRIGGER case_entries_10_guard BEFORE INSERT ON csm.case_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.entry_guard();
CREATE OR REPLACE TRIGGER case_entries_10_append_only BEFORE UPDATE OR DELETE ON csm.case_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('author_name', 'body');
CREATE OR REPLACE TRIGGER case_entries_10_append_only_truncate BEFORE TRUNCATE ON csm.case_entries
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();
CREATE OR REPLACE TRIGGER case_entries_20_effects AFTER INSERT ON csm.case_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.entry_effects();
