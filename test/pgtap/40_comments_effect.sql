-- What a comment does to its case is written without a statement (src/csm_case_touch.c). The same life is led again where a
-- statement has to do it, because somebody attached a trigger of his own to csm.cases: it must leave the same rows. And what
-- others attach to the tables that C writes without a statement is heard as by one.
\set ON_ERROR_STOP on
CREATE SCHEMA effect;
CREATE TABLE effect.person (name text PRIMARY KEY, id bigint NOT NULL, role_name text NOT NULL);
SELECT csm.create_tenant('effect', 'Effect', 'boss@effect.example') AS tenant \gset
INSERT INTO csm.accounts (name) VALUES ('Alpha') RETURNING id AS alpha \gset
INSERT INTO csm.users (display_name) VALUES ('requester') RETURNING id AS requester \gset
INSERT INTO csm.users (display_name) VALUES ('agent') RETURNING id AS agent \gset
INSERT INTO csm.users (display_name) VALUES ('other agent') RETURNING id AS other \gset
INSERT INTO csm.contacts (user_id, account_id, role, is_home) VALUES (:requester, :alpha, 'customer', true);
INSERT INTO csm.user_roles (user_id, role) VALUES (:agent, 'agent'), (:other, 'agent');
INSERT INTO effect.person VALUES ('requester', :requester, 'csm_portal'), ('agent', :agent, 'csm_agent'), ('other agent', :other, 'csm_agent');
SELECT * FROM no_plan();

CREATE FUNCTION effect.run(who text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    PERFORM set_config('csm.user_id', id::text, true), set_config('role', role_name, true) FROM effect.person WHERE name = who;
    EXECUTE statement INTO answer;
    PERFORM set_config('role', 'none', true), set_config('csm.user_id', '', true);
    RETURN answer;
END $$;

-- A life with every kind of comment in it; what it left, without what differs from one case to the next.
CREATE FUNCTION effect.life() RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    case_id bigint;
    step record;
    left_behind jsonb := '[]';
BEGIN
    case_id := effect.run('requester', $s$INSERT INTO csm.cases (subject, priority) VALUES ('effects', 1) RETURNING id$s$);
    FOR step IN SELECT * FROM (VALUES
        ('requester', 'INSERT INTO csm.case_entries (case_id, body) VALUES (%s, ''as a row'') RETURNING 1'),
        ('agent', 'SELECT csm.comment(%s, ''before anybody has it'')'),
        ('agent', 'SELECT csm.act(%s, ''take'')'),
        ('agent', 'SELECT csm.comment(%s, ''by whom it is assigned to'')'),
        ('other agent', 'SELECT csm.comment(%s, ''by another'')'),
        ('agent', 'UPDATE csm.cases SET needs_attention = false WHERE id = %s RETURNING 1'),
        ('other agent', 'SELECT csm.comment(%s, ''a note'', ''internal'')'),
        ('agent', 'SELECT csm.act(%s, ''request_info'', ''a question'')'),
        ('requester', 'SELECT csm.comment(%s, ''for us'', ''private'')'),
        ('requester', 'INSERT INTO csm.case_entries (case_id, body) SELECT %s, ''answer '' || i FROM generate_series(1, 3) i RETURNING 1'),
        ('agent', 'SELECT csm.act(%s, ''close'', NULL, ''{"resolution_code": "solved", "resolution_notes": "done"}'')')) v(who, statement)
    LOOP
        PERFORM effect.run(step.who, format(step.statement, case_id));
        left_behind := left_behind || (SELECT jsonb_build_object('state', state, 'attention', needs_attention, 'sun', follow_the_sun,
            'first', first_response_at IS NOT NULL, 'last', last_response_at IS NOT NULL, 'touched', updated_at > opened_at)
            FROM csm.cases WHERE id = case_id);
    END LOOP;
    RETURN left_behind
        || (SELECT jsonb_agg(jsonb_build_array(h.seq, h.action, h.actor_name, h.persona, h.relation, h.audience, k.keys) ORDER BY h.seq)
            FROM csm.case_history h,
                 LATERAL (SELECT jsonb_agg(f.key ORDER BY f.key) AS keys FROM jsonb_each(h.payload) f) k WHERE h.case_id = case_id)
        || (SELECT jsonb_agg(jsonb_build_array(e.kind, e.audience, e.side, e.payload - 'entry_id') ORDER BY e.id) FROM csm.events e WHERE e.case_id = case_id)
        || (SELECT coalesce(jsonb_agg(t.kind ORDER BY t.kind), '[]') FROM csm.timers t WHERE t.case_id = case_id);
END $$;
CREATE FUNCTION effect.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION effect.calm() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.needs_attention := false; RETURN NEW; END';
CREATE TABLE effect.heard (what text, by_whom text, path text);
CREATE FUNCTION effect.hear() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER AS $$
BEGIN
    INSERT INTO effect.heard VALUES (TG_ARGV[0], current_user, current_setting('search_path'));
    RETURN NULL;
END $$;
GRANT USAGE ON SCHEMA effect TO csm_owner;
GRANT INSERT ON effect.heard TO csm_owner, csm_agent, csm_portal;
GRANT USAGE ON SCHEMA effect TO csm_agent, csm_portal;

SELECT effect.life() AS plain \gset
SELECT ok(:'plain' LIKE '%"waiting%' OR :'plain' LIKE '%awaiting_info%', 'R2.5 the life waits for an answer') ;
SELECT is((:'plain'::jsonb -> 9) ->> 'state', 'open', 'R2.2 a row of csm.case_entries is the answer: the case is open again');
SELECT is((:'plain'::jsonb -> 3) ->> 'attention', 'true', 'R2.5 what called for attention is not calmed by the assignee''s comment');
SELECT is((:'plain'::jsonb -> 6) ->> 'attention', 'false', 'R2.5 a work note calls for none');

CREATE TRIGGER zz BEFORE UPDATE ON csm.cases FOR EACH ROW EXECUTE FUNCTION effect.nothing();
SELECT is(effect.life(), :'plain'::jsonb, 'D5 with another BEFORE trigger');
DROP TRIGGER zz ON csm.cases;
CREATE TRIGGER zz BEFORE UPDATE OF updated_at ON csm.cases FOR EACH ROW EXECUTE FUNCTION effect.calm();
SELECT is((effect.life() -> 0) ->> 'attention', 'false', 'D5 a trigger on what a comment writes is heard');
DROP TRIGGER zz ON csm.cases;
CREATE TRIGGER zz AFTER UPDATE ON csm.cases FOR EACH STATEMENT EXECUTE FUNCTION effect.hear('statement');
SELECT is(effect.life(), :'plain'::jsonb, 'D5 with a statement trigger');
SELECT is((SELECT count(*)::int FROM effect.heard), 13, 'D5 which hears of nine comments, three acts and a plain update');
DROP TRIGGER zz ON csm.cases;
TRUNCATE effect.heard;
CREATE TRIGGER zz AFTER UPDATE ON csm.cases FOR EACH ROW EXECUTE FUNCTION effect.hear('row');
SELECT is(effect.life(), :'plain'::jsonb, 'D5 with another AFTER trigger');
SELECT is((SELECT count(*)::int FROM effect.heard WHERE by_whom = 'csm_owner' AND path = 'pg_catalog, pg_temp'), 12,
          'D5 which runs as csm_owner under csm''s path for a comment and an act, as after a statement of csm');
DROP TRIGGER zz ON csm.cases;

-- Constraints of others hold for what a comment writes.
INSERT INTO csm.cases (subject, requester_id, account_id) VALUES ('constrained', :requester, :alpha) RETURNING id AS constrained \gset
ALTER TABLE csm.cases ADD CONSTRAINT zz CHECK (NOT needs_attention) NOT VALID;
SELECT throws_ok(format($$SELECT effect.run('requester', 'SELECT csm.comment(%s, ''hello'')')$$, :constrained), '23514', NULL, 'D5 a constraint on needs_attention stops a comment');
ALTER TABLE csm.cases DROP CONSTRAINT zz;
SELECT effect.run('requester', format('SELECT csm.comment(%s, ''hello'')', :constrained)) AS said \gset
SELECT is(needs_attention, true, 'D5 and without it the comment counts') FROM csm.cases WHERE id = :constrained;

-- A function, an index or a column that changes is heard of by what is kept.
CREATE FUNCTION effect.first_word(action text) RETURNS text LANGUAGE sql IMMUTABLE RETURN split_part(action, '_', 1);
CREATE INDEX zz ON csm.case_history (effect.first_word(action));
GRANT EXECUTE ON FUNCTION effect.first_word(text) TO PUBLIC;
SELECT effect.run('agent', format('SELECT csm.comment(%s, ''noted'', ''internal'')', :constrained)) AS said \gset
SET enable_seqscan = off;
SELECT is((SELECT count(*)::int FROM csm.case_history WHERE effect.first_word(action) = 'work' AND case_id = :constrained), 1, 'D5 an index made in between has the row');
DROP INDEX csm.zz;
ALTER TABLE csm.case_history ADD COLUMN remark text DEFAULT 'none';
SELECT effect.run('agent', format('SELECT csm.comment(%s, ''noted'', ''internal'')', :constrained)) AS said \gset
SELECT is((SELECT array_agg(remark) FROM csm.case_history WHERE case_id = :constrained), '{none,none,none,none}'::text[], 'D5 a column added in between has its default');
ALTER TABLE csm.case_history DROP COLUMN remark;

-- What others attached to the tables is heard, whoever writes the row: a constraint, a foreign key to or from a table of
-- theirs, a deferrable key, a rule, a trigger with a transition table, a publication that must know what it deletes.
CREATE FUNCTION effect.open(subject text) RETURNS bigint LANGUAGE sql AS $$
    SELECT effect.run('requester', format('INSERT INTO csm.cases (subject) VALUES (%L) RETURNING id', subject))::bigint $$;
CREATE FUNCTION effect.note(of_case bigint, visibility text DEFAULT 'internal') RETURNS text LANGUAGE sql AS $$
    SELECT effect.run(CASE visibility WHEN 'internal' THEN 'agent' ELSE 'requester' END, format('SELECT (csm.comment(%s, ''noted'', %L)).id', of_case, visibility)) $$;
CREATE FUNCTION effect.act(of_case bigint, action text, fields text DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT effect.run('agent', format('SELECT (csm.act(%s, %L, NULL, %L)).state', of_case, action, fields)) $$;
SELECT effect.open('attached to') AS attached \gset

ALTER TABLE csm.events ADD CONSTRAINT zz CHECK (kind <> 'commented') NOT VALID;
SELECT throws_ok(format('SELECT effect.note(%s)', :attached), '23514', NULL, 'D5 a constraint on events holds for what C writes');
ALTER TABLE csm.events DROP CONSTRAINT zz;
DELETE FROM csm.events WHERE side IS NULL;
ALTER TABLE csm.events ALTER side SET NOT NULL;
SELECT throws_ok(format('SELECT effect.note(%s)', :attached), '23502', NULL, 'D5 a column must have a value where somebody says so');
ALTER TABLE csm.events ALTER side DROP NOT NULL;

CREATE TABLE effect.kind (kind text PRIMARY KEY);
INSERT INTO effect.kind VALUES ('opened');
ALTER TABLE csm.events ADD CONSTRAINT zz FOREIGN KEY (kind) REFERENCES effect.kind NOT VALID;
GRANT SELECT ON effect.kind TO csm_owner;
SELECT throws_ok(format('SELECT effect.note(%s)', :attached), '23503', NULL, 'D5 so does a foreign key to a table outside csm');
ALTER TABLE csm.events DROP CONSTRAINT zz;

SELECT effect.open('noted once') AS once \gset
SELECT effect.note(:once) AS said \gset
SELECT format('ALTER TABLE csm.events ADD CONSTRAINT zz EXCLUDE USING btree (kind WITH =) WHERE (case_id = %s) DEFERRABLE', :once) \gexec
SELECT throws_ok(format('SELECT effect.note(%s)', :once), '23P01', NULL, 'D5 and a deferrable one');
ALTER TABLE csm.events DROP CONSTRAINT zz;

SELECT effect.open('attached too') AS other_case \gset
SELECT format('ALTER TABLE csm.cases ADD CONSTRAINT zz EXCLUDE USING btree (needs_attention WITH =) WHERE (needs_attention AND id IN (%s, %s)) DEFERRABLE', :attached, :other_case) \gexec
UPDATE csm.cases SET needs_attention = (id = :other_case) WHERE id IN (:attached, :other_case);
SELECT throws_ok(format('SELECT effect.note(%s, ''shared'')', :attached), '23P01', NULL, 'D5 and one of the case that a comment touches');
ALTER TABLE csm.cases DROP CONSTRAINT zz;

CREATE RULE zz AS ON INSERT TO csm.events DO ALSO INSERT INTO effect.heard VALUES ('rule ' || new.kind);
SELECT effect.note(:attached) AS said \gset
SELECT is((SELECT array_agg(what) FROM effect.heard WHERE what LIKE 'rule%'), '{rule commented}', 'D5 a rule is obeyed');
DROP RULE zz ON csm.events;

CREATE CONSTRAINT TRIGGER zz AFTER UPDATE ON csm.cases DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION effect.hear('deferred');
BEGIN;
SELECT effect.note(:attached) AS said \gset
SELECT is((SELECT count(*)::int FROM effect.heard WHERE what = 'deferred'), 0, 'D5 a deferred trigger waits');
COMMIT;
SELECT is((SELECT count(*)::int FROM effect.heard WHERE what = 'deferred'), 1, 'D5 for the end of the transaction');
DROP TRIGGER zz ON csm.cases;

-- Indexes that keep something between rows.
CREATE INDEX zz ON csm.events USING brin (created_at);
CREATE INDEX zy ON csm.events USING gin (payload);
SELECT effect.note(:attached) AS said, effect.note(:attached) AS again \gset
SET enable_indexscan = off;
SELECT is((SELECT count(*)::int FROM csm.events e WHERE e.payload @> jsonb_build_object('entry_id', :said) AND e.created_at > now() - interval '1 hour'), 1, 'D5 a row is found by each of them');
RESET enable_indexscan;
DROP INDEX csm.zz, csm.zy;

CREATE FUNCTION effect.hear_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO effect.heard SELECT 'changed ' || n.id FROM changed n;
    RETURN NULL;
END $$;
CREATE TRIGGER zz AFTER UPDATE ON csm.cases REFERENCING NEW TABLE AS changed FOR EACH ROW EXECUTE FUNCTION effect.hear_changed();
SELECT effect.note(:attached) AS said \gset
SELECT is((SELECT count(*)::int FROM effect.heard WHERE what = format('changed %s', :attached)), 1, 'D5 a row trigger has its transition table');
DROP TRIGGER zz ON csm.cases;

UPDATE csm.case_types SET settings = settings || '{"reminder_days": 5, "close_days": 10}' WHERE case_type = 'case';
SELECT effect.act(:attached, 'take') AS said, effect.act(:attached, 'propose', '{"resolution_code": "a", "resolution_notes": "b"}') AS proposed \gset
SELECT is((SELECT array_agg(kind ORDER BY kind) FROM csm.timers WHERE case_id = :attached), '{auto_close_reminder}', 'B16 a proposed solution waits');
CREATE TABLE effect.watched AS SELECT kind, object_id, tenant_id FROM csm.timers WHERE case_id = :attached;
ALTER TABLE effect.watched ADD FOREIGN KEY (kind, object_id, tenant_id) REFERENCES csm.timers ON DELETE CASCADE;
SET client_min_messages = error;
CREATE PUBLICATION zz FOR TABLE csm.timers WHERE (attempts = 0);
RESET client_min_messages;
SELECT throws_ok(format($$SELECT effect.run('requester', 'SELECT (csm.act(%s, ''reject'', ''No''))')$$, :attached), '42P10', NULL,
                 'D5 a publication that cannot tell what is deleted refuses the deletion');
DROP PUBLICATION zz;
SELECT effect.run('requester', format('SELECT (csm.act(%s, ''reject'', ''No'')).state', :attached)) AS rejected \gset
SELECT is((SELECT count(*)::int FROM csm.timers WHERE case_id = :attached), 0, 'D5 without it the timers go');
SELECT is((SELECT count(*)::int FROM effect.watched), 0, 'D5 and what refers to them with them');
DROP TABLE effect.watched;

-- Many versions of a row: those that leave their page are found by every index.
SELECT count(effect.run('requester', format('SELECT csm.comment(%s, repeat(''x'', 200))', :constrained))) AS comments FROM generate_series(1, 100) \gset
SELECT is((SELECT count(*)::int FROM csm.cases WHERE requester_id = :requester AND subject = 'constrained'), 1, 'D5 a case of a hundred comments is found once by its requester');
SELECT is((SELECT count(*)::int FROM csm.cases WHERE search @@ plainto_tsquery('english', 'constrained')), 1, 'D5 and by its words');
SELECT is((SELECT max(seq)::int FROM csm.case_history WHERE case_id = :constrained), 104, 'D5 its chain has a link for each');
SELECT ok((SELECT bool_and(intact) FROM csm.verify_history()), 'D5 every chain is intact');

SELECT * FROM finish();
