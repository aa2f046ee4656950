-- Disputes, row by row of R 5.4: what an act demands and what it leaves behind; what the two sides see of one another; what
-- time does; and what never happens.
\set ON_ERROR_STOP on
\ir ../lib/disputes.sql
SELECT * FROM no_plan();

CREATE FUNCTION d.query(who text, statement text, persona text DEFAULT NULL) RETURNS text LANGUAGE sql AS 'SELECT d.run(who, statement, false, persona)';
CREATE FUNCTION d.say(who text, dispute bigint, words text, visibility text DEFAULT 'shared', keep boolean DEFAULT true) RETURNS text LANGUAGE sql AS $$
    SELECT d.run(who, format('SELECT (csm.comment(%s, %L, %L)).side', dispute, words, visibility), keep)
$$;
CREATE FUNCTION d.timers(dispute bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', kind, round(extract(epoch FROM due_at - clock_timestamp()) / 3600)), ', ' ORDER BY kind)
    FROM csm.timers WHERE case_id = dispute AND kind LIKE 'dispute\_%'
$$;
CREATE FUNCTION d.events(dispute bigint, of_kind text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg((payload - 'proposal_id')::text, ' ' ORDER BY id) FROM csm.events WHERE case_id = dispute AND kind = of_kind
$$;

-- 1: open.
SELECT is(d.run('north contact', $$INSERT INTO csm.cases (case_type, subject, counterparty_account_id) VALUES ('dispute', 'x', $$ || small.a('globex') || $$) RETURNING state || ' ' || (submitted_at = opened_at)::text$$),
          'submitted true', 'R5.4.1 a contact opens for himself, by plain INSERT too');
SELECT ok(d.open(w, keep => false) !~ '^[0-9]{5}$' OR d.open(w, keep => false)::bigint > 0, 'R5.4.1 ' || w || ' opens for his company')
FROM unnest('{north contact,north colleague,north manager,north admin,acme admin}'::text[]) w;
SELECT is(d.run('north manager', format($$SELECT concat_ws(' ', requester_id, opened_by, account_id) FROM csm.open_case('x', NULL, 'dispute', requester_id => %s, counterparty_account_id => %s)$$,
                                        small.u('north contact'), small.a('globex'))),
          concat_ws(' ', small.u('north contact'), small.u('north manager'), small.a('north')), 'R5.4.1 a case manager opens on behalf of a colleague');
SELECT is(d.run('b2b agent', format($$SELECT (csm.open_case('x', NULL, 'dispute', account_id => %s, requester_id => %s, counterparty_account_id => %s)).state$$,
                                    small.a('north'), small.u('north contact'), small.a('globex'))), 'submitted', 'R5.4.1 an agent opens on behalf of the claimant');
SELECT is(d.run('north contact', format($$SELECT csm.open_case('x', NULL, 'dispute', requester_id => %s, counterparty_account_id => %s)$$, small.u('north colleague'), small.a('globex'))),
          '42501', 'R5.4.1 a plain contact does not open for a colleague');
SELECT is(d.run('globex contact', format($$SELECT (csm.open_case('x', NULL, 'dispute', counterparty_account_id => %s)).account_id$$, small.a('north'))), small.a('globex')::text,
          'R5.4.1 trade has no direction: globex can claim against north');
SELECT is(d.open(w, keep => false), '42501', 'R5.4.1 not for north: ' || w) FROM unnest('{globex manager,umbrella admin,stranger,acme contact,plant manager}'::text[]) w;
SELECT is(d.run('north contact', $$SELECT csm.open_case('x', NULL, 'dispute')$$), 'SM003', 'SM003 a dispute has another side');
SELECT is(d.run('b2b agent', format($$SELECT csm.open_case('x', NULL, 'dispute', requester_id => %s, account_id => %s)$$, small.u('north contact'), small.a('north'))), 'SM003', 'SM003 for an agent too');
SELECT is(d.run('system', format($$INSERT INTO csm.cases (tenant_id, case_type, subject, requester_id, account_id) VALUES (%s, 'dispute', 'x', %s, %s)$$, small.tenant(), small.u('north contact'), small.a('north'))),
          'SM003', 'SM003 for a superuser''s script too');
SELECT is(d.run('b2b agent', format($$SELECT csm.open_case('x', NULL, 'dispute', requester_id => %s, account_id => %s, counterparty_account_id => %2$s)$$, small.u('north contact'), small.a('north'))),
          '23514', 'R5.4.1 nobody disputes with himself');
SELECT is(d.run('north contact', format($$SELECT csm.open_case(NULL, NULL, 'dispute', counterparty_account_id => %s)$$, small.a('globex'))), '22004', 'R5.4.1 a subject is needed');
SELECT is(d.run('north contact', format($$SELECT (csm.open_case('x', NULL, 'dispute', counterparty_account_id => %s, fields => '{"attributes": {"claimed_object": "INV-7", "claimed_amount": 90.5, "claimed_currency": "EUR"}}')).attributes->>'claimed_object'$$, small.a('globex'))),
          'INV-7', 'R5.4.1 what is claimed stands in fields of the type');
SELECT is(d.run('north contact', format($$SELECT csm.open_case('x', NULL, 'dispute', counterparty_account_id => %s, fields => '{"attributes": {"claimed_amount": "much"}}')$$, small.a('globex'))),
          '22023', 'R5.4.1 and is checked');

SELECT is(d.run('b2b agent', format($$UPDATE csm.cases SET case_type = 'dispute' WHERE id = %s$$,
                                    d.run('north contact', $$SELECT (csm.open_case('x', draft => true)).id$$, true))), 'SM003', 'SM003 nor does a case become a dispute without one');

-- The other side is chosen from those with whom one trades.
SELECT is(d.query('north contact', 'SELECT string_agg(concat_ws('' '', name, for_account_id), '','' ORDER BY name) FROM csm.dispute_counterparties()'),
          format('globex %s,initech %1$s', small.a('north')), 'R5.1 counterparties of a contact');
SELECT is(d.query('globex contact', 'SELECT string_agg(name, '','') FROM csm.dispute_counterparties()'), 'north', 'R5.1 seen from the other end');
SELECT is(d.query('acme admin', 'SELECT string_agg(concat_ws('' '', name, for_account_id), '','' ORDER BY name) FROM csm.dispute_counterparties()'),
          format('globex %s,initech %1$s', small.a('north')), 'R5.1 an administrator of the parent: those of the child, for the child');
SELECT is(d.query(w, 'SELECT count(*) FROM csm.dispute_counterparties()'), '0', 'R5.1 no counterparties: ' || w) FROM unnest('{acme contact,umbrella admin,stranger,nobody,south contact}'::text[]) w
WHERE w <> 'south contact';
SELECT is(d.open('north contact', a.name, keep => false) ~ '^[0-9]+$' AND length(d.open('north contact', a.name, keep => false)) <> 5,
          a.name IN (SELECT name FROM small.named WHERE kind = 'account' AND name IN ('globex', 'initech')), 'R5.1 what is listed can be named, and nothing else: ' || a.name)
FROM small.named a WHERE a.kind = 'account' AND a.name <> 'north';
SELECT is(replace(d.run('north contact', $$SELECT csm.open_case('x', NULL, 'dispute', counterparty_account_id => 987654321)$$, told => true), '987654321', 'N'),
          replace(d.run('north contact', format($$SELECT csm.open_case('x', NULL, 'dispute', counterparty_account_id => %s)$$, small.a('umbrella')), told => true), small.a('umbrella')::text, 'N'),
          'V15 an unknown account and an unrelated one: the same words');
BEGIN;
UPDATE csm.account_relationships SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE id = small.r('north-globex');
SELECT is(d.open('north contact', keep => false), '42501', 'R5.1 trade that has ended');
SELECT is(d.query('north contact', 'SELECT string_agg(name, '','') FROM csm.dispute_counterparties()'), 'initech', 'R5.1 is not listed either');
ROLLBACK;
BEGIN;
UPDATE csm.case_types SET settings = settings || '{"counterparties": "any"}' WHERE case_type = 'dispute';
SELECT isnt(d.open('north contact', 'umbrella', keep => false), '42501', 'R5.1 a tenant may let his customers name any account');
SELECT is(d.run('north contact', $$SELECT csm.open_case('x', NULL, 'dispute', counterparty_account_id => 987654321)$$), '42501', 'V15 a missing one is refused all the same');
ROLLBACK;

-- 1, 2: what opening and submitting leave behind.
SELECT d.open('north contact', draft => true)::bigint AS c \gset
SELECT is(d.now(:c, 'state, state_class, submitted_at IS NULL, requester_id, account_id, counterparty_account_id'),
          concat_ws(' ', 'draft draft t', small.u('north contact'), small.a('north'), small.a('globex')), 'R5.4.1 a draft');
SELECT is(d.timers(:c), NULL, 'R5.4.1 in a draft no clock runs');
SELECT is(d.say('north contact', :c, 'not yet ready'), 'customer', 'R5.4.4 a word on the draft');
SELECT is(d.act('north contact', :c, 'submit', NULL), 'submitted', 'R5.4.2 draft→submitted');
SELECT is(d.now(:c, 'submitted_at > opened_at'), 't', 'R5.4.2 submitted now');
SELECT is(d.timers(:c), 'dispute_response 72', 'R5.4.2 the respondent''s clock runs');
SELECT is(d.query('globex manager', format('SELECT count(*) FROM csm.cases WHERE id = %s', :c)), '1', 'R5.4.2 from now on the respondent sees it');

-- 3: acknowledge, or the first words.
SELECT is(d.say('globex manager', :c, 'psst', 'private', false), 'counterparty', 'R5.4.3 a private entry');
SELECT is(d.run('globex manager', format('WITH e AS MATERIALIZED (SELECT csm.comment(%s, ''psst'', ''private'')) SELECT count(*) FROM e', :c), true), '1', 'R5.4.4 private to the operator');
SELECT is(d.now(:c, 'state'), 'submitted', 'R5.4.3 acknowledges nothing');
SELECT is(d.say('north contact', :c, 'well?'), 'customer', 'R5.4.4 the claimant speaks');
SELECT is(d.say('b2b agent', :c, 'we look into it'), 'operator', 'R5.4.4 the operator speaks');
SELECT is(d.now(:c, 'state'), 'submitted', 'R5.4.3 neither acknowledges for the respondent');
SELECT is(d.say('globex reader', :c, 'x'), '42501', 'R5.4.4 who only reads says nothing');
SELECT is(d.say(w, :c, 'x'), 'SM001', 'R5.4.4 not ' || w) FROM unnest('{globex contact,umbrella admin,initech contact,north colleague}'::text[]) w;
SELECT is(d.say('globex manager', :c, 'we have it'), 'counterparty', 'R5.4.3 first words of the respondent');
SELECT is(d.now(:c, 'state, needs_attention'), 'in_discussion t', 'R5.4.3 submitted→in_discussion by them');
SELECT is(d.say('globex manager', :c, 'again') || d.now(:c, 'state'), 'counterpartyin_discussion', 'R5.4.3 the second say nothing new');
SELECT is(d.act('globex manager', d.brought('submitted'), 'acknowledge', NULL), 'in_discussion', 'R5.4.3 acknowledge without words');
SELECT d.brought('submitted') AS p \gset
SELECT is(d.run('globex lawyer', format('INSERT INTO csm.case_entries (case_id, body) VALUES (%s, ''plain'') RETURNING side', :p), true) || d.now(:p, 'state'),
          'counterpartyin_discussion', 'R5.4.3 a plain INSERT by the contact named does it too');

-- 4: who reads which words. Each line: who, and the bodies that he sees. What was shared on the draft belongs to the dispute
-- once it is submitted; what is not meant for the other side is private.
SELECT is(d.say('north manager', :c, 'our bank says', 'private') || ' ' || d.say('b2b agent', :c, 'work note', 'internal'), 'customer operator', 'R5.4.4 a private word of the claimant, a work note');
SELECT is(d.query(v.who, format('SELECT string_agg(body, '', '' ORDER BY id) FROM csm.case_entries WHERE case_id = %s', :c)), v.sees, 'R5.5 words that ' || v.who || ' reads')
FROM (VALUES ('north contact', 'not yet ready, well?, we look into it, we have it, again, our bank says'),
             ('north reader', 'not yet ready, well?, we look into it, we have it, again, our bank says'),
             ('acme admin', 'not yet ready, well?, we look into it, we have it, again, our bank says'),
             ('globex manager', 'not yet ready, psst, well?, we look into it, we have it, again'),
             ('globex reader', 'not yet ready, psst, well?, we look into it, we have it, again'),
             ('b2b agent', 'not yet ready, psst, well?, we look into it, we have it, again, our bank says, work note'),
             ('desk manager', 'not yet ready, psst, well?, we look into it, we have it, again, our bank says, work note'),
             ('viewer', 'not yet ready, well?, we look into it, we have it, again'),
             ('umbrella admin', NULL), ('globex contact', NULL)) v(who, sees);
SELECT is(d.say('globex manager', :c, 'x', 'internal'), '42501', 'R5.2 a party writes no work note');

-- 5, 6: a question and its answer.
SELECT is(d.act('globex manager', :c, 'request_info', NULL), 'SM003', 'SM003 R5.4.5 a question must be asked');
SELECT is(d.act('globex manager', :c, 'request_info', 'Which invoice?'), 'awaiting_claimant', 'R5.4.5 in_discussion→awaiting_claimant');
SELECT is(d.now(:c, 'state_class') || coalesce(d.timers(:c), ' no clock'), 'waiting no clock', 'R5.4.5 the respondent''s clock rests');
SELECT is(d.query('north contact', format('SELECT concat_ws(''|'', body, author_name, side) FROM csm.case_entries WHERE case_id = %s ORDER BY id DESC LIMIT 1', :c)),
          'Which invoice?|globex manager|counterparty', 'R5.4.5 the claimant reads the question');
SELECT is(d.say('globex manager', :c, 'hurry') || d.now(:c, 'state'), 'counterpartyawaiting_claimant', 'R5.4.6 the respondent does not answer himself');
SELECT is(d.run('north contact', format('WITH e AS MATERIALIZED (SELECT csm.comment(%s, ''to you only'', ''private'')) SELECT count(*) FROM e', :c), true) || d.now(:c, 'state'), '1awaiting_claimant', 'R5.4.6 nor does a private word');
SELECT is(d.say('north admin', :c, 'Number 7') || d.now(:c, 'state'), 'customerin_discussion', 'R5.4.6 awaiting_claimant→in_discussion by any words of the claimant''s side');
SELECT is(d.timers(:c), 'dispute_response 72', 'R5.4.6 the clocks swap');
SELECT is(d.act('b2b agent', :c, 'request_info', 'And the date?') || d.act('north contact', :c, 'resume', 'In May'), 'awaiting_claimantin_discussion', 'R5.4.5 the operator may ask as well');

-- 7: propose.
SELECT is(d.act('globex manager', :c, 'propose', NULL, v.fields::jsonb), v.code, format('%s R5.4.7 propose %s', v.code, v.fields))
FROM (VALUES ('SM003', '{}'), ('SM003', '{"resolution_code": "Credit", "resolution_notes": "Half"}'), ('SM003', '{"reference": "CN-1"}'),
             ('SM003', '{"reference": "  ", "resolution_code": "Credit", "resolution_notes": "Half"}'),
             ('SM003', '{"reference": null, "resolution_code": "Credit", "resolution_notes": "Half"}'),
             ('23514', '{"reference": "CN-1", "amount": 5, "resolution_code": "Credit", "resolution_notes": "Half"}'),
             ('23514', '{"reference": "CN-1", "amount": -5, "currency": "EUR", "resolution_code": "Credit", "resolution_notes": "Half"}'),
             ('23514', '{"reference": "CN-1", "amount": 5, "currency": "euro", "resolution_code": "Credit", "resolution_notes": "Half"}'),
             ('22P02', '{"reference": "CN-1", "amount": "much", "currency": "EUR", "resolution_code": "Credit", "resolution_notes": "Half"}'),
             ('42501', '{"reference": "CN-1", "priority": 1, "resolution_code": "Credit", "resolution_notes": "Half"}'),
             ('22023', '{"reference": "CN-1", "outcome": "accepted", "resolution_code": "Credit", "resolution_notes": "Half"}')) v(code, fields);
SELECT is(d.run('globex manager', format('SELECT csm.act(%s, ''propose'')', :c), told => true),
          format('SM003 | action "propose" on case %s lacks a required field | Missing: reference, resolution_code, resolution_notes. | Give them to csm.act() in fields, a note in note.', d.now(:c, 'number')),
          'SM003 R5.4.7 names all that is missing');
SELECT is(d.query('globex manager', format('SELECT array_to_string(required_fields, '','') FROM csm.actions(%s) WHERE action = ''propose''', :c)), 'reference,resolution_code,resolution_notes', 'R5.4.7 csm.actions says so beforehand');
SELECT is(d.act('globex manager', :c, 'propose', 'Please see'), 'proposed', 'R5.4.7 in_discussion→proposed');
SELECT is(d.now(:c, 'state_class, resolved_at IS NOT NULL, resolution_code, needs_attention'), 'resolved t Credit f', 'R5.4.7 since when a proposal stands; staff need not look');
SELECT is(d.proposals(:c, 'round, side, proposed_by, proposed_name, reference, amount, currency, resolution_code, notes, coalesce(outcome, ''pending'')'),
          format('1 counterparty %s globex manager CN-1 90.50 EUR Credit Credited in part pending', small.u('globex manager')), 'R5.4.7 the proposal as it was made');
SELECT is(d.timers(:c), 'dispute_auto_accept 240', 'R5.4.7 the claimant''s clock runs');
SELECT is(d.events(:c, 'proposal_made'), '{"round": 1, "amount": "90.50", "currency": "EUR", "reference": "CN-1"}', 'R5.4.7 an event');
SELECT is(d.query(v.who, format('SELECT count(*) FROM csm.dispute_proposals WHERE case_id = %s', :c)), v.n, 'R5.5 proposals that ' || v.who || ' sees')
FROM (VALUES ('north contact', '1'), ('north reader', '1'), ('globex manager', '1'), ('globex reader', '1'), ('b2b agent', '1'), ('acme admin', '1'), ('umbrella admin', '0'),
             ('initech contact', '0'), ('globex contact', '0'), ('north colleague', '0'), ('consumer agent', '0'), ('nobody', '0')) v(who, n);

-- 9: reject, and the next round.
SELECT is(d.act('north contact', :c, 'reject', NULL), 'SM003', 'SM003 R5.4.9 rejecting needs a reason');
SELECT is(d.act('north contact', :c, 'reject', 'All of it, please'), 'in_discussion', 'R5.4.9 proposed→in_discussion');
SELECT is(d.proposals(:c, 'round, outcome, decided_by, decided_name, reason, decided_at >= proposed_at'), format('1 rejected %s north contact All of it, please t', small.u('north contact')), 'R5.4.9 the round is decided, once');
SELECT is(d.now(:c, 'resolved_at IS NULL, reopen_count, auto_close'), 't 1 f', 'R5.4.9 the flag of automatic acceptance is cleared');
SELECT is(d.timers(:c), 'dispute_response 72', 'R5.4.9 the respondent''s clock runs again');
SELECT is(d.events(:c, 'proposal_decided'), '{"round": 1, "outcome": "rejected"}', 'R5.4.9 an event');

-- 10: withdraw the proposal.
SELECT is(d.act('globex lawyer', :c, 'propose'), 'SM001', 'R5.4.7 not by a contact who is not named here');
SELECT is(d.act('globex manager', :c, 'propose', NULL, d.given('propose') || '{"reference": "CN-2", "amount": 100}'), 'proposed', 'R5.4.7 round 2');
SELECT is(d.now(:c, 'auto_close'), 't', 'R5.4.9 the next proposal can be accepted by time again');
SELECT is(d.act('globex manager', :c, 'withdraw_proposal', 'A slip'), 'in_discussion', 'R5.4.10 proposed→in_discussion');
SELECT is(d.proposals(:c, 'round, outcome, reason'), '1 rejected All of it, please; 2 withdrawn A slip', 'R5.4.10 the round is withdrawn');
SELECT is(d.act(w, :c, 'accept'), v.code, format('R5.4 never: %s accepts after withdrawal of the proposal', w))
FROM (VALUES ('north contact', 'SM002'), ('globex manager', '42501'), ('desk manager', '42501'), ('system', 'SM002')) v(w, code);
SELECT is(d.now(:c, 'reopen_count, auto_close'), '1 t', 'R5.4.10 withdrawing is no rejection');

-- 8: accept.
SELECT is(d.act('globex manager', :c, 'propose', NULL, d.given('propose') || '{"reference": "CN-3", "amount": 181}'), 'proposed', 'R5.4.7 round 3');
SELECT is(d.act(w, :c, 'accept'), v.code, 'R5.4 never: ' || w || ' accepts')
FROM (VALUES ('globex manager', '42501'), ('globex reader', '42501'), ('globex lawyer', 'SM001'), ('b2b agent', '42501'), ('desk manager', '42501'), ('umbrella admin', 'SM001')) v(w, code);
SELECT is(d.act('north contact', :c, 'accept', NULL, '{"reference": "CN-9"}'), '22023', 'R5.4.8 accepting makes no proposal');
SELECT is(d.act('north contact', :c, 'accept', NULL), 'settled', 'R5.4.8 proposed→settled');
SELECT is(d.now(:c, 'state_class, closed_at IS NOT NULL, needs_attention'), 'closed t f', 'R5.4.8 closed');
SELECT is(d.proposals(:c, 'round, outcome, decided_by'), format('1 rejected %s; 2 withdrawn %s; 3 accepted %1$s', small.u('north contact'), small.u('globex manager')), 'R5.4.8 the round is accepted');
SELECT is(d.act('north manager', :c, 'accept'), 'SM004', 'SM004 R5.4.8 accept twice');
SELECT is(d.timers(:c), NULL, 'R5.4.8 no clock runs');
SELECT is(d.say(w, :c, 'thanks', v), 'SM004', format('R5.4 never: a %s comment on a closed dispute, by %s', v, w))
FROM unnest('{north contact,globex manager,b2b agent,desk manager}'::text[]) w, unnest('{shared,private}'::text[]) v;
SELECT is(d.run('globex manager', format('INSERT INTO csm.case_entries (case_id, body) VALUES (%s, ''x'')', :c)), 'SM004', 'R5.4 never: by plain INSERT');

-- Proposals are written by acts alone, and stay.
SELECT d.brought('proposed') AS p \gset
SELECT is(d.run('system', s), '42501', 'R5.4.7 immutable for a superuser: ' || s)
FROM unnest(ARRAY[format('UPDATE csm.dispute_proposals SET reference = ''X'' WHERE case_id = %s', :p), format('UPDATE csm.dispute_proposals SET outcome = ''accepted'' WHERE case_id = %s', :p),
                  format('DELETE FROM csm.dispute_proposals WHERE case_id = %s', :p), 'TRUNCATE csm.dispute_proposals',
                  format($$INSERT INTO csm.dispute_proposals (tenant_id, case_id, round, side, proposed_name, reference) VALUES (%s, %s, 9, 'counterparty', 'x', 'x')$$, small.tenant(), :p)]) s;
SELECT is(d.run(w, s), '42501', format('R5.4.7 no writing: %s, %s', w, split_part(s, ' ', 1)))
FROM unnest('{north contact,globex manager,b2b agent}'::text[]) w,
     unnest(ARRAY['UPDATE csm.dispute_proposals SET outcome = ''accepted''', 'DELETE FROM csm.dispute_proposals',
                  'INSERT INTO csm.dispute_proposals (case_id, round, side, proposed_name, reference) VALUES (1, 9, ''counterparty'', ''x'', ''x'')']) s;
BEGIN;
SET LOCAL csm.importing = on;
INSERT INTO csm.dispute_proposals (tenant_id, case_id, round, side, proposed_name, reference, outcome, decided_name, decided_at)
VALUES (small.tenant(), :p, 9, 'counterparty', 'x', 'x', 'rejected', 'y', '2020-01-01');
SELECT is(d.proposals(:p, 'round'), '1; 9', 'D5 importing brings rounds of another system');
ROLLBACK;

BEGIN;
SET LOCAL csm.importing = on;
INSERT INTO csm.cases (tenant_id, case_type, state, subject, requester_id, opened_by, account_id, counterparty_account_id)
VALUES (small.tenant(), 'dispute', 'proposed', 'imported', small.u('north contact'), small.u('north contact'), small.a('north'), small.a('globex')) RETURNING id AS i \gset
SET LOCAL csm.importing = off;
SELECT is(d.act('north contact', :i, a, keep => false), 'SM002', 'SM002 R5.4.8 there is no proposal to decide: ' || a) FROM unnest('{accept,reject}'::text[]) a;
SELECT is(d.act('north contact', :i, 'escalate', keep => false), 'escalated', 'R5.4.14 an imported dispute without its proposal goes to the operator');
ROLLBACK;

-- A plain UPDATE makes no proposal: a reference cannot be given with it. "hats" is an agent whom globex named.
SELECT small.new_staff('hats', 'agent'), small.new_contact('hats', 'globex', 'customer');
INSERT INTO d.actor VALUES ('hats', 'csm_agent');
SELECT d.brought('submitted') AS p \gset
SELECT is(d.act('b2b agent', :p, 'assign_contact', NULL, jsonb_build_object('counterparty_contact_id', small.k('hats at globex'))), 'submitted', 'R5.2 the operator names a contact');
SELECT is(d.run('hats', format($$UPDATE csm.cases SET state = 'proposed', resolution_code = 'a', resolution_notes = 'b' WHERE id = %s$$, :p)), 'SM003', 'SM003 R5.4.7 no reference, no proposal: plain UPDATE');
SELECT is(d.run('hats', format($$UPDATE csm.cases SET state = 'in_discussion' WHERE id = %s RETURNING state$$, :p)), 'in_discussion', 'R5.4.3 where nothing must be given a plain UPDATE does');
SELECT is(d.run('system', format($$UPDATE csm.cases SET state = 'settled' WHERE id = %s RETURNING state$$, d.brought('proposed')), true), 'settled', 'R5.4.11 a plain UPDATE by the system');
SELECT is((SELECT concat_ws(' ', outcome, decided_name, decided_by IS NULL) FROM csm.dispute_proposals ORDER BY id DESC LIMIT 1), 'accepted system t', 'R5.4.11 decides the proposal as the act does');
SELECT is(d.run(w, format('UPDATE csm.cases SET subject = ''x'' WHERE id = %s', :p)), '42501', 'R5.2 csm_portal updates nothing: ' || w) FROM unnest('{north contact,globex manager}'::text[]) w;
SELECT is(d.run(w, format('UPDATE csm.cases SET %I = %s WHERE id = %s', v.col, v.val, :p)), '42501', format('R5.2 parties stay after submission: %s by %s', v.col, w))
FROM (VALUES ('account_id', small.a('acme')), ('counterparty_account_id', small.a('initech')), ('requester_id', small.u('north manager'))) v(col, val), unnest('{b2b agent,desk manager}'::text[]) w;

SELECT is(d.run(w, format('SELECT csm.set_fields(%s, ''{"claimed_amount": 5}'') IS NULL', :p)), '42501', 'R5.2 the amount stays after submission: ' || w) FROM unnest('{north contact,north admin,globex manager,viewer}'::text[]) w;
SELECT is(d.run(w, format('SELECT (csm.set_fields(%s, ''{"claimed_amount": 5}'')).attributes->>''claimed_amount''', :p)), '5', 'R5.2 the operator corrects it: ' || w) FROM unnest('{b2b agent,desk manager}'::text[]) w;
SELECT is(d.act(v.who, :p, 'escalate', 'x', '{"claimed_amount": 5}'), '42501', 'R5.2 nor along with an act: ' || v.who) FROM (VALUES ('north contact')) v(who);

-- 11: accepted by time.
SELECT d.brought('proposed') AS p \gset
CREATE FUNCTION d.later(hours numeric, also text DEFAULT 'SELECT 1') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE also;
    SELECT string_agg(concat_ws(' ', r.kind, r.done, r.failed), ',' ORDER BY r.kind) INTO answer FROM csm.run_due(clock_timestamp() + hours * interval '1 hour') r WHERE r.failed > 0;
    RETURN coalesce(answer, 'no failure');
END $$;
BEGIN;
SELECT is(d.later(239) || ' ' || d.now(:p, 'state'), 'no failure proposed', 'R5.4.11 not before its time');
SELECT is((SELECT count(*) FROM csm.case_entries WHERE case_id = :p AND author_id IS NULL AND visibility = 'shared'), 1::bigint, 'R5.4.11 a reminder on day 5');
SELECT is(d.later(241) || ' ' || d.now(:p, 'state'), 'no failure settled', 'R5.4.11 proposed→settled when nobody answers');
SELECT is(d.proposals(:p, 'outcome, decided_name, decided_by IS NULL, reason'), 'accepted system t Accepted automatically: the proposal was not answered in time', 'R5.4.11 by the system');
SELECT is(d.query(w, format('SELECT concat_ws(''|'', author_name, side, body) FROM csm.case_entries WHERE case_id = %s ORDER BY id DESC LIMIT 1', :p)),
          'system|operator|Accepted automatically: the proposal was not answered in time', 'R5.4.11 both are told: ' || w) FROM unnest('{north contact,globex manager}'::text[]) w;
SELECT is(d.later(500) || ' ' || d.now(:p, 'state'), 'no failure settled', 'R5.4.11 once');
ROLLBACK;
BEGIN;
SELECT d.say('north contact', :p, 'I am still thinking');
SELECT is(d.later(241) || ' ' || d.now(:p, 'state'), 'no failure proposed', 'R5.4.11 not while the case needs attention');
SELECT is(d.timers(:p), 'dispute_auto_accept 265', 'R5.4.11 it is looked at again a day later');
SELECT is(d.run('desk manager', format('UPDATE csm.cases SET needs_attention = false WHERE id = %s RETURNING state', :p), true), 'proposed', 'R5.4.11 when that is gone');
SELECT is(d.later(266) || ' ' || d.now(:p, 'state'), 'no failure settled', 'R5.4.11 it is accepted');
ROLLBACK;
BEGIN;
UPDATE csm.cases SET auto_close = false WHERE id = :p;
SELECT is(d.later(241) || ' ' || d.now(:p, 'state'), 'no failure proposed', 'R5.4.11 not with auto_close off');
ROLLBACK;
BEGIN;
SELECT csm_private.begin_system(:p);
UPDATE csm.cases SET escalated = true WHERE id = :p;
SELECT is(d.later(241) || ' ' || d.now(:p, 'state'), 'no failure proposed', 'R5.4.11 not while an escalation is open');
ROLLBACK;
BEGIN;
UPDATE csm.case_types SET settings = settings || '{"auto_accept_days": null}' WHERE case_type = 'dispute';
SELECT is(d.timers(d.brought('proposed')), NULL, 'R5.4.11 a tenant switches it off');
ROLLBACK;

-- 12: the respondent is silent.
SELECT d.brought('submitted') AS p \gset
BEGIN;
SELECT is(d.later(71) || ' ' || d.now(:p, 'state'), 'no failure submitted', 'R5.4.12 not before its time');
SELECT is(d.later(73) || ' ' || d.now(:p, 'state'), 'no failure escalated', 'R5.4.12 submitted→escalated when the respondent is silent');
SELECT is(d.query('globex manager', format('SELECT body FROM csm.case_entries WHERE case_id = %s ORDER BY id DESC LIMIT 1', :p)), 'The respondent did not answer in time', 'R5.4.12 both are told');
ROLLBACK;
BEGIN;
SELECT d.act('globex manager', :p, 'acknowledge', NULL);
SELECT is(d.later(73) || ' ' || d.now(:p, 'state'), 'no failure escalated', 'R5.4.12 in_discussion→escalated likewise');
ROLLBACK;
BEGIN;
SELECT is(d.later(100) || ' ' || d.now(c, 'state'), 'no failure ' || s, 'R5.4.12 not from ' || s) FROM (SELECT s, d.brought(s) AS c FROM unnest('{draft,escalated}'::text[]) s) x;
ROLLBACK;
BEGIN;
SELECT d.act('globex manager', :p, 'request_info', 'Which?', keep => false), d.act('globex manager', :p, 'acknowledge', NULL), d.act('globex manager', :p, 'request_info', 'Which?');
SELECT is(d.later(1000) || ' ' || d.now(:p, 'state'), 'no failure awaiting_claimant', 'R5.4.12 not while the claimant is asked');
ROLLBACK;
-- Words put the clock back: a timer that fires early is set anew.
BEGIN;
SELECT d.act('globex manager', :p, 'acknowledge', NULL);
UPDATE csm.timers SET due_at = clock_timestamp() - interval '1 second' WHERE case_id = :p AND kind = 'dispute_response';
SELECT d.say('globex manager', :p, 'we are on it');
SELECT is(d.later(0) || ' ' || d.now(:p, 'state') || ' ' || d.timers(:p), 'no failure in_discussion dispute_response 72', 'R5.4.12 who writes is not silent');
ROLLBACK;

-- 13: enough rounds.
SELECT d.brought('submitted') AS p \gset
SELECT is(d.act('globex manager', :p, 'propose') || ' ' || d.act('north contact', :p, 'reject', 'no ' || n), CASE n WHEN 3 THEN 'proposed escalated' ELSE 'proposed in_discussion' END, 'R5.4.13 round ' || n)
FROM generate_series(1, 3) n;
SELECT is(d.now(:p, 'state'), 'escalated', 'R5.4.13 in_discussion→escalated after three rejections');
SELECT is((SELECT string_agg(author_name || ': ' || body, ', ' ORDER BY id) FROM (SELECT * FROM csm.case_entries WHERE case_id = :p ORDER BY id DESC LIMIT 2) e), 'north contact: no 3, system: 3 proposals were rejected', 'R5.4.13 and why');
BEGIN;
UPDATE csm.case_types SET settings = settings || '{"max_rounds": 1}' WHERE case_type = 'dispute';
SELECT is(d.act('north contact', d.brought('proposed'), 'reject'), 'escalated', 'R5.4.13 a tenant says how many');
UPDATE csm.case_types SET settings = settings || '{"max_rounds": null}' WHERE case_type = 'dispute';
SELECT is(d.act('north contact', d.brought('proposed'), 'reject'), 'in_discussion', 'R5.4.13 or that there is no end');
ROLLBACK;

-- 14, 15: to the operator and back.
SELECT is(d.act(w, d.brought('proposed'), 'escalate', NULL, keep => false), 'SM003', 'SM003 R5.4.14 ' || w || ' must say why') FROM unnest('{north contact,globex manager}'::text[]) w;
SELECT d.brought('proposed') AS p \gset
SELECT is(d.act('globex manager', :p, 'escalate', 'They never answer'), 'escalated', 'R5.4.14 proposed→escalated by the respondent');
SELECT is(d.proposals(:p, 'outcome, reason'), 'lapsed They never answer', 'R5.4.14 the proposal lapses');
SELECT is(d.now(:p, 'reopen_count') || coalesce(d.timers(:p), ' no clock'), '0 no clock', 'R5.4.14 the operator''s turn: no clock of the parties runs');
SELECT is(d.act('north contact', :p, 'escalate'), 'SM002', 'R5.4.14 once');
SELECT is(d.act('b2b agent', :p, 'send_back', 'Talk again') || coalesce(' ' || d.timers(:p), ''), 'in_discussion dispute_response 72', 'R5.4.15 escalated→in_discussion');

-- 16, 17: ruling.
SELECT d.brought('escalated') AS p \gset
SELECT is(d.act('desk manager', :p, 'rule', NULL, v::jsonb), 'SM003', 'SM003 R5.4.16 a ruling has code and text: ' || v) FROM unnest(ARRAY['{}', '{"resolution_code": "A"}', '{"resolution_notes": "B"}']) v;
SELECT is(d.act('desk manager', :p, 'rule', NULL, '{"resolution_code": "A", "resolution_notes": "B", "amount": 5, "currency": "EUR"}'), '23514', 'R5.4.16 money moves on a reference');
SELECT is(d.act('desk manager', :p, 'rule', 'Our decision', '{"resolution_code": "For the claimant", "resolution_notes": "Refund", "reference": "PAY-5", "amount": 181, "currency": "EUR"}'), 'ruled', 'R5.4.16 escalated→ruled');
SELECT is(d.proposals(:p, 'round, side, proposed_name, reference, amount, notes, coalesce(outcome, ''pending'')'), '1 operator desk manager PAY-5 181 Refund pending', 'R5.4.16 the ruling as it was given');
SELECT is(d.timers(:p), 'dispute_appeal 336', 'R5.4.17 the appeal window runs');
SELECT is(d.run('desk manager', format('SELECT csm.act(%s, ''confirm'')', :p), told => true),
          format('42501 | action "confirm" on case %s is not permitted | You gave the ruling. | A second person confirms it, or the appeal window ends.', d.now(:p, 'number')), 'R5.4.17 not by who gave it');
SELECT is(d.run('desk manager', format('UPDATE csm.cases SET state = ''ruled_final'' WHERE id = %s', :p)), '42501', 'R5.4.17 not by plain UPDATE either');
SELECT is(d.run('b2b agent', format('UPDATE csm.cases SET state = ''ruled_final'' WHERE id = %s RETURNING state', :p)), 'ruled_final', 'R5.4.17 by a second person it may be one');
BEGIN;
SELECT is(d.later(335) || ' ' || d.now(:p, 'state'), 'no failure ruled', 'R5.4.17 not before the window ends');
SELECT is(d.later(337) || ' ' || d.now(:p, 'state'), 'no failure ruled_final', 'R5.4.17 ruled→ruled_final when it has ended');
SELECT is(d.proposals(:p, 'outcome, decided_name'), 'confirmed system', 'R5.4.17 by the system');
SELECT is((SELECT count(*) FROM csm.case_entries WHERE case_id = :p AND author_id IS NULL), 1::bigint, 'R5.4.17 nobody was reminded to accept a ruling');
ROLLBACK;
SELECT is(d.act('second manager', :p, 'confirm', NULL), 'ruled_final', 'R5.4.17 ruled→ruled_final by a second person');
SELECT is(d.proposals(:p, 'outcome, decided_by'), 'confirmed ' || small.u('second manager'), 'R5.4.17 who is named');
SELECT is(d.run('desk manager', format($$UPDATE csm.cases SET state = 'ruled', resolution_code = 'A', resolution_notes = 'B' WHERE id = %s RETURNING state$$, d.brought('escalated')), true), 'ruled', 'R5.4.16 a ruling by plain UPDATE');
SELECT is((SELECT concat_ws(' ', side, proposed_name, reference IS NULL) FROM csm.dispute_proposals ORDER BY id DESC LIMIT 1), 'operator desk manager t', 'R5.4.16 is recorded as well');

-- 18, 19: withdraw the claim, cancel.
SELECT d.brought('proposed') AS p \gset
SELECT is(d.act('north manager', :p, 'withdraw', NULL), 'withdrawn', 'R5.4.18 proposed→withdrawn');
SELECT is(d.now(:p, 'state_class, resolution_code, closed_at IS NOT NULL') || ' ' || d.proposals(:p, 'outcome, reason'), 'closed Withdrawn by claimant t lapsed Withdrawn by claimant', 'R5.4.18 what remains');
SELECT is(d.act('b2b agent', d.brought('submitted'), 'cancel', NULL, keep => false), 'SM003', 'SM003 R5.4.19 the operator must say why');
SELECT is(d.act('north contact', d.brought('draft'), 'cancel', NULL, keep => false), 'SM003', 'SM003 R5.4.19 the claimant must say why');

-- 20: a closed dispute never changes; what follows is a new one.
SELECT d.brought('settled') AS p, d.brought('draft') AS q \gset
CREATE TEMP TABLE old AS SELECT c AS row FROM csm.cases c WHERE id = :p;
CREATE FUNCTION d.follow(who text, dispute bigint, keep boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
    SELECT d.run(who, format('SELECT concat_ws('' '', subject, state, case_type, account_id, counterparty_account_id, requester_id) FROM csm.open_follow_up(%s, ''It happened again'')', dispute), keep)
$$;
SELECT is(d.follow(w, :p), concat_ws(' ', 'It happened again submitted dispute', small.a('north'), small.a('globex'), small.u('north contact')), 'R5.4.20 a follow-up by ' || w)
FROM unnest('{north contact,north manager,acme admin,b2b agent}'::text[]) w;
SELECT is(d.follow(v.who, :p), v.code, 'R5.4.20 not ' || v.who)
FROM (VALUES ('globex manager', '42501'), ('globex lawyer', '42501'), ('north reader', '42501'), ('globex reader', '42501'), ('viewer', '42501'), ('umbrella admin', 'SM001'), ('globex contact', 'SM001'),
             ('nobody', 'SM001')) v(who, code);
SELECT is(d.follow('north contact', :q), 'SM002', 'R5.4.20 an open dispute has no follow-up');
SELECT isnt(d.follow('north contact', :p, true), NULL, 'R5.4.20 a follow-up that stays');
SELECT is(d.query(w, format('SELECT count(*) FROM csm.case_links WHERE to_case_id = %s AND kind = ''follow_up''', :p)), '1', 'R5.4.20 is linked to the old one, seen by ' || w) FROM unnest('{north contact,globex manager}'::text[]) w;
SELECT is((SELECT c = o.row FROM csm.cases c, old o WHERE c.id = :p), true, 'R5.4.20 which is as it was');
BEGIN;
UPDATE csm.account_relationships SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE id = small.r('north-globex');
SELECT is(d.follow('north contact', :p), '42501', 'R5.4.20 follow-ups are opened as any dispute: not when the trade has ended');
ROLLBACK;

-- The contact of the other side.
SELECT d.brought('submitted') AS p \gset
SELECT is(d.act('globex manager', :p, 'assign_contact', NULL, '{"counterparty_contact_id": null}'), 'SM003', 'SM003 R5.2 somebody is named');
SELECT is(d.act('globex manager', :p, 'assign_contact', NULL, jsonb_build_object('counterparty_contact_id', small.k(k))), '42501', 'R5.2 not ' || k)
FROM unnest('{north contact at north,initech contact at initech,globex former at globex,umbrella admin at umbrella}'::text[]) k;
SELECT is(replace(d.run('globex manager', format('SELECT csm.act(%s, ''assign_contact'', NULL, ''{"counterparty_contact_id": 987654321}'')', :p), told => true), '987654321', 'N'),
          replace(d.run('globex manager', format('SELECT csm.act(%s, ''assign_contact'', NULL, ''{"counterparty_contact_id": %s}'')', :p, small.k('umbrella admin at umbrella')), told => true), small.k('umbrella admin at umbrella')::text, 'N'),
          'V15 R5.2 an unknown contact and one of another company: the same words');
SELECT is(d.run('b2b agent', format('UPDATE csm.cases SET counterparty_contact_id = %s WHERE id = %s', small.k('initech contact at initech'), :p)), '42501', 'R5.2 a plain UPDATE names none of another company either');
SELECT is(d.query('globex contact', format('SELECT count(*) FROM csm.cases WHERE id = %s', :p)), '0', 'V8 a plain contact of a managed company does not see it');
SELECT is(d.act('globex manager', :p, 'assign_contact', NULL, jsonb_build_object('counterparty_contact_id', small.k('globex contact at globex'))), 'submitted', 'R5.2 until a manager names him');
SELECT is(d.query('globex contact', format('SELECT count(*) FROM csm.cases WHERE id = %s', :p)), '1', 'V8 then he does');
SELECT is(d.query('globex lawyer', format('SELECT count(*) FROM csm.cases WHERE id = %s', :p)), '0', 'V8 and who was named before does no more');
SELECT is(d.act('globex contact', :p, 'propose'), 'proposed', 'R5.4.7 the contact named proposes');
SELECT is(d.act('globex contact', :p, 'assign_contact', keep => false), '42501', 'R5.2 he names nobody himself');
-- Where nobody manages the other side, all its contacts take part.
SELECT d.open('north contact', 'initech')::bigint AS p \gset
SELECT is(d.act('initech contact', :p, 'propose'), 'proposed', 'V8 R5.4.7 a contact of a company without manager proposes');
SELECT is(d.act('initech contact', :p, 'assign_contact', NULL, jsonb_build_object('counterparty_contact_id', small.k('initech contact at initech'))), '42501', 'R5.2 naming is for managers');
SELECT is(d.act('globex manager', :p, 'withdraw_proposal'), 'SM001', 'T15 another company hears nothing of it');

-- Partners and parents, each for their side.
SELECT d.open('north contact', more => format(', fields => ''{"partner_account_id": %s}''', small.a('paragon')))::bigint AS p \gset
SELECT is(d.act('globex manager', :p, 'propose') || ' ' || d.act('paragon admin', :p, 'accept', keep => false), 'proposed settled', 'R5.5 a partner of the claimant decides for him');
SELECT is(d.act('paragon admin', :p, 'withdraw_proposal'), '42501', 'R5.5 and not for the other side');
DO $$
BEGIN
    PERFORM small.new_account('globex group'), small.new_contact('group admin', 'globex group', 'customer_admin'), small.new_contact('group contact', 'globex group', 'customer');
    UPDATE csm.accounts SET parent_id = small.a('globex group') WHERE id = small.a('globex');
END $$;
INSERT INTO d.actor VALUES ('group admin', 'csm_portal'), ('group contact', 'csm_portal');
SELECT is(d.act('group admin', :p, 'withdraw_proposal', keep => false), 'in_discussion', 'R5.5 an administrator of the respondent''s parent acts as respondent');
SELECT is(d.act('group admin', :p, 'accept', keep => false), '42501', 'R5.5 and as nothing else');
SELECT is(d.act('group contact', :p, 'withdraw_proposal'), 'SM001', 'R5.5 a plain contact of that parent sees nothing');
SELECT is(d.act('acme admin', :p, 'accept', keep => false), 'settled', 'R5.5 an administrator of the claimant''s parent acts as claimant');

-- What the sides see of one another: the account's name, and the names of those who act.
SELECT d.brought('proposed') AS p \gset
SELECT is(d.query('globex manager', format('SELECT string_agg(relation || ''='' || display_name, '','' ORDER BY relation) FROM csm.case_people(%s)', :p)),
          'account=north,counterparty=globex,counterparty_contact=globex lawyer,opener=north contact,requester=north contact', 'R5.5 of the claimant: the account''s name and who acts');
SELECT is(d.query('north contact', format('SELECT string_agg(relation || ''='' || display_name, '','' ORDER BY relation) FROM csm.case_people(%s)', :p)),
          'account=north,counterparty=globex,counterparty_contact=globex lawyer,opener=north contact,requester=north contact', 'R5.5 of the respondent likewise');
SELECT is(d.query(v.who, format('SELECT count(*) FROM csm.%s WHERE %s', v.tab, replace(v.what, 'N', v.other))), '0', format('R5.5 %s sees no row of the other side in %s', v.who, v.tab))
FROM (SELECT w.who, t.tab, t.what, small.a(w.other)::text AS other
      FROM (VALUES ('globex manager', 'north'), ('globex lawyer', 'north'), ('north contact', 'globex'), ('north admin', 'globex')) w(who, other),
           (VALUES ('accounts', 'id = N'), ('contacts', 'account_id = N'), ('account_relationships', 'N NOT IN (partner_account_id, customer_account_id)'),
                   ('case_parties', 'account_id = N')) t(tab, what)) v
WHERE v.tab <> 'account_relationships';
SELECT is(d.query('globex manager', format('SELECT count(*) FROM csm.users WHERE id IN (%s, %s)', small.u('north contact'), small.u('north manager'))), '0', 'R5.5 nor their people');
SELECT is(d.query('globex manager', format('SELECT count(*) FROM csm.cases WHERE account_id = %s AND counterparty_account_id IS NULL', small.a('north'))), '0', 'R5.5 nor their other cases');
SELECT is(d.query('north contact', format('SELECT proposed_name FROM csm.dispute_proposals WHERE case_id = %s', :p)), 'globex manager', 'R5.5 who proposed, by name');
SELECT is(d.query('umbrella admin', format('SELECT count(*) FROM csm.%s WHERE case_id = %s', t, :p)), '0', 'R5.4 never: a third account reads ' || t) FROM unnest('{dispute_proposals,case_entries,case_parties,case_history}'::text[]) t;
SELECT is(d.query('umbrella admin', format('SELECT count(*) FROM csm.cases WHERE id = %s', :p)) || d.query('umbrella admin', format('SELECT count(*) FROM csm.case_people(%s)', :p)), '00', 'R5.4 never: a third account reads the dispute or its people');
SELECT is(d.query('globex manager', format('SELECT count(*) FROM csm.%s WHERE %s = %s', v.tab, v.col, c.id)), '0', 'R5.4 never: the respondent reads a draft, ' || v.tab)
FROM (VALUES ('cases', 'id'), ('case_entries', 'case_id'), ('dispute_proposals', 'case_id'), ('case_history', 'case_id')) v(tab, col), (SELECT d.brought('draft') AS id) c;
SELECT is(d.query('globex manager', format('SELECT count(*) FROM csm.actions(%s)', d.brought('draft'))), '0', 'R5.4 never: the respondent reads a draft, its actions');
SELECT is(d.act('north contact', d.brought('in_discussion'), 'propose'), '42501', 'R5.4 never: the claimant proposes');
SELECT is(d.act('globex manager', d.brought('proposed'), 'accept'), '42501', 'R5.4 never: the respondent accepts');
SELECT is(d.act('globex manager', d.brought('proposed'), 'reject'), '42501', 'R5.4 never: the respondent rejects');

-- A person on both sides acts for one, the one on which the dispute names him.
SELECT is(d.act('double', d.brought('in_discussion'), a), '42501', 'R5.4 never: who is on both sides acts as both, ' || a) FROM unnest('{propose,escalate,withdraw}'::text[]) a;
SELECT is(d.act('double', d.brought('proposed'), v.action, persona => 'contact:' || small.k('double at ' || v.side)), '42501', format('R5.4 never: nor by narrowing himself to %s, %s', v.side, v.action))
FROM (VALUES ('north', 'accept'), ('globex', 'withdraw_proposal')) v(side, action);
SELECT d.open('double')::bigint AS p \gset
SELECT is(d.act('double', :p, 'propose') || ' ' || d.act('double', :p, 'acknowledge'), '42501 42501', 'R5.4 never: the claimant is not his own respondent');
SELECT is(d.act('globex manager', :p, 'propose') || ' ' || d.act('double', :p, 'accept', keep => false), 'proposed settled', 'R5.4 who opened it decides as the claimant');
SELECT is(d.act('double', :p, 'accept', persona => 'contact:' || small.k('double at globex')), '42501', 'R5.4 never: narrowed to the other side he is neither');
SELECT is(d.act('globex manager', :p, 'assign_contact', NULL, jsonb_build_object('counterparty_contact_id', small.k('double at globex'))), '42501', 'R5.4 never: who opened it is not named for the other side');
SELECT d.brought('proposed') AS p \gset
SELECT is(d.act('globex manager', :p, 'assign_contact', NULL, jsonb_build_object('counterparty_contact_id', small.k('double at globex'))), 'proposed', 'R5.2 another of both sides may be named for one');
SELECT is(d.act('double', :p, 'accept') || ' ' || d.act('double', :p, 'withdraw_proposal', keep => false), '42501 in_discussion', 'R5.4 then he acts for that one');
SELECT is(d.say('double', :p, 'for globex', keep => false), 'counterparty', 'R5.4 and speaks for it');
BEGIN;
UPDATE csm.case_types SET settings = settings || '{"both_sides": true}' WHERE case_type = 'dispute';
SELECT is(d.act('double', d.brought('proposed'), v, keep => false) , CASE v WHEN 'accept' THEN 'settled' ELSE 'in_discussion' END, 'R5.4 a tenant may allow it: ' || v) FROM unnest('{accept,withdraw_proposal}'::text[]) v;
ROLLBACK;

-- 4: files, and the machine as data.
SELECT is(d.run(w, format('SELECT (csm.attach(%s, ''proof.txt'', ''text/plain'', ''x'')).id > 0', d.brought('in_discussion'))), v.code, 'R5.4.4 a file by ' || w)
FROM (VALUES ('north contact', 'true'), ('globex manager', 'true'), ('b2b agent', 'true'), ('globex reader', '42501'), ('umbrella admin', 'SM001')) v(w, code);
BEGIN;
INSERT INTO csm.case_types (tenant_id, case_type, parent_type, label) VALUES (small.tenant(), 'chargeback', 'dispute', 'Chargeback');
SELECT is(d.run('north contact', format($$SELECT (csm.open_case('x', NULL, 'chargeback', counterparty_account_id => %s)).state$$, small.a('globex'))), 'submitted', 'D5 a type of a tenant inherits the dispute');
SELECT is(d.run('north contact', $$SELECT csm.open_case('x', NULL, 'chargeback')$$), 'SM003', 'D5 and that it has two sides');
ROLLBACK;
SELECT is(d.run('system', format('SELECT csm_private.act_as_system(%s, ''cancel'', ''x'')', d.brought('submitted'))), '42501', 'D5 the system is judged as everybody');

SELECT * FROM finish();
