-- A dispute between two companies, without an agent: each through the portal alone. Included after tour.sql.
\connect - postgres
SELECT r.id AS other_company, r.name AS other_name, c.name AS claiming_company,
       (SELECT count(*) FROM csm.account_relationships x WHERE x.type = 'trades_with' AND c.id IN (x.partner_account_id, x.customer_account_id)
                                                           AND (x.valid_during IS NULL OR x.valid_during @> clock_timestamp())) AS trades
FROM demo.personas p JOIN demo.contacts pk ON pk.user_id = p.user_id JOIN csm.accounts c ON c.id = pk.account_id,
     demo.personas q JOIN demo.contacts qk ON qk.user_id = q.user_id JOIN csm.accounts r ON r.id = qk.account_id
WHERE p.login = 'demo_claimant' AND q.login = 'demo_respondent' \gset

-- ----
\connect - demo_claimant
\set as demo_claimant
\set title 'A company claims something from another'
\set look 'It may choose among the companies with which it trades, and no other: one that exists and one that does not are refused alike.'
\ir step.sql
\set ECHO queries
SELECT account_id, name FROM csm.dispute_counterparties();
SELECT id, number, state, attributes ->> 'claimed_amount' AS claimed
FROM csm.open_case('Twelve pallets never arrived', case_type => 'dispute', counterparty_account_id => :other_company,
    fields => '{"attributes": {"claimed_object": "order 4711", "claimed_amount": 8400, "claimed_currency": "EUR"}}');
\set ON_ERROR_STOP off
SELECT csm.open_case('No such trade', case_type => 'dispute', counterparty_account_id => 1);
\set seen :SQLSTATE
SELECT csm.open_case('No such company', case_type => 'dispute', counterparty_account_id => 999999999);
\set seen :seen ', ' :SQLSTATE
\echo
\set ON_ERROR_STOP on
\set should '42501, 42501'
\set what 'errors'
\ir check.sql
SELECT id AS dispute FROM csm.cases WHERE subject = 'Twelve pallets never arrived' \gset
SELECT count(*) AS seen, :trades AS should FROM csm.dispute_counterparties() \gset
\set what 'companies to choose from'
\ir check.sql

-- ----
\connect - demo_respondent
\set as demo_respondent
\set title 'The other company answers'
\set look 'It sees the claim and who claims, nothing else of that company. It may propose, with a reference; to accept is not its affair.'
\ir step.sql
\set ECHO queries
SELECT relation, display_name FROM csm.case_people(:dispute);
SELECT visibility, side, body FROM csm.comment(:dispute, 'Our carrier lost them; please do not tell the other side yet.', 'private');
\set ON_ERROR_STOP off
SELECT csm.act(:dispute, 'propose', fields => '{"resolution_code": "Credit note", "resolution_notes": "Half of it"}');
\set seen :SQLSTATE
\echo
SELECT csm.act(:dispute, 'accept');
\set seen :seen ', ' :SQLSTATE
\echo
\set ON_ERROR_STOP on
SELECT number, state FROM csm.act(:dispute, 'propose',
    fields => '{"reference": "CN-2015-0042", "amount": 4200, "currency": "EUR", "resolution_code": "Credit note", "resolution_notes": "Half of it"}');
\set should 'SM003, 42501'
\set what 'errors'
\ir check.sql
SELECT count(*) AS seen FROM csm.accounts WHERE name = :'claiming_company' \gset
\set should 0
\set what 'rows of csm.accounts about the claiming company'
\ir check.sql

-- ----
\connect - demo_claimant
\set as demo_claimant
\set title 'The claimant refuses, and then accepts'
\set look 'A refusal needs a reason. Every round stays as it was. The other side''s private entry is not there.'
\ir step.sql
\set ECHO queries
SELECT round, reference, amount, currency, outcome FROM csm.dispute_proposals WHERE case_id = :dispute;
SELECT side, visibility, body FROM csm.case_entries WHERE case_id = :dispute ORDER BY id;
\set ON_ERROR_STOP off
SELECT csm.act(:dispute, 'reject');
\set seen :SQLSTATE
\echo
\set ON_ERROR_STOP on
SELECT number, state FROM csm.act(:dispute, 'reject', note => 'All twelve pallets are missing, not six.');
\connect - demo_respondent
\set ECHO queries
SELECT number, state FROM csm.act(:dispute, 'propose',
    fields => '{"reference": "CN-2015-0043", "amount": 8400, "currency": "EUR", "resolution_code": "Credit note", "resolution_notes": "All of it"}');
\connect - demo_claimant
\set ECHO queries
SELECT number, state, resolution_code FROM csm.act(:dispute, 'accept');
SELECT round, reference, amount, outcome, reason FROM csm.dispute_proposals WHERE case_id = :dispute ORDER BY round;
\set ECHO none
SELECT :'seen' || ', ' || string_agg(outcome, ', ' ORDER BY round) || ', '
       || (SELECT count(*) FROM csm.case_entries WHERE case_id = :dispute AND visibility = 'private') || ' private entries' AS seen
FROM csm.dispute_proposals WHERE case_id = :dispute \gset
\set should 'SM003, rejected, accepted, 0 private entries'
\set what 'error, rounds, what the claimant reads'
\ir check.sql

-- ----
\connect - demo_parent_manager
\set as demo_parent_manager
\set title 'A third company'
\set look 'Nothing of the dispute; an agent for companies could read all of it, the private entry too.'
\ir step.sql
\set ECHO queries
SELECT count(*) FROM csm.cases WHERE id = :dispute;
\connect - demo_agent
\set ECHO queries
SELECT side, visibility, author_name IS NOT NULL AS has_author, left(body, 40) AS body FROM csm.case_entries WHERE case_id = :dispute ORDER BY id;
\set ECHO none
SELECT count(*) FILTER (WHERE visibility = 'private') AS seen FROM csm.case_entries WHERE case_id = :dispute \gset
\set should 1
\set what 'private entries that the agent reads'
\ir check.sql
