-- Case types and their state machines: data, enforced by csm_private.case_guard
-- (src/csm_lifecycle.c) for whoever writes.

CREATE TABLE csm.case_types (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_type text NOT NULL,
    parent_type text,
    label text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    shipped boolean NOT NULL DEFAULT false,
    settings jsonb NOT NULL DEFAULT '{}',
    own_machine boolean NOT NULL DEFAULT false,
    CONSTRAINT case_types_pkey PRIMARY KEY (case_type, tenant_id),
    CONSTRAINT case_types_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT case_types_parent_fkey FOREIGN KEY (parent_type, tenant_id) REFERENCES csm.case_types (case_type, tenant_id),
    CONSTRAINT case_types_key_check CHECK (case_type ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT case_types_self_check CHECK (parent_type <> case_type),
    CONSTRAINT case_types_settings_check CHECK (jsonb_typeof(settings) = 'object')
);
SELECT csm_private.adopt_table('csm.case_types');
SELECT csm_private.signal_on('csm.case_types', '{tenant_id,case_type,parent_type,active,settings,own_machine}', 'machine', 'tenant_id');

CREATE TABLE csm.case_states (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_type text NOT NULL,
    state text NOT NULL,
    value integer NOT NULL,
    state_class text NOT NULL,
    label text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT case_states_pkey PRIMARY KEY (case_type, state, tenant_id),
    CONSTRAINT case_states_type_fkey FOREIGN KEY (case_type, tenant_id)
        REFERENCES csm.case_types (case_type, tenant_id) ON DELETE CASCADE,
    CONSTRAINT case_states_value_key UNIQUE (tenant_id, case_type, value),
    CONSTRAINT case_states_key_check CHECK (state ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT case_states_class_check CHECK (state_class IN
        ('draft', 'new', 'open', 'waiting', 'resolved', 'closed', 'cancelled'))
);
SELECT csm_private.adopt_table('csm.case_states');
SELECT csm_private.signal_on('csm.case_states', '{tenant_id,case_type,state,value,state_class,active}', 'machine', 'tenant_id');

-- An action may lead between inherited states, so the states that it names
-- stand under from_type and to_type: the type itself or an ancestor.
CREATE TABLE csm.case_transitions (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_type text NOT NULL,
    from_state text NOT NULL,
    action text NOT NULL,
    to_state text NOT NULL,
    actors text[] NOT NULL,
    required_fields text[] NOT NULL DEFAULT '{}',
    note_required boolean NOT NULL DEFAULT false,
    effects jsonb NOT NULL DEFAULT '{}',
    label text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    from_type text NOT NULL,
    to_type text NOT NULL,
    CONSTRAINT case_transitions_pkey PRIMARY KEY (case_type, from_state, action, tenant_id),
    CONSTRAINT case_transitions_type_fkey FOREIGN KEY (case_type, tenant_id)
        REFERENCES csm.case_types (case_type, tenant_id) ON DELETE CASCADE,
    CONSTRAINT case_transitions_from_fkey FOREIGN KEY (from_type, from_state, tenant_id)
        REFERENCES csm.case_states (case_type, state, tenant_id) ON DELETE CASCADE,
    CONSTRAINT case_transitions_to_fkey FOREIGN KEY (to_type, to_state, tenant_id)
        REFERENCES csm.case_states (case_type, state, tenant_id) ON DELETE CASCADE,
    CONSTRAINT case_transitions_action_check CHECK (action ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT case_transitions_actors_check CHECK (cardinality(actors) > 0 AND actors <@
        '{requester,customer,claimant,respondent,partner,agent,assignee,manager,system,approver}'::text[]),
    CONSTRAINT case_transitions_required_check CHECK (required_fields <@
        '{subject,description,priority,resolution_code,resolution_notes,assigned_to,assigned_group_id,product_id,account_id,asset_id,counterparty_contact_id,reference,amount,currency}'::text[]),
    CONSTRAINT case_transitions_effects_check CHECK (jsonb_typeof(effects) = 'object')
);
SELECT csm_private.adopt_table('csm.case_transitions');
SELECT csm_private.signal_on('csm.case_transitions',
    '{tenant_id,case_type,from_state,action,to_state,actors,required_fields,note_required,effects,label,active}', 'machine', 'tenant_id');

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{case_types,case_states,case_transitions}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin '
                       'USING (tenant_id = csm.current_tenant_id())', t);
        EXECUTE format('CREATE POLICY %1$s_write ON csm.%1$s FOR ALL TO csm_admin '
                       'USING (csm.all_in(tenant_id, ''internal'', ''configure''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS ''Everyone signed in reads the machines of his tenant''', t);
        EXECUTE format('COMMENT ON POLICY %1$s_write ON csm.%1$s IS ''Administrators keep them''', t);
        EXECUTE format('GRANT SELECT ON csm.%1$s TO csm_portal, csm_agent, csm_reporter, csm_admin', t);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON csm.%1$s TO csm_admin', t);
    END LOOP;
END $$;

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
