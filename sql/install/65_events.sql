-- What happened, for the programs that follow it: to cases above all, and to
-- articles, questions and publications (88_subject_events.sql).
--
-- One row a business event, written in the transaction of the event, under the
-- row lock of its subject.  So within a case the order of ids is the order of
-- commits; across cases it is not: a transaction may take its id early and
-- commit late.  A reader that remembered the highest id would skip that one.
-- Therefore rows are written without a position, and csm.next_events() gives
-- positions to rows that are committed (84_event_readers.sql).

CREATE TABLE csm.events (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint,
    kind text NOT NULL,
    actor_id bigint,
    audience text NOT NULL DEFAULT 'shared',
    side text,
    payload jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    position bigint,
    on_behalf_of bigint,
    article_id bigint,
    question_id bigint,
    answer_id bigint,
    publication_id bigint,
    CONSTRAINT events_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT events_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT events_subject_check CHECK (num_nonnulls(case_id, article_id, question_id, publication_id) = 1
        AND (answer_id IS NULL OR question_id IS NOT NULL)),
    CONSTRAINT events_kind_check CHECK (kind ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT events_audience_check CHECK (audience IN ('shared', 'internal', 'private')),
    CONSTRAINT events_side_check CHECK ((audience = 'private') = (side IS NOT NULL)
        AND side IN ('customer', 'counterparty', 'operator')),
    CONSTRAINT events_payload_check CHECK (jsonb_typeof(payload) = 'object')
);
-- What waits for a position, and what has one: no row stands in both.
CREATE INDEX events_waiting_idx ON csm.events (tenant_id, id) WHERE position IS NULL;
CREATE UNIQUE INDEX events_position_idx ON csm.events (tenant_id, position) WHERE position IS NOT NULL;
SELECT csm_private.adopt_table('csm.events');

COMMENT ON TABLE csm.events IS 'What happened, once each; read through csm.next_events(). Written by triggers, deleted by csm.prune_events()';
COMMENT ON COLUMN csm.events.id IS 'Identity, unique in the database; in the order of commits within a case, article, thread or publication, not across them';
COMMENT ON COLUMN csm.events.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.events.case_id IS 'The case; exactly one of case, article, question and publication is set';
COMMENT ON COLUMN csm.events.article_id IS 'The article (csm.articles.id, no foreign key)';
COMMENT ON COLUMN csm.events.question_id IS 'The question (csm.questions.id, no foreign key)';
COMMENT ON COLUMN csm.events.answer_id IS 'The answer to the question that it is about (csm.answers.id, no foreign key); NULL where it is about the question';
COMMENT ON COLUMN csm.events.publication_id IS 'The publication (csm.publications.id, no foreign key)';
COMMENT ON COLUMN csm.events.kind IS 'What happened: opened, state_changed, resolved, reopened, closed, assigned, priority_changed, commented, and what further modules add';
COMMENT ON COLUMN csm.events.actor_id IS 'Person who did it (csm.users.id, no foreign key); NULL for the system';
COMMENT ON COLUMN csm.events.on_behalf_of IS 'For whom he acted by csm.on_behalf_of() (csm.users.id, no foreign key); NULL for himself';
COMMENT ON COLUMN csm.events.audience IS 'shared: who sees the case; internal: staff who work on it; private: one side and staff who work on it';
COMMENT ON COLUMN csm.events.side IS 'Side of a private event: customer, counterparty or operator; NULL for the others';
COMMENT ON COLUMN csm.events.payload IS 'Keys and values of the change, a JSON object without free text; README lists them by kind';
COMMENT ON COLUMN csm.events.created_at IS 'When it happened';
COMMENT ON COLUMN csm.events.position IS 'Place in the order of delivery within the tenant; NULL until csm.next_events() has met the committed row';

CREATE FUNCTION csm_private.emit(tenant_id bigint, case_id bigint, kind text, payload jsonb DEFAULT '{}',
    audience text DEFAULT 'shared', side text DEFAULT NULL, actor_id bigint DEFAULT csm.current_user_id()) RETURNS void
AS 'MODULE_PATHNAME', 'csm_emit' LANGUAGE c VOLATILE PARALLEL UNSAFE;
ALTER FUNCTION csm_private.emit(bigint, bigint, text, jsonb, text, text, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.emit(bigint, bigint, text, jsonb, text, text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.emit(bigint, bigint, text, jsonb, text, text, bigint) IS
'Writes an event, after locking its case; nothing while restoring or importing. actor_id: NULL where time acts, whoever runs the clock. Error 22004 when tenant, case or kind is null';

CREATE FUNCTION csm_private.case_events() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_case_events' LANGUAGE c;
ALTER FUNCTION csm_private.case_events() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.case_events() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.case_events() IS
'AFTER trigger of csm.cases: opened, then for a change of state one of resolved, reopened, closed, state_changed; assigned; priority_changed';

CREATE FUNCTION csm_private.entry_events() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_entry_events' LANGUAGE c;
ALTER FUNCTION csm_private.entry_events() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.entry_events() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.entry_events() IS
'AFTER trigger of csm.case_entries: commented, for whom the entry is';

CREATE TRIGGER cases_40_events AFTER INSERT OR UPDATE ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.case_events();
-- After case_entries_20_effects, which locks the case.
CREATE TRIGGER case_entries_40_events AFTER INSERT ON csm.case_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.entry_events();
