-- Shares given and ended, links between cases, follow-ups.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();

CREATE FUNCTION pg_temp.try(person text, role_name text, statement text, keep boolean DEFAULT false, persona text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN answer ~ '^ERROR' THEN substr(answer, 7, 5) ELSE answer END
    FROM small.run(CASE WHEN person <> 'nobody' THEN small.u(person) END, role_name, statement, persona, keep) answer $$;
-- All that the client is told.
CREATE FUNCTION pg_temp.told(person text, role_name text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    m text; d text; h text;
BEGIN
    BEGIN
        PERFORM set_config('csm.user_id', small.u(person)::text, true), set_config('role', role_name, true);
        EXECUTE statement;
        RAISE EXCEPTION 'nothing was refused';
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
        answer := format('%s | %s | %s | %s', SQLSTATE, m, d, h);
    END;
    PERFORM set_config('role', 'none', true), set_config('csm.user_id', '', true);
    RETURN answer;
END $$;
CREATE FUNCTION pg_temp.share(person text, role_name text, of_case text, to_user text DEFAULT NULL, to_account text DEFAULT NULL, capabilities text DEFAULT '{case_read}', keep boolean DEFAULT false)
RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try(person, role_name, format('SELECT array_to_string((csm.share_case(%s, %s, %s, %L)).capabilities, '','')', small.c(of_case),
        CASE WHEN to_user IS NOT NULL THEN small.u(to_user)::text ELSE 'NULL' END, CASE WHEN to_account IS NOT NULL THEN small.a(to_account)::text ELSE 'NULL' END, capabilities), keep) $$;

-- ---- who may share, and with whom ----
-- The case of a contact of north, below acme, below holding.
SELECT is(pg_temp.share(v.who, v.role_name, v.subject, v.person, v.account), v.outcome, format('B18 %s (%s) shares "%s" with %s', v.who, v.role_name, v.subject, coalesce(v.person, 'account ' || v.account)))
FROM (VALUES
    -- the requester: within his own account and what lies below it
    ('north contact', 'csm_portal', 'north: pump', 'north colleague', NULL, 'case_read'), ('north contact', 'csm_portal', 'north: pump', NULL, 'north', 'case_read'),
    ('north contact', 'csm_portal', 'north: pump', 'plant contact', NULL, 'case_read'), ('north contact', 'csm_portal', 'north: pump', NULL, 'plant', 'case_read'),
    ('north contact', 'csm_portal', 'north: pump', 'acme contact', NULL, '42501'), ('north contact', 'csm_portal', 'north: pump', NULL, 'acme', '42501'),
    ('north contact', 'csm_portal', 'north: pump', 'south contact', NULL, '42501'), ('north contact', 'csm_portal', 'north: pump', NULL, 'umbrella', '42501'),
    ('north contact', 'csm_portal', 'north: pump', 'stranger', NULL, '42501'), ('north contact', 'csm_portal', 'north: pump', 'b2b agent', NULL, '42501'),
    -- whoever decides: managers above, from their own account down
    ('north manager', 'csm_portal', 'north: pump', 'north colleague', NULL, 'case_read'), ('acme admin', 'csm_portal', 'north: pump', 'south contact', NULL, 'case_read'),
    ('holding manager', 'csm_portal', 'north: pump', NULL, 'umbrella', '42501'), ('north admin', 'csm_agent', 'north: pump', 'north colleague', NULL, 'case_read'),
    -- a partner: with his own colleagues
    ('paragon admin', 'csm_portal', 'north: with paragon', 'paragon contact', NULL, 'case_read'), ('paragon admin', 'csm_portal', 'north: with paragon', 'north colleague', NULL, '42501'),
    ('broker admin', 'csm_portal', 'north: pump', 'north colleague', NULL, '42501'), ('broker admin', 'csm_portal', 'north: pump', NULL, 'broker', 'case_read'),
    -- who only reads, who does not see it, who stands on the other side
    ('north reader', 'csm_portal', 'north: pump', 'north colleague', NULL, '42501'), ('north colleague', 'csm_portal', 'north: pump', 'north reader', NULL, 'SM001'), ('south admin', 'csm_portal', 'north: pump', 'south contact', NULL, 'SM001'),
    ('globex manager', 'csm_portal', 'dispute: globex', 'globex contact', NULL, '42501'), ('north manager', 'csm_portal', 'dispute: globex', 'north contact', NULL, 'case_read'),
    -- consumers have no account of their own
    ('stranger', 'csm_portal', 'stranger: refund', 'mother', NULL, '42501'), ('all three', 'csm_portal', 'three: own', 'south contact', NULL, 'case_read'),
    -- staff: with whom they see
    ('b2b agent', 'csm_agent', 'north: pump', 'umbrella admin', NULL, 'case_read'), ('b2b agent', 'csm_agent', 'north: pump', NULL, 'umbrella', 'case_read'), ('b2b agent', 'csm_agent', 'north: pump', 'student', NULL, '42501'),
    ('b2b agent', 'csm_agent', 'north: pump', 'stranger', NULL, '42501'), ('desk manager', 'csm_agent', 'north: pump', 'student', NULL, 'case_read'), ('account team', 'csm_agent', 'north: pump', 'north colleague', NULL, 'case_read'),
    ('account team', 'csm_agent', 'north: pump', 'umbrella admin', NULL, '42501'), ('account team', 'csm_agent', 'north: pump', NULL, 'umbrella', '42501'), ('account team', 'csm_agent', 'umbrella: new', 'umbrella admin', NULL, 'SM001'),
    ('consumer agent', 'csm_agent', 'stranger: refund', 'mother', NULL, 'case_read'), ('consumer agent', 'csm_agent', 'north: pump', 'mother', NULL, 'SM001'), ('viewer', 'csm_agent', 'north: pump', 'north colleague', NULL, '42501'),
    ('b2b agent', 'csm_portal', 'north: pump', 'north colleague', NULL, 'SM001'), ('proxy', 'csm_agent', 'acme: by proxy', 'acme contact', NULL, '42501'), ('nobody', 'csm_portal', 'north: pump', 'north colleague', NULL, 'SM001')
) v(who, role_name, subject, person, account, outcome);
SELECT is(pg_temp.try('all three', 'csm_portal', format('SELECT (csm.share_case(%s, %s)).capabilities', small.c('three: own'), small.u('south contact')), persona => 'consumer'), '42501', 'T12 as a consumer he has no account to share within');

-- ---- an outsider, before and after ----
INSERT INTO csm.case_entries (tenant_id, case_id, author_name, body, visibility) VALUES
    (small.tenant(), small.c('north: valve'), 'system', 'for all who see it', 'shared'), (small.tenant(), small.c('north: valve'), 'system', 'for colleagues', 'internal');
CREATE FUNCTION pg_temp.outsider(what text) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try('umbrella admin', 'csm_portal', what) $$;
SELECT is(pg_temp.outsider(format('SELECT count(*) FROM csm.cases WHERE account_id = %s', small.a('north'))), '0', 'T7 an outsider sees no case of the account');
SELECT is(pg_temp.outsider(format('SELECT count(*) FROM csm.case_entries WHERE case_id = %s', small.c('north: valve'))), '0', 'T7 nor what is said on it');
SELECT is(pg_temp.share('desk manager', 'csm_agent', 'north: valve', 'umbrella admin', keep => true), 'case_read', 'T7 it is shared with him');
SELECT is(pg_temp.outsider(format('SELECT string_agg(subject, '','') FROM csm.cases WHERE account_id = %s', small.a('north'))), 'north: valve', 'T7 then he sees exactly that case, none beside it');
SELECT is(pg_temp.outsider(format('SELECT string_agg(DISTINCT visibility, '','') FROM csm.case_entries WHERE case_id = %s', small.c('north: valve'))), 'shared', 'T7 and its shared entries, no work note');
SELECT is(pg_temp.outsider(format('SELECT csm.comment(%s, ''hello'')', small.c('north: valve'))), '42501', 'T7 and comments only where that was granted too');

-- Hidden and missing alike, in every word.
SELECT is(pg_temp.told(w.who, w.role_name, format('SELECT csm.share_case(%s, %s)', small.c('north: pump'), small.u(w.hidden))),
          pg_temp.told(w.who, w.role_name, format('SELECT csm.share_case(%s, 987654321)', small.c('north: pump'))), format('V15 sharing by %s with a hidden person and with a missing one: the same words', w.who))
FROM (VALUES ('north contact', 'csm_portal', 'south contact'), ('account team', 'csm_agent', 'umbrella admin'), ('north manager', 'csm_portal', 'stranger')) w(who, role_name, hidden);
SELECT is(pg_temp.told(w.who, w.role_name, format('SELECT csm.share_case(%s, NULL, %s)', small.c('north: pump'), small.a('umbrella'))),
          pg_temp.told(w.who, w.role_name, format('SELECT csm.share_case(%s, NULL, 987654321)', small.c('north: pump'))), format('V15 sharing by %s with a hidden account and with a missing one: the same words', w.who))
FROM (VALUES ('north contact', 'csm_portal'), ('account team', 'csm_agent')) w(who, role_name);
SELECT is(replace(pg_temp.told(w.who, w.role_name, format(f, small.c('north: pump'), small.u('north reader'))), small.c('north: pump')::text, 'N'),
          replace(pg_temp.told(w.who, w.role_name, format(f, 987654321, small.u('north reader'))), '987654321', 'N'), format('V15 %s by %s on a hidden case and on a missing one: the same words', substr(f, 8, 16), w.who))
FROM (VALUES ('north colleague', 'csm_portal'), ('consumer agent', 'csm_agent')) w(who, role_name), unnest('{"SELECT csm.share_case(%s, %s)","SELECT csm.unshare_case(%s, %s)"}'::text[]) f;

-- Arguments.
SELECT is(pg_temp.try('desk manager', 'csm_agent', format('SELECT csm.share_case(%s, %s)', small.c('north: pump'), v.arguments)), '22023', '22023 share_case: ' || v.what)
FROM (VALUES ('nobody named', 'NULL'), ('both named', format('%s, %s', small.u('student'), small.a('umbrella'))), ('unknown capability', format('%s, NULL, ''{case_work}''', small.u('student'))),
             ('null capabilities', format('%s, NULL, NULL', small.u('student'))), ('a null among them', format('%s, NULL, ''{NULL}''', small.u('student'))),
             ('an end in the past', format('%s, NULL, ''{case_read}'', now() - interval ''1 hour''', small.u('student'))), ('with himself', small.u('desk manager')::text)) v(what, arguments);
SELECT is(pg_temp.try('desk manager', 'csm_agent', format('SELECT csm.unshare_case(%s)', small.c('north: pump'))), '22023', '22023 unshare_case: nobody named');

-- ---- what a share gives ----
SELECT is(small.sees('student', 'north: pump'), false, 'V7 before');
SELECT is(pg_temp.share('desk manager', 'csm_agent', 'north: pump', 'student', NULL, '{case_comment}', true), 'case_read,case_comment', 'B18 reading is always among the capabilities');
SELECT is(small.acts('student', 'north: pump'), 'c', 'V7 the share counts from the next statement on');
SELECT is(small.sees('student', 'north: valve'), false, 'V7 no sibling case');
SELECT is(pg_temp.share('desk manager', 'csm_agent', 'north: pump', 'student', NULL, '{case_read,case_decide}', true), 'case_read,case_decide', 'B18 sharing again replaces the capabilities');
SELECT is(small.acts('student', 'north: pump'), 'd', 'V7 with the next statement');
SELECT is((SELECT concat_ws(' ', count(*), min(granted_by) = small.u('desk manager')) FROM csm.case_parties WHERE case_id = small.c('north: pump')), '1 t', 'B18 it is one share');
-- Never re-shared.
SELECT is(pg_temp.share('student', 'csm_portal', 'north: pump', 'north colleague'), '42501', 'B18 who has the case by a share only cannot share it, case_decide notwithstanding');
INSERT INTO csm.case_parties (tenant_id, case_id, user_id, capabilities) VALUES (small.tenant(), small.c('north: pump'), small.u('plant manager'), '{case_read,case_decide}');
SELECT is(pg_temp.share('plant manager', 'csm_portal', 'north: pump', 'plant contact'), '42501', 'B18 not with his own people either');
SELECT is(pg_temp.share('plant manager', 'csm_portal', 'plant: leak', 'plant contact'), 'case_read', 'B18 his own cases he shares');
SELECT is(pg_temp.try('student', 'csm_portal', format('INSERT INTO csm.case_parties (case_id, user_id) VALUES (%s, %s)', small.c('north: pump'), small.u('north colleague'))), '42501', 'B18 the table is no way round');
SELECT is(pg_temp.try('north manager', 'csm_portal', format('INSERT INTO csm.case_parties (case_id, user_id) VALUES (%s, %s)', small.c('north: pump'), small.u('south contact'))), '42501', 'B18 for nobody of the portal');

-- Ending.
SELECT is(pg_temp.try(v.who, v.role_name, format('SELECT csm.unshare_case(%s, %s)', small.c('north: pump'), small.u('student'))), v.outcome, format('B18 the share of the desk with a student ended by %s', v.who))
FROM (VALUES ('desk manager', 'csm_agent', 'true'), ('b2b agent', 'csm_agent', 'true'), ('student', 'csm_portal', 'true'), ('north contact', 'csm_portal', '42501'), ('north manager', 'csm_portal', '42501'),
             ('north reader', 'csm_portal', '42501'), ('plant manager', 'csm_portal', '42501'), ('viewer', 'csm_agent', '42501'), ('south admin', 'csm_portal', 'SM001')) v(who, role_name, outcome);
SELECT is(pg_temp.try('north contact', 'csm_portal', format('SELECT csm.unshare_case(%s, %s)', small.c('north: pump'), small.u('plant manager'))), 'true', 'B18 whoever could grant a share can end it');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('SELECT csm.unshare_case(%s, %s)', small.c('north: pump'), small.u('north reader'))), 'false', 'B18 there was none to end');
SELECT is(pg_temp.try('student', 'csm_portal', format('SELECT csm.unshare_case(%s, %s)', small.c('north: pump'), small.u('student')), true), 'true', 'B18 the student gives it up');
SELECT is(small.sees('student', 'north: pump'), false, 'V10 and sees it no more');
SELECT is(pg_temp.try('student', 'csm_portal', format('SELECT csm.unshare_case(%s, %s)', small.c('north: pump'), small.u('student'))), 'SM001', 'V15 nor what he had');
SELECT is((SELECT count(*) FROM csm.case_parties WHERE case_id = small.c('north: pump') AND user_id = small.u('student') AND upper(valid_during) <= clock_timestamp()), 1::bigint, 'B18 the row is kept with its end');
SELECT is(pg_temp.share('desk manager', 'csm_agent', 'north: pump', 'student', NULL, '{case_read}', true), 'case_read', 'B18 it can be shared again');
SELECT is(small.acts('student', 'north: pump'), '', 'V7 with what it gives now');
SELECT is(pg_temp.try('north contact', 'csm_portal', format('SELECT (csm.share_case(%s, %s, NULL, ''{case_read}'', clock_timestamp() + interval ''0.3 s'')).id IS NOT NULL', small.c('north: pump'), small.u('north colleague')), true), 'true', 'B18 a share with an end');
SELECT is(small.sees('north colleague', 'north: pump'), true, 'V7 until then');
SELECT pg_sleep(0.35) \g /dev/null
SELECT is(small.sees('north colleague', 'north: pump'), false, 'V10 and not after');
SELECT is(pg_temp.share('north contact', 'csm_portal', 'north: pump', NULL, 'plant', '{case_read}', true), 'case_read', 'B18 shared with an account');
SELECT is(small.sees('plant contact', 'north: pump'), true, 'V7 all its contacts see it');

-- Who reads with whom it is shared.
SELECT is(pg_temp.share('north manager', 'csm_portal', 'dispute: globex', 'north contact', NULL, '{case_read}', true), 'case_read', 'B18 a dispute is shared on the claimant''s side');
SELECT is(small.run(small.u(v.who), v.role_name, format('SELECT count(*) FROM csm.case_parties WHERE case_id = %s', small.c('dispute: globex'))), v.seen, format('V8 shares of a dispute that %s sees', v.who))
FROM (VALUES ('north manager', 'csm_portal', '1'), ('north contact', 'csm_portal', '1'), ('b2b agent', 'csm_agent', '1'), ('viewer', 'csm_agent', '1'), ('globex manager', 'csm_portal', '0'), ('globex manager', 'csm_agent', '0')) v(who, role_name, seen);
SELECT is((SELECT string_agg(DISTINCT concat_ws(' ', kind, audience, side), ', ' ORDER BY concat_ws(' ', kind, audience, side)) FROM csm.events WHERE kind IN ('shared', 'unshared')),
          'shared private customer, unshared private customer', 'D5 events of shares are not for the counterparty');

-- ---- links ----
CREATE FUNCTION pg_temp.link(person text, role_name text, from_case text, to_case text, of_kind text, keep boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try(person, role_name, format('INSERT INTO csm.case_links (from_case_id, to_case_id, kind) VALUES (%s, %s, %L) RETURNING kind', small.c(from_case), small.c(to_case), of_kind), keep) $$;
SELECT is(pg_temp.link(v.who, v.role_name, v.a, v.b, v.kind), v.outcome, format('B18 link "%s" %s "%s" by %s', v.a, v.kind, v.b, v.who))
FROM (VALUES ('b2b agent', 'csm_agent', 'north: pump', 'north: valve', 'duplicate', 'duplicate'), ('b2b agent', 'csm_agent', 'north: pump', 'acme: invoice', 'related', 'related'), ('b2b agent', 'csm_agent', 'north: pump', 'stranger: refund', 'related', '42501'),
             ('b2b agent', 'csm_agent', 'north: pump', 'north: pump', 'related', '23514'), ('b2b agent', 'csm_agent', 'north: pump', 'acme: invoice', 'cousin', '23514'), ('viewer', 'csm_agent', 'north: pump', 'north: valve', 'related', '42501'),
             ('north manager', 'csm_portal', 'north: pump', 'north: valve', 'related', '42501'), ('account team', 'csm_agent', 'north: pump', 'acme: invoice', 'related', '42501')) v(who, role_name, a, b, kind, outcome);
SELECT is(pg_temp.told('account team', 'csm_agent', format('INSERT INTO csm.case_links (from_case_id, to_case_id, kind) VALUES (%s, %s, ''related'')', small.c('north: pump'), small.c('acme: invoice'))),
          pg_temp.told('account team', 'csm_agent', format('INSERT INTO csm.case_links (from_case_id, to_case_id, kind) VALUES (%s, 987654321, ''related'')', small.c('north: pump'))), 'V15 a link to a hidden case and to a missing one: the same words');
SELECT is(pg_temp.link('b2b agent', 'csm_agent', 'north: pump', 'north: valve', 'related', true), 'related', 'B18 two cases are related');
SELECT is(pg_temp.link('b2b agent', 'csm_agent', 'north: valve', 'north: pump', 'related'), '23505', '23505 which they are once');
SELECT is(small.run(small.u(v.who), v.role_name, 'SELECT count(*) FROM csm.case_links'), v.seen, format('V3 links that %s sees, who sees %s of the two cases', v.who, v.cases))
FROM (VALUES ('b2b agent', 'csm_agent', '1', 'both'), ('north manager', 'csm_portal', '1', 'both'), ('north contact', 'csm_portal', '0', 'one'), ('north colleague', 'csm_portal', '0', 'the other'), ('south admin', 'csm_portal', '0', 'none')) v(who, role_name, seen, cases);
SELECT is(pg_temp.try(v.who, v.role_name, 'WITH d AS (DELETE FROM csm.case_links RETURNING 1) SELECT count(*) FROM d'), v.outcome, format('B18 links deleted by %s', v.who))
FROM (VALUES ('b2b agent', 'csm_agent', '1'), ('viewer', 'csm_agent', '0'), ('north manager', 'csm_portal', '42501')) v(who, role_name, outcome);

-- ---- follow-ups ----
SELECT set_config('csm.importing', 'on', false) \g /dev/null
UPDATE csm.cases SET state = 'closed', priority = 2 WHERE id IN (small.c('north: pump'), small.c('stranger: refund'), small.c('dispute: globex'));
SELECT set_config('csm.importing', 'off', false) \g /dev/null
SELECT is(pg_temp.try(v.who, v.role_name, format($$SELECT concat_ws(' ', f.subject, f.branch, f.requester_id = %s, f.opened_by = %s, f.account_id IS NOT DISTINCT FROM (SELECT c.account_id FROM csm.cases c WHERE c.id = %s), f.priority, f.state)
          FROM csm.open_follow_up(%3$s, description => 'again') f$$, small.u(v.requester), small.u(v.who), small.c(v.subject))), v.outcome, format('B18 a follow-up of "%s" by %s', v.subject, v.who))
FROM (VALUES ('north contact', 'csm_portal', 'north: pump', 'north contact', 'Follow-up: north: pump b2b t t t 2 new'), ('north manager', 'csm_portal', 'north: pump', 'north contact', 'Follow-up: north: pump b2b t t t 2 new'),
             ('b2b agent', 'csm_agent', 'north: pump', 'north contact', 'Follow-up: north: pump b2b t t t 2 new'), ('stranger', 'csm_portal', 'stranger: refund', 'stranger', 'Follow-up: stranger: refund b2c t t t 2 new'),
             ('north reader', 'csm_portal', 'north: pump', 'north contact', '42501'), ('student', 'csm_portal', 'north: pump', 'north contact', '42501'), ('viewer', 'csm_agent', 'north: pump', 'north contact', '42501'),
             ('globex manager', 'csm_portal', 'dispute: globex', 'north manager', '42501'), ('north colleague', 'csm_portal', 'north: pump', 'north contact', 'SM001'), ('north colleague', 'csm_portal', 'north: valve', 'north colleague', 'SM002'),
             ('consumer agent', 'csm_agent', 'north: pump', 'north contact', 'SM001')) v(who, role_name, subject, requester, outcome);
SELECT is(replace(pg_temp.told('north colleague', 'csm_portal', format('SELECT csm.open_follow_up(%s)', small.c('north: pump'))), small.c('north: pump')::text, 'N'),
          replace(pg_temp.told('north colleague', 'csm_portal', 'SELECT csm.open_follow_up(987654321)'), '987654321', 'N'), 'V15 a follow-up of a hidden case and of a missing one: the same words');
SELECT pg_temp.try('north contact', 'csm_portal', format('SELECT (csm.open_follow_up(%s, ''Pump again'', idempotency_key => ''k1'')).id', small.c('north: pump')), true) AS next \gset
SELECT is(pg_temp.try('north contact', 'csm_portal', format('SELECT (csm.open_follow_up(%s, ''Pump again'', idempotency_key => ''k1'')).id', small.c('north: pump')), true), :'next', 'B18 the same key gives the same follow-up');
SELECT is(pg_temp.try('north contact', 'csm_portal', format('SELECT string_agg(concat_ws('' '', kind, to_case_id, created_by), '','') FROM csm.case_links WHERE from_case_id = %s', :next)),
          format('follow_up %s %s', small.c('north: pump'), small.u('north contact')), 'B18 it is linked once, and its opener sees the link');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('WITH d AS (DELETE FROM csm.case_links WHERE from_case_id = %s RETURNING 1) SELECT count(*) FROM d', :next)), '0', 'B18 a follow-up stays one');
SELECT is((SELECT state FROM csm.cases WHERE id = small.c('north: pump')), 'closed', 'R2.2 the closed case stays closed');
SELECT * FROM finish();
