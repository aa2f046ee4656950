-- History: what a link says and who reads it; nothing of it can be changed, and what is changed all the same, behind
-- csm's back, is found and named; seals; a case as it was, compared with snapshots of random lives.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();

CREATE FUNCTION small.does(person text, role_name text, statement text, persona text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text := small.run(small.u(person), role_name, statement || CASE WHEN statement ~ '^(UPDATE|INSERT)' THEN ' RETURNING ''done''' ELSE '' END, persona, true);
BEGIN
    IF answer LIKE 'ERROR%' THEN
        RAISE EXCEPTION '%: %', statement, answer;
    END IF;
    RETURN answer;
END $$;
-- The last links of a case, oldest first: action, actor, persona, relation, on behalf of, audience.
CREATE FUNCTION small.links(of_case bigint, how_many integer DEFAULT 1) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws('|', l.action, l.actor_name, coalesce(l.persona, '-'), coalesce(l.relation, '-'),
                                coalesce((SELECT u.display_name FROM csm.users u WHERE u.id = l.on_behalf_of), '-'), l.audience), E'\n' ORDER BY l.seq)
    FROM (SELECT * FROM csm.case_history h WHERE h.case_id = of_case ORDER BY h.seq DESC LIMIT how_many) l
$$;
-- What the last link says of a field.
CREATE FUNCTION small.says(of_case bigint, field text) RETURNS text LANGUAGE sql AS $$
    SELECT h.payload -> field FROM csm.case_history h WHERE h.case_id = of_case ORDER BY h.seq DESC LIMIT 1
$$;

-- What a link says.
SELECT small.does('north contact', 'csm_portal', $$SELECT (csm.open_case('broken pump', 'It drips.', priority => 2)).id$$) AS pump \gset
SELECT is(small.links(:pump), 'open|north contact|contact|requester, customer|-|shared', 'D5 history: a case opened for oneself');
SELECT is((SELECT array_agg(seq ORDER BY seq) FROM csm.case_history WHERE case_id = :pump), '{1}', 'D5 history: one link for a new case');
SELECT set_eq(format($$SELECT f.key, f.value FROM csm.case_history h, jsonb_each(h.payload) f WHERE h.case_id = %s$$, :pump),
              format($$SELECT f.key, jsonb_build_array(NULL, f.value) FROM csm.cases c, jsonb_each(to_jsonb(c) - '{id,tenant_id,search,party_keys,opened_at,submitted_at,updated_at}'::text[]) f
                       WHERE c.id = %1$s AND f.value <> 'null'
                     UNION ALL
                       SELECT k, jsonb_build_array(NULL, to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') || rtrim(to_char(t AT TIME ZONE 'UTC', '.US'), '.0') || '+00:00')
                       FROM csm.cases c, unnest(ARRAY['opened_at', 'submitted_at', 'updated_at'], ARRAY[c.opened_at, c.submitted_at, c.updated_at]) u(k, t)
                       WHERE c.id = %1$s$$, :pump),
              'D5 history: the first link has every field that is not null, times in UTC');
SELECT is((SELECT h.at FROM csm.case_history h WHERE h.case_id = :pump), (SELECT updated_at FROM csm.cases WHERE id = :pump), 'D5 history: a link is as old as the change');

SELECT small.does('b2b agent', 'csm_agent', format('SELECT csm.act(%s, ''take'')', :pump));
SELECT is(small.links(:pump), 'take|b2b agent|staff|agent|-|shared', 'D5 history: an action, through the relation that permits it');
SELECT is((SELECT payload - 'updated_at' FROM csm.case_history WHERE case_id = :pump AND seq = 2),
          format('{"state": ["new", "open"], "state_class": ["new", "open"], "assigned_to": [null, %s]}', small.u('b2b agent'))::jsonb,
          'D5 history: the fields that an action changed, old and new');
SELECT small.does('b2b agent', 'csm_agent', format('UPDATE csm.cases SET priority = 1, needs_attention = true WHERE id = %s', :pump));
SELECT is(small.links(:pump), 'update|b2b agent|staff|agent, assignee|-|shared', 'D5 history: a plain UPDATE');
SELECT is(small.says(:pump, 'priority'), '[2, 1]', 'D5 history: of a plain UPDATE the old and the new value');
SELECT small.does('b2b agent', 'csm_agent', format('UPDATE csm.cases SET priority = 1 WHERE id = %s', :pump));
SELECT is((SELECT array_agg(k) FROM csm.case_history h, jsonb_object_keys(h.payload) k WHERE h.case_id = :pump AND h.seq = 4), '{updated_at}',
          'D5 history: an UPDATE that changes nothing leaves when it was');

-- Entries: one link, with what they change in the case.
SELECT small.does('north contact', 'csm_portal', format('SELECT (csm.comment(%s, ''It drips more.'')).id', :pump)) AS entry \gset
SELECT is(small.links(:pump, 2), E'update|b2b agent|staff|agent, assignee|-|shared\ncomment|north contact|contact|requester, customer|-|shared',
          'D5 history: a comment is one link');
SELECT is((SELECT h.payload - 'updated_at' - 'entry.created_at' FROM csm.case_history h WHERE h.case_id = :pump ORDER BY seq DESC LIMIT 1),
          jsonb_build_object('follow_the_sun', '[false, true]'::jsonb, 'entry.id', jsonb_build_array(NULL, :entry), 'entry.author_id', jsonb_build_array(NULL, small.u('north contact')),
              'entry.visibility', '[null, "shared"]'::jsonb, 'entry.side', '[null, "customer"]'::jsonb,
              'entry.body_sha256', jsonb_build_array(NULL, encode(sha256('It drips more.'), 'hex'))),
          'D5 history: the SHA-256 of a comment, not its text');
SELECT small.does('b2b agent', 'csm_agent', format('UPDATE csm.cases SET needs_attention = false WHERE id = %s', :pump));
SELECT small.does('north contact', 'csm_portal', format('SELECT csm.comment(%s, ''Hello?'')', :pump));
SELECT is(small.says(:pump, 'needs_attention'), '[false, true]', 'D5 history: a comment''s link has what it changed in the case');
SELECT small.does('b2b agent', 'csm_agent', format('SELECT csm.comment(%s, ''He is cross.'', ''internal'')', :pump));
SELECT is(small.links(:pump), 'work_note|b2b agent|staff|agent, assignee|-|internal', 'D5 history: a work note is for staff');
SELECT small.does('north contact', 'csm_portal', format('SELECT csm.comment(%s, ''Between us.'', ''private'')', :pump));
SELECT is(small.links(:pump), 'private_entry|north contact|contact|requester, customer|-|customer', 'D5 history: a private entry is for its side');
SELECT small.does('b2b agent', 'csm_agent', format('SELECT csm.act(%s, ''request_info'', ''Which pump?'')', :pump));
SELECT is(small.links(:pump, 2), E'request_info|b2b agent|staff|agent|-|shared\ncomment|b2b agent|staff|agent|-|shared',
          'D5 history: an action and its note');
SELECT small.does('north contact', 'csm_portal', format('SELECT csm.comment(%s, ''The red one.'')', :pump));
SELECT is(small.links(:pump, 2), E'resume|north contact|contact|requester, customer|-|shared\ncomment|north contact|contact|requester, customer|-|shared',
          'D5 history: a comment that resumes the case, by its author');
SELECT small.does('b2b agent', 'csm_agent', format($$SELECT csm.act(%s, 'propose', fields => '{"resolution_code": "fixed", "resolution_notes": "New seal."}')$$, :pump));
SELECT small.does('north manager', 'csm_portal', format('SELECT csm.act(%s, ''accept'')', :pump));
SELECT is(small.links(:pump), 'accept|north manager|contact|customer|north contact|shared', 'D5 history: who decides for another acts on his behalf');

SELECT small.does('north manager', 'csm_portal', format($$SELECT (csm.open_case('for him', requester_id => %s)).id$$, small.u('north contact'))) AS behalf \gset
SELECT is(small.links(:behalf), 'open|north manager|contact|customer|north contact|shared', 'D5 history: opened for another');
SELECT small.does('b2b agent', 'csm_agent', format($$SELECT (csm.open_case('by phone', requester_id => %s, account_id => %s)).id$$, small.u('north contact'), small.a('north'))) AS phone \gset
SELECT is(small.links(:phone), 'open|b2b agent|staff|agent|north contact|shared', 'D5 history: opened by staff for a customer');
SELECT small.does('all three', 'csm_portal', $$SELECT (csm.open_case('mine')).id$$, 'consumer') AS mine \gset
SELECT is(small.links(:mine), 'open|all three|consumer|requester, customer|-|shared', 'D5 history: through the persona he had narrowed himself to');
SELECT small.does('all three', 'csm_portal', $$SELECT (csm.open_case('at work')).id$$, 'employee') AS work \gset
SELECT is(small.links(:work), 'open|all three|employee|requester, customer|-|shared', 'D5 history: and through another');
SELECT small.does('mother', 'csm_portal', format('SELECT csm.comment(%s, ''for my son'')', small.c('son: phone')));
SELECT is(small.links(small.c('son: phone')), 'comment|mother|consumer|customer, approver|son|shared', 'D5 history: the head of a household speaks for a member');
UPDATE csm.cases SET priority = 3 WHERE id = :phone;
SELECT is(small.links(:phone), 'update|system|-|system|-|shared', 'D5 history: a write without identity is the system''s');

-- Drafts, and what not everybody reads.
SELECT small.does('north manager', 'csm_portal', format($$SELECT (csm.open_case('They never pay', case_type => 'dispute', counterparty_account_id => %s, draft => true)).id$$, small.a('globex'))) AS dispute \gset
SELECT is(small.links(:dispute), 'open|north manager|contact|requester, customer, claimant|-|customer', 'V8 history of a draft is for the customer''s side');
SELECT pg_sleep(0.001);
SELECT clock_timestamp() AS while_draft \gset
SELECT small.does('north manager', 'csm_portal', format('SELECT csm.act(%s, ''submit'')', :dispute));
SELECT is((SELECT l.audience FROM csm.case_history l WHERE l.case_id = :dispute AND l.action = 'submit'), 'shared', 'V8 history from submission on is shared');
INSERT INTO csm.case_type_fields (tenant_id, case_type, name, type, audience, label) VALUES
    (small.tenant(), 'dispute', 'risk', 'integer', 'staff', 'Risk'),
    (small.tenant(), 'dispute', 'bank', 'text', 'customer', 'Bank'), (small.tenant(), 'dispute', 'their_bank', 'text', 'counterparty', 'Bank');
INSERT INTO csm.case_internal (tenant_id, case_id, attributes) VALUES (small.tenant(), :dispute, '{"risk": 1}');
SELECT is(small.links(:dispute), 'update|system|-|system|-|internal', 'D5 history: internal fields');
UPDATE csm.case_internal SET attributes = '{"risk": 2}' WHERE case_id = :dispute;
SELECT is(small.says(:dispute, 'internal.attributes'), '[{"risk": 1}, {"risk": 2}]', 'D5 history: internal fields, old and new');
INSERT INTO csm.case_side_fields (tenant_id, case_id, side, attributes) VALUES (small.tenant(), :dispute, 'counterparty', '{"their_bank": "x"}'), (small.tenant(), :dispute, 'customer', '{"bank": "y"}');
SELECT is((SELECT string_agg(l.audience || ' ' || l.payload::text, '; ' ORDER BY l.seq DESC) FROM csm.case_history l WHERE l.case_id = :dispute AND l.payload::text ~ 'bank'),
          'customer {"customer.attributes": [null, {"bank": "y"}]}; counterparty {"counterparty.attributes": [null, {"their_bank": "x"}]}', 'D5 history: fields of a side');

-- Loading.
SET csm.importing = on;
INSERT INTO csm.cases (tenant_id, branch, requester_id, account_id, subject, state, opened_at, closed_at, updated_at)
VALUES (small.tenant(), 'b2b', small.u('north contact'), small.a('north'), 'old', 'closed', '2020-01-01', '2020-02-01', '2020-02-01') RETURNING id AS imported \gset
INSERT INTO csm.case_entries (tenant_id, case_id, author_id, body, created_at) VALUES (small.tenant(), :imported, small.u('north contact'), 'then', '2020-01-02');
INSERT INTO csm.case_internal (tenant_id, case_id) VALUES (small.tenant(), :imported);
RESET csm.importing;
SELECT is(small.links(:imported, 9), 'imported|system|-|system|-|shared', 'D5 history: an import leaves exactly one row');
SELECT is((SELECT count(*) FROM csm.case_history WHERE case_id = :imported AND at > clock_timestamp() - interval '1 hour'), 1::bigint, 'D5 history: of the time when it was loaded');

-- Who reads.
SELECT is(small.run(small.u(person), role_name, format('SELECT string_agg(DISTINCT audience, '' '' ORDER BY audience) FROM csm.case_history WHERE case_id = %s', of_case)),
          expected, format('V7 V8 history of %s for %s', what, person))
FROM (VALUES ('north contact', 'csm_portal', :pump, 'customer shared', 'a case'), ('north manager', 'csm_portal', :pump, 'customer shared', 'a case'),
             ('north colleague', 'csm_portal', :pump, NULL, 'a hidden case'), ('umbrella admin', 'csm_portal', :pump, NULL, 'a hidden case'),
             ('b2b agent', 'csm_agent', :pump, 'customer internal shared', 'a case'), ('viewer', 'csm_agent', :pump, 'shared', 'a case'),
             ('consumer agent', 'csm_agent', :pump, NULL, 'a hidden case'), ('desk admin', 'csm_admin', :pump, NULL, 'a hidden case'),
             ('north manager', 'csm_portal', :dispute, 'customer shared', 'a dispute'), ('globex manager', 'csm_portal', :dispute, 'counterparty shared', 'a dispute'),
             ('b2b agent', 'csm_agent', :dispute, 'counterparty customer internal shared', 'a dispute'),
             ('initech contact', 'csm_portal', :dispute, NULL, 'a hidden dispute')) v(person, role_name, of_case, expected, what);
SELECT is(small.run(NULL, 'csm_portal', 'SELECT count(*) FROM csm.case_history'), '0', 'V14 nobody reads no history');
SELECT alike(small.run(small.u('north contact'), 'csm_portal', 'SELECT max(seq) FROM csm.case_history'), 'ERROR 42501%', 'T17 the portal reads no seq, whose gaps would count hidden links');
SELECT unalike(small.run(small.u('b2b agent'), 'csm_agent', 'SELECT max(seq) FROM csm.case_history'), 'ERROR%', 'T17 staff do');

-- Nobody changes it.
SELECT throws_ok(s, '42501', NULL, 'D5 history: refused to a superuser: ' || s)
FROM unnest(ARRAY['UPDATE csm.case_history SET action = action', 'DELETE FROM csm.case_history', 'TRUNCATE csm.case_history',
                  'UPDATE csm.case_history SET payload = NULL, salt = NULL, actor_name = NULL',
                  'UPDATE csm.history_seals SET at = at', 'DELETE FROM csm.history_leaves', 'TRUNCATE csm.history_seals CASCADE', 'TRUNCATE csm.history_leaves',
                  'UPDATE csm.case_entries SET body = ''x''', 'DELETE FROM csm.case_entries', 'TRUNCATE csm.case_entries CASCADE']) s
WHERE csm_private.seal_history(small.tenant()) >= 0;
SELECT alike(small.run(small.u(person), role_name, s), 'ERROR 42501%', format('D5 history: refused to %s: %s', role_name, s))
FROM (VALUES ('b2b agent', 'csm_agent'), ('desk admin', 'csm_admin'), ('north manager', 'csm_portal')) v(person, role_name),
     unnest(ARRAY['UPDATE csm.case_history SET action = action', 'DELETE FROM csm.case_history', 'SELECT csm_private.begin_erasure(1)',
                  $$INSERT INTO csm.case_history (case_id, seq, at, action, audience, payload_hash, hash) VALUES (1, 1, now(), 'x', 'shared', '', '')$$]) s;

-- The hashes once more, by the definition and in SQL alone.
CREATE FUNCTION pg_temp.str(t text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
$$ SELECT CASE WHEN t IS NULL THEN '\xffffffff'::bytea ELSE int4send(octet_length(convert_to(t, 'UTF8'))) || convert_to(t, 'UTF8') END $$;
CREATE FUNCTION pg_temp.opt(n bigint) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN n IS NULL THEN '\x00'::bytea ELSE '\x01'::bytea || int8send(n) END $$;
CREATE FUNCTION pg_temp.tim(t timestamptz) RETURNS bytea LANGUAGE sql STABLE AS
$$ SELECT int8send(((extract(epoch FROM t) - 946684800) * 1000000)::bigint) $$;
CREATE FUNCTION pg_temp.jsn(j jsonb) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE jsonb_typeof(j)
        WHEN 'object' THEN 'o'::bytea || coalesce((SELECT string_agg(pg_temp.str(key) || pg_temp.jsn(value), '' ORDER BY n) FROM jsonb_each(j) WITH ORDINALITY e(key, value, n)), '') || 'e'::bytea
        WHEN 'array' THEN 'a'::bytea || coalesce((SELECT string_agg(pg_temp.jsn(value), '' ORDER BY n) FROM jsonb_array_elements(j) WITH ORDINALITY e(value, n)), '') || 'e'::bytea
        WHEN 'string' THEN 's'::bytea || pg_temp.str(j #>> '{}')
        WHEN 'number' THEN 'n'::bytea || pg_temp.str(j::text)
        WHEN 'boolean' THEN CASE WHEN j::boolean THEN 't'::bytea ELSE 'f'::bytea END
        ELSE 'z'::bytea END;
END $$;
SELECT small.does('b2b agent', 'csm_agent', format($$UPDATE csm.cases SET attributes = '{"zwölf": [1.50, -2e3, true, false, null, "\u00e9\u4e2d"], "a": {}, "b": []}', subject = 'Größe 中文' WHERE id = %s$$, :phone));
SELECT is_empty($$SELECT id FROM csm.case_history WHERE payload_hash <> sha256('csm payload 1'::bytea || salt || pg_temp.str(actor_name) || pg_temp.jsn(payload))$$,
                'D5 history: payload_hash as the source defines it');
SELECT is_empty($$SELECT id FROM csm.case_history WHERE hash <> sha256('csm link 1'::bytea || coalesce(previous_hash, decode(repeat('00', 32), 'hex'))
        || int8send(id) || int8send(tenant_id) || int8send(case_id) || int8send(seq) || pg_temp.tim(at) || pg_temp.str(action) || pg_temp.opt(actor_id)
        || pg_temp.str(persona) || pg_temp.str(relation) || pg_temp.opt(on_behalf_of) || pg_temp.str(audience) || payload_hash)$$,
                'D5 history: hash as the source defines it');
CREATE FUNCTION pg_temp.merkle(level bytea[]) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    up bytea[] := '{}';
BEGIN
    IF cardinality(level) = 1 THEN RETURN level[1]; END IF;
    FOR i IN 1 .. cardinality(level) BY 2 LOOP
        up := up || CASE WHEN i = cardinality(level) THEN level[i] ELSE sha256('csm node 1'::bytea || level[i] || level[i + 1]) END;
    END LOOP;
    RETURN pg_temp.merkle(up);
END $$;
SELECT is_empty($$SELECT s.id FROM csm.history_seals s WHERE s.root <> pg_temp.merkle(
        (SELECT array_agg(sha256('csm leaf 1'::bytea || int8send(l.tenant_id) || int8send(l.case_id) || int8send(l.length) || l.last_hash) ORDER BY l.case_id)
         FROM csm.history_leaves l WHERE l.seal_id = s.id))$$, 'D5 history: root of a seal as the source defines it');
SELECT is(csm_private.history_root(ARRAY(SELECT sha256(int4send(g)) FROM generate_series(1, n) g)), pg_temp.merkle(ARRAY(SELECT sha256(int4send(g)) FROM generate_series(1, n) g)),
          format('D5 history: root over %s leaves', n)) FROM unnest('{1,2,3,4,5,6,7,8,9,31,33}'::int[]) n;

-- Seals.
SELECT csm_private.seal_history(small.tenant());
SELECT is((SELECT unsealed FROM csm.verify_history()), 0::bigint, 'D5 history: a seal covers all that is committed');
SELECT is((SELECT sum(leaves) FROM csm.history_seals), (SELECT count(*)::numeric FROM csm.history_leaves), 'D5 history: as many leaves as the seals say');
SELECT is(csm_private.seal_history(small.tenant()), 0::bigint, 'D5 history: no new link, no new seal');
SELECT small.does('b2b agent', 'csm_agent', format('SELECT csm.comment(%s, ''one more'')', :phone));
SELECT is((csm_private.seal_history(small.tenant()), (SELECT (leaves, previous_hash = (SELECT p.hash FROM csm.history_seals p WHERE p.seq = s.seq - 1))::text
                                                      FROM csm.history_seals s ORDER BY seq DESC LIMIT 1))::text, '(1,"(1,t)")', 'D5 history: the next seal has only what changed since, and continues the one before');
SELECT is((SELECT due_at > clock_timestamp() FROM csm.timers WHERE kind = 'seal' AND object_id = small.tenant()), true, 'D5 history: a tenant has a timer of seals');
SELECT small.does('b2b agent', 'csm_agent', format('SELECT csm.comment(%s, ''and one'')', :phone));
UPDATE csm.timers SET due_at = clock_timestamp() - interval '1 second' WHERE kind = 'seal' AND object_id = small.tenant();
SELECT is((SELECT (done, failed, busy)::text FROM csm.run_due() WHERE kind = 'seal'), '(1,0,0)', 'D5 history: run_due seals');
SELECT is((SELECT (unsealed, (SELECT due_at > clock_timestamp() + interval '50 minutes' FROM csm.timers WHERE kind = 'seal' AND object_id = small.tenant()))::text FROM csm.verify_history()), '(0,t)',
          'D5 history: and comes again in an hour');
SELECT is((SELECT (csm_private.seal_history(small.tenant(), 2), csm_private.seal_history(small.tenant(), 2))::text
           FROM (SELECT count(small.does('b2b agent', 'csm_agent', format('SELECT csm.comment(%s, ''more'')', :phone))) FROM generate_series(1, 3)) x), '(2,1)',
          'D5 history: a seal of limited size, then the rest');

-- What was changed behind csm's back is found, and named.
CREATE FUNCTION pg_temp.tamper(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    changed bigint;
BEGIN
    PERFORM set_config('session_replication_role', 'replica', true);
    EXECUTE statement;
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM set_config('session_replication_role', 'origin', true);
    IF changed = 0 THEN
        RETURN 'nothing was changed';
    END IF;
    SELECT CASE WHEN v.intact THEN 'intact' ELSE concat_ws('|', coalesce(v.broken_case_id, 0), coalesce(v.broken_seq, 0), v.what) END INTO answer
    FROM csm.verify_history() v;
    RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
    RETURN answer;
END $$;
-- so that the probes below can write it too
ALTER TABLE csm.case_history ALTER COLUMN id SET GENERATED BY DEFAULT;
CREATE FUNCTION pg_temp.swap(of_case bigint, a bigint, b bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE csm.case_history SET seq = -seq WHERE case_id = of_case AND seq IN (a, b);
    UPDATE csm.case_history SET seq = a + b + seq WHERE case_id = of_case AND seq < 0;
$$;
CREATE FUNCTION pg_temp.close_gap(of_case bigint, gap bigint) RETURNS void LANGUAGE sql AS $$
    DELETE FROM csm.case_history WHERE case_id = of_case AND seq = gap;
    UPDATE csm.case_history SET seq = -seq WHERE case_id = of_case AND seq > gap;
    UPDATE csm.case_history SET seq = -seq - 1 WHERE case_id = of_case AND seq < 0;
$$;
SELECT is((SELECT intact FROM csm.verify_history()), true, 'D5 history: intact');
SELECT is((SELECT links FROM csm.verify_history()), (SELECT count(*) FROM csm.case_history), 'D5 history: says how many links it checked');
SELECT is((SELECT (intact, links)::text FROM csm.verify_history(:pump)), format('(t,%s)', (SELECT count(*) FROM csm.case_history WHERE case_id = :pump)), 'D5 history: and of one case');

-- every column of a link in the middle of a chain, of its first and its last
SELECT is(pg_temp.tamper(format('UPDATE csm.case_history SET %1$I = %2$s WHERE case_id = %3$s AND seq = %4$s', a.attname,
              CASE format_type(a.atttypid, NULL) WHEN 'bytea' THEN format('set_byte(coalesce(%1$I, decode(repeat(''00'', 32), ''hex'')), 0, (get_byte(coalesce(%1$I, ''\x00''), 0) + 1) %% 256)', a.attname)
                  WHEN 'bigint' THEN format('coalesce(%I, 0) + 100000000', a.attname) WHEN 'timestamp with time zone' THEN format('%I + interval ''1 microsecond''', a.attname)
                  WHEN 'jsonb' THEN '(overlay(payload::text PLACING ''z'' FROM 4 FOR 1))::jsonb' ELSE format('coalesce(%I, '''') || ''x''', a.attname) END, :pump, n))
              ~ format('^%s\|[0-9]+\|', :pump), true, format('D5 history: a changed %s of link %s is found', a.attname, n))
FROM pg_attribute a, unnest(ARRAY[1, 3, (SELECT max(seq) FROM csm.case_history WHERE case_id = :pump)]) n
WHERE a.attrelid = 'csm.case_history'::regclass AND a.attnum > 0 AND NOT a.attisdropped;

SELECT is(pg_temp.tamper(format(s, :pump)), format(expected, :pump), 'D5 history: found: ' || what)
FROM (VALUES
    ('a row from the middle', 'DELETE FROM csm.case_history WHERE case_id = %s AND seq = 4', '%s|5|link 4 is missing'),
    ('the first row', 'DELETE FROM csm.case_history WHERE case_id = %s AND seq = 1', '%s|2|link 1 is missing'),
    ('two rows swapped', 'UPDATE csm.case_history a SET payload = b.payload, salt = b.salt, payload_hash = b.payload_hash, actor_name = b.actor_name FROM csm.case_history b WHERE a.case_id = %1$s AND b.case_id = %1$s AND (a.seq, b.seq) IN ((3, 4), (4, 3))', '%s|3|link was changed'),
    ('two rows with their places swapped', 'SELECT pg_temp.swap(%s, 3, 4)', '%s|3|does not continue link 2'),
    ('a row from the middle, the rest numbered anew', 'SELECT pg_temp.close_gap(%s, 4)', '%s|4|does not continue link 3'),
    ('a case whose history stays', 'DELETE FROM csm.cases WHERE id = %s', '%s|0|case is missing'),
    ('the case itself', 'UPDATE csm.cases SET priority = 4, subject = ''other'' WHERE id = %s', '%s|0|case differs from its history in priority, subject')) v(what, s, expected);
SELECT is(pg_temp.tamper(format(s, :pump)), format(expected, :pump, l.length), 'D5 history: found: ' || what)
FROM (SELECT min(length) AS length FROM csm.history_leaves WHERE case_id = :pump) l,
     (VALUES ('a removed case', 'WITH h AS (DELETE FROM csm.case_history WHERE case_id = %1$s), e AS (DELETE FROM csm.case_entries WHERE case_id = %1$s) DELETE FROM csm.cases WHERE id = %1$s',
              '%s|%s|all links of the case are missing'),
             ('the history of a case removed', 'DELETE FROM csm.case_history WHERE case_id = %s', '%s|%s|all links of the case are missing'),
             ('a removed tail', 'DELETE FROM csm.case_history WHERE case_id = %s AND seq > 6', '%s|%s|link is missing, and all after it')) v(what, s, expected);
SELECT is(pg_temp.tamper(format(s, :pump)), format('%s|%s|%s', :pump, h.seq, format(what, e.id)), 'D5 history: found: ' || what)
FROM csm.case_entries e JOIN csm.case_history h ON h.case_id = e.case_id AND h.payload @> jsonb_build_object('entry.id', jsonb_build_array(e.id)),
     (VALUES ('UPDATE csm.case_entries SET body = body || ''!'' WHERE case_id = %s AND body = ''Hello?''', 'entry %s was changed'),
             ('UPDATE csm.case_entries SET author_name = ''somebody'' WHERE case_id = %s AND body = ''Hello?''', 'entry %s was changed'),
             ('UPDATE csm.case_entries SET visibility = ''internal'' WHERE case_id = %s AND body = ''Hello?''', 'entry %s was changed'),
             ('DELETE FROM csm.case_entries WHERE case_id = %s AND body = ''Hello?''', 'entry %s is missing')) v(s, what)
WHERE e.case_id = :pump AND e.body = 'Hello?';
SELECT is(pg_temp.tamper('DELETE FROM csm.case_history WHERE case_id = 0'), 'nothing was changed', 'D5 history: the probe says when it changed nothing');
-- a case without links, where younger ones have some
SELECT is(pg_temp.tamper(format('INSERT INTO csm.cases (tenant_id, branch, requester_id, account_id, subject, number, state, state_class, priority)
              VALUES (small.tenant(), ''b2b'', %s, %s, ''slipped in'', ''X1'', ''new'', ''new'', 4)', small.u('north contact'), small.a('north'))) ~ '\|0\|case has no history$', true,
          'D5 history: found: a case that nobody opened');
-- seals
SELECT is(pg_temp.tamper(format('UPDATE csm.history_seals SET %1$I = %2$s WHERE seq = 2', a.attname,
              CASE format_type(a.atttypid, NULL) WHEN 'bytea' THEN format('set_byte(%1$I, 5, (get_byte(%1$I, 5) + 1) %% 256)', a.attname)
                  WHEN 'bigint' THEN format('%I + 100', a.attname) ELSE format('%I + interval ''1 second''', a.attname) END)) ~ '^0\|0\|(seal|leaves of seal)', true,
          format('D5 history: a changed %s of a seal is found', a.attname))
FROM pg_attribute a
WHERE a.attrelid = 'csm.history_seals'::regclass AND a.attnum > 0 AND a.attname IN ('seq', 'at', 'leaves', 'root', 'previous_hash', 'hash');
SELECT is(pg_temp.tamper('DELETE FROM csm.history_seals WHERE seq = 2'), '0|0|seal 2 is missing', 'D5 history: a removed seal is found');
SELECT is(pg_temp.tamper(format('DELETE FROM csm.history_leaves WHERE case_id = %s AND seal_id = (SELECT min(id) FROM csm.history_seals)', :pump)), '0|0|leaves of seal 1 were changed', 'D5 history: a removed leaf is found');
SELECT is(pg_temp.tamper(format('UPDATE csm.history_leaves SET last_hash = sha256(last_hash) WHERE case_id = %s', :pump)),
          format('%s|%s|link is not the one that was sealed', :pump, (SELECT min(length) FROM csm.history_leaves WHERE case_id = :pump)), 'D5 history: a changed leaf is found');
-- a chain made anew, consistent in itself, is not the one that was sealed
CREATE FUNCTION pg_temp.forge(of_case bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    l csm.case_history;
    before bytea;
BEGIN
    FOR l IN SELECT * FROM csm.case_history WHERE case_id = of_case ORDER BY seq LOOP
        IF l.seq = 2 THEN
            l.payload := l.payload || '{"state": ["new", "forged"]}';
            l.payload_hash := csm_private.history_payload_hash(l.salt, l.actor_name, l.payload);
        END IF;
        l.previous_hash := before;
        l.hash := csm_private.history_link_hash(l.previous_hash, l.id, l.tenant_id, l.case_id, l.seq, l.at, l.action, l.actor_id, l.persona, l.relation, l.on_behalf_of, l.audience, l.payload_hash);
        UPDATE csm.case_history SET payload = l.payload, payload_hash = l.payload_hash, previous_hash = l.previous_hash, hash = l.hash WHERE id = l.id;
        before := l.hash;
    END LOOP;
END $$;
SELECT is(pg_temp.tamper(format('SELECT pg_temp.forge(%s)', :pump)), format('%s|%s|link is not the one that was sealed', :pump, (SELECT min(length) FROM csm.history_leaves WHERE case_id = :pump)),
          'D5 history: a chain that was made anew is found by its seal');
SELECT is((SELECT intact FROM csm.verify_history()), true, 'D5 history: the probes left nothing');

-- Who may ask.
SELECT is(small.run(small.u(person), role_name, 'SELECT intact FROM csm.verify_history()'), expected, 'D5 history: verify_history() by ' || person)
FROM (VALUES ('desk manager', 'csm_agent', 'true'), ('desk admin', 'csm_admin', 'true')) v(person, role_name, expected);
SELECT alike(small.run(small.u('b2b agent'), 'csm_agent', 'SELECT intact FROM csm.verify_history()'), 'ERROR 42501%', 'D5 history: not by an agent');
SELECT alike(small.run(small.u('north manager'), 'csm_portal', 'SELECT intact FROM csm.verify_history()'), 'ERROR 42501%', 'D5 history: not by a customer');
SELECT is(small.run(small.u('desk admin'), 'csm_admin', 'SELECT count(*) > 0 FROM csm.history_seals'), 'true', 'D5 history: administrators read seals');
SELECT is(small.run(small.u('b2b agent'), 'csm_agent', 'SELECT count(*) FROM csm.history_seals'), '0', 'D5 history: agents do not');
SELECT alike(small.run(small.u('desk manager'), 'csm_agent', 'SELECT intact FROM csm.verify_history(987654321)'), 'ERROR SM001%', 'SM001 verify_history() of no case');

-- The door for erasure: personal data go, the chain stays.
CREATE FUNCTION pg_temp.erase(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE statement;
    SELECT (v.intact, v.erased)::text INTO answer FROM csm.verify_history() v;
    RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN RETURN answer;
    WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
SELECT is(pg_temp.erase(format('SELECT csm_private.begin_erasure(%1$s); UPDATE csm.case_history SET payload = NULL, salt = NULL, actor_name = NULL WHERE case_id = %1$s AND seq IN (2, 3)', :pump)), '(t,2)',
          'D5 history: erased salt and payload keep the chain verifiable');
SELECT is(pg_temp.erase(format('SELECT csm_private.begin_erasure(%1$s); UPDATE csm.case_entries SET body = ''erased'' WHERE case_id = %1$s; UPDATE csm.case_history SET payload = NULL, salt = NULL, actor_name = NULL WHERE case_id = %1$s AND payload ? ''entry.id''', :pump)),
          format('(t,%s)', (SELECT count(*) FROM csm.case_entries WHERE case_id = :pump)), 'D5 history: so do erased entries');
SELECT is(pg_temp.erase(format(s, :pump, :phone)), '42501', 'D5 history: the door is no wider: ' || what)
FROM (VALUES ('another column', 'SELECT csm_private.begin_erasure(%1$s); UPDATE csm.case_history SET action = ''x'' WHERE case_id = %1$s'),
             ('another case', 'SELECT csm_private.begin_erasure(%1$s); UPDATE csm.case_history SET payload = NULL, salt = NULL WHERE case_id = %2$s'),
             ('after its end', 'SELECT csm_private.begin_erasure(%1$s); SELECT csm_private.end_erasure(); UPDATE csm.case_history SET payload = NULL, salt = NULL WHERE case_id = %1$s'),
             ('rows stay', 'SELECT csm_private.begin_erasure(%1$s); DELETE FROM csm.case_history WHERE case_id = %1$s'),
             ('author of an entry', 'SELECT csm_private.begin_erasure(%1$s); UPDATE csm.case_entries SET author_id = NULL WHERE case_id = %1$s'),
             ('seals', 'SELECT csm_private.begin_erasure(%1$s); UPDATE csm.history_leaves SET length = 1 WHERE case_id = %1$s')) v(what, s);
SELECT is(pg_temp.tamper(format('UPDATE csm.case_history SET salt = NULL WHERE case_id = %s AND seq = 3', :pump)), format('%s|3|payload, salt or actor_name was changed', :pump), 'D5 history: a salt alone cannot be missing');

-- A case from a version without history.
SET session_replication_role = replica;
INSERT INTO csm.cases (tenant_id, branch, requester_id, account_id, subject, number, state, state_class, priority, opened_at, submitted_at, updated_at)
SELECT small.tenant(), 'b2b', small.u('north contact'), small.a('north'), v.n, v.n, 'new', 'new', 4, '2023-01-01', '2023-01-01', '2023-01-02' FROM unnest('{L1,L2,L3}'::text[]) v(n);
RESET session_replication_role;
SELECT min(id) AS l1, min(id) + 1 AS l2, max(id) AS l3 FROM csm.cases WHERE number ~ '^L[123]$' \gset
SELECT is((SELECT count(*) FROM csm.case_as_of(:l1, '2023-01-03')), 1::bigint, 'D5 history: a case without history is as it stands');
SELECT is((SELECT count(*) FROM csm.case_as_of(:l1, '2023-01-01 12:00')), 0::bigint, 'D5 history: and what was before its last change is not known');
SELECT small.does('b2b agent', 'csm_agent', format('UPDATE csm.cases SET priority = 1 WHERE id = %s', :l1));
SELECT small.does('north contact', 'csm_portal', format('SELECT csm.comment(%s, ''hello'')', :l2));
INSERT INTO csm.case_internal (tenant_id, case_id) VALUES (small.tenant(), :l3);
SELECT is(small.links(:l1, 9), E'imported|system|-|system|-|shared\nupdate|b2b agent|staff|agent|-|shared', 'D5 history: its first change begins with the row before it');
SELECT is((SELECT (priority, updated_at)::text FROM csm.case_as_of(:l1, '2023-01-03')), (4::smallint, '2023-01-02'::timestamptz)::text, 'D5 history: which can be read again');
SELECT is(small.links(:l2, 9), E'imported|system|-|system|-|shared\ncomment|north contact|contact|requester, customer|-|shared', 'D5 history: a first comment too');
SELECT is(small.links(:l3, 9), E'imported|system|-|system|-|shared\nupdate|system|-|system|-|internal', 'D5 history: and a first internal field');
SELECT is((SELECT intact FROM csm.verify_history()), true, 'D5 history: intact with them');

-- A case as it was: random lives of which every step was kept.
CREATE TABLE small.snapshot (at timestamptz, case_id bigint, seen csm.cases);
CREATE FUNCTION small.live(steps integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    cases bigint[] := '{}';
    people text[] := '{north contact,north manager,b2b agent,desk manager,mother,son,consumer agent}';
    person text;
    role_name text;
    c bigint;
    statement text;
BEGIN
    FOR i IN 1 .. steps LOOP
        person := people[1 + floor(random() * cardinality(people))];
        role_name := CASE WHEN person ~ 'agent|desk' THEN 'csm_agent' ELSE 'csm_portal' END;
        c := cases[1 + floor(random() * cardinality(cases))];
        statement := CASE floor(random() * 12)::integer
            WHEN 0 THEN format('SELECT (csm.open_case(%L, %L, priority => %s, draft => %L)).id', 'life ' || i, nullif(repeat('long text ', (random() * 400)::integer), ''), 1 + i % 4, i % 5 = 0)
            WHEN 1 THEN format('UPDATE csm.cases SET priority = %s, subject = %L, attributes = %L WHERE id = %s', 1 + i % 4, 'änderung ' || i, jsonb_build_object('n', i / 7.0, 'list', jsonb_build_array(i, NULL, 'x')), c)
            WHEN 2 THEN format('UPDATE csm.cases SET description = %L, language = %L WHERE id = %s', CASE WHEN i % 3 > 0 THEN repeat('walking dogs ' || i, 300) END, CASE WHEN i % 2 = 0 THEN 'german' ELSE 'english' END, c)
            WHEN 3 THEN format('SELECT csm.comment(%s, ''text'', %L)', c, (ARRAY['shared', 'internal', 'private'])[1 + i % 3])
            WHEN 4 THEN format('INSERT INTO csm.case_internal (case_id, attributes) VALUES (%s, ''{"a": %s}'') ON CONFLICT ON CONSTRAINT case_internal_pkey DO UPDATE SET attributes = excluded.attributes', c, i)
            WHEN 5 THEN format('SELECT csm.attach(%s, ''a.txt'', ''text/plain'', ''content'')', c)
            WHEN 6 THEN format('UPDATE csm.cases SET assigned_to = csm.current_user_id(), needs_attention = %L WHERE id = %s', i % 2 = 0, c)
            ELSE format($f$SELECT csm.act(%1$s, a.action, 'note', '{"resolution_code": "x", "resolution_notes": "y"}'::jsonb
                              - CASE WHEN a.required_fields @> '{resolution_code}' THEN '{}'::text[] ELSE '{resolution_code,resolution_notes}' END)
                           FROM csm.actions(%1$s) a WHERE a.action !~ 'close|cancel' OR random() < 0.1 ORDER BY random() LIMIT 1$f$, c) END;
        CONTINUE WHEN statement IS NULL;
        statement := small.run(small.u(person), role_name, statement || CASE WHEN statement ~ '^(UPDATE|INSERT)' THEN ' RETURNING ''done''' ELSE '' END, NULL, true);
        IF statement ~ '^[0-9]+$' THEN
            cases := cases || statement::bigint;
        END IF;
        INSERT INTO small.snapshot SELECT clock_timestamp(), x.id, x FROM csm.cases x WHERE x.id = c OR i % 20 = 0 AND x.id = ANY (cases);
    END LOOP;
END $$;
SELECT setseed(0.44);
SELECT small.live(400);
SELECT cmp_ok((SELECT count(DISTINCT seen)::integer FROM small.snapshot), '>', 100, 'D5 history: the lives are long enough to tell');
SET timezone = 'Asia/Kathmandu';
SET datestyle = 'German, DMY';
SELECT is_empty($$SELECT s.at, s.case_id FROM small.snapshot s WHERE s.seen::text IS DISTINCT FROM (SELECT a::text FROM csm.case_as_of(s.case_id, s.at) a)$$,
                'D5 history: a case as it was is what was seen then, every row of every life');
SELECT is((SELECT intact FROM csm.verify_history()), true, 'D5 history: intact after them, under another time zone and DateStyle');
RESET timezone;
RESET datestyle;
SELECT is_empty($$SELECT h.case_id FROM csm.case_history h JOIN csm.case_history p ON p.case_id = h.case_id AND p.seq = h.seq - 1 WHERE h.at < p.at OR h.id < p.id$$,
                'D5 history: times and ids of a chain grow with seq');

-- What follows from one row of a statement changes another row of it, before that one's own link is written; what follows
-- from a comment changes its case.
CREATE FUNCTION small.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.subject = 'first' AND pg_trigger_depth() = 1 THEN
        PERFORM csm_private.begin_system(c.id) FROM csm.cases c WHERE c.subject = 'second';
        UPDATE csm.cases SET priority = 1, escalated = true WHERE subject = 'second';
    ELSIF NEW.subject = 'second' AND NEW.needs_attention AND NOT OLD.needs_attention THEN
        PERFORM csm_private.begin_system(NEW.id);
        UPDATE csm.cases SET escalated = NOT escalated WHERE id = NEW.id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER cases_99_meddle AFTER INSERT OR UPDATE ON csm.cases FOR EACH ROW EXECUTE FUNCTION small.meddle();
INSERT INTO csm.cases (tenant_id, requester_id, account_id, branch, subject) SELECT small.tenant(), small.u('north contact'), small.a('north'), 'b2b', v.s FROM unnest('{first,second}'::text[]) v(s);
SELECT id AS second FROM csm.cases WHERE subject = 'second' \gset
UPDATE csm.cases SET impact = 1, priority = 3, needs_attention = false WHERE subject IN ('first', 'second');
SELECT is((SELECT priority FROM csm.cases WHERE id = :second), 1::smallint, 'D5 history: the second change counts');
SELECT is((SELECT count(*) FROM csm.case_history h WHERE h.case_id = :second AND h.action = 'update'), 3::bigint, 'D5 history: both changes of a row in one statement are kept');
SELECT small.does('north contact', 'csm_portal', format('SELECT csm.comment(%s, ''so?'')', :second));
SELECT is((SELECT string_agg(h.action || ' ' || coalesce(h.payload ->> 'needs_attention', '') || coalesce(h.payload ->> 'escalated', ''), ', ' ORDER BY h.seq DESC)
           FROM (SELECT * FROM csm.case_history WHERE case_id = :second ORDER BY seq DESC LIMIT 3) h), 'comment , update [true, false], comment [false, true]',
          'D5 history: what a comment changed, then what followed from it, then the comment');
SELECT is((SELECT what FROM csm.verify_history()), NULL, 'D5 history: and the chains tell what the cases are');
SELECT is((SELECT a::text FROM csm.case_as_of(:second, clock_timestamp()) a), (SELECT c::text FROM csm.cases c WHERE id = :second), 'D5 history: so does a look back');
DROP TRIGGER cases_99_meddle ON csm.cases;
-- a comment that was rolled back leaves nothing to the next
DO $$
BEGIN
    PERFORM csm.comment((SELECT id FROM csm.cases WHERE subject = 'second'), 'gone');
    RAISE EXCEPTION 'undo';
EXCEPTION WHEN raise_exception THEN
    UPDATE csm.cases SET priority = 2 WHERE subject = 'second';
END $$;
SELECT is(small.links(:second), 'update|system|-|system|-|shared', 'D5 history: what was rolled back leaves no link');
SELECT is((SELECT intact FROM csm.verify_history()), true, 'D5 history: nor anything else');

-- Who may look back.
SELECT is(small.run(small.u('north contact'), 'csm_portal', format('SELECT state FROM csm.case_as_of(%s, %L)', :pump, (SELECT at FROM csm.case_history WHERE case_id = :pump AND seq = 1))), 'new', 'D5 history: who sees the case sees it as it was');
SELECT is(small.run(small.u('north contact'), 'csm_portal', format('SELECT count(*) FROM csm.case_as_of(%s, %L)', :pump, (SELECT at - interval '1 microsecond' FROM csm.case_history WHERE case_id = :pump AND seq = 1))), '0', 'D5 history: no row before it was');
SELECT is(small.run(small.u(person), 'csm_portal', format('SELECT count(*) FROM csm.case_as_of(%s, clock_timestamp())', of_case)), '0', format('V15 a hidden case, or none: no row for %s', person))
FROM (VALUES ('north colleague', :pump), ('umbrella admin', :pump), ('north contact', 987654321)) v(person, of_case);
SELECT is(small.run(NULL, 'csm_portal', format('SELECT count(*) FROM csm.case_as_of(%s, clock_timestamp())', :pump)), '0', 'V14 nobody looks back');
SELECT is(small.run(small.u('globex manager'), 'csm_portal', format('SELECT count(*) FROM csm.case_as_of(%s, clock_timestamp())', :dispute)), '1', 'V8 the counterparty sees a dispute as it is');
SELECT is(small.run(small.u('globex manager'), 'csm_portal', format('SELECT count(*) FROM csm.case_as_of(%s, %L)', :dispute, :'while_draft')), '0', 'V8 and nothing of the draft that it was');
SELECT is(small.run(small.u('north manager'), 'csm_portal', format('SELECT state_class FROM csm.case_as_of(%s, %L)', :dispute, :'while_draft')), 'draft', 'V8 the claimant sees that too');
SELECT * FROM finish();
