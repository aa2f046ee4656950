-- Major cases (R B32, C21): candidates, children for recipients, what flows from parent to child.
\set ON_ERROR_STOP on
\ir ../lib/clockwork.sql
SELECT * FROM no_plan();
CREATE FUNCTION cw.call(who text, verb text, case_id bigint) RETURNS text LANGUAGE sql AS $$
    SELECT cw.as(who, format('SELECT coalesce((csm.%s_major(%s, ''note'')).major_state, ''none'')', verb, case_id))
$$;
CREATE FUNCTION cw.try(who text, verb text, case_id bigint) RETURNS text LANGUAGE sql AS $$
    SELECT cw.as(who, format('SELECT coalesce((csm.%s_major(%s, ''note'')).major_state, ''none'')', verb, case_id), NULL, false)
$$;

-- Proposed from new, open and waiting only, by staff who work on the case.
CREATE TABLE cw.subject (state text, id bigint);
SET csm.importing = on;
WITH c AS (INSERT INTO csm.cases (subject, state, requester_id, account_id)
           SELECT 'in ' || s, s, :customer, :alpha FROM unnest('{draft,new,open,awaiting_info,resolved,closed,cancelled}'::text[]) s RETURNING state, id)
INSERT INTO cw.subject SELECT * FROM c;
RESET csm.importing;
SELECT is(cw.try('agent', 'propose', s.id), CASE WHEN s.state IN ('new', 'open', 'awaiting_info') THEN 'proposed' WHEN s.state IN ('draft', 'resolved') THEN 'SM002' ELSE 'SM004' END,
          'B32 proposed in state ' || s.state) FROM cw.subject s;
SELECT cw.new_case('outage', 'open') AS c \gset
SELECT is(cw.try(who, 'propose', :c), expected, 'B32 proposed by ' || who) FROM (VALUES ('customer', '42501'), ('stranger', '42501'), ('consumer_agent', 'SM001'), ('agent', 'proposed'), ('manager', 'proposed'), ('system', 'proposed')) v(who, expected);
SELECT is(cw.call('agent', v.verb, :c), expected, 'B32 not proposed yet: ' || v.verb) FROM (VALUES ('cancel', 'SM002'), ('accept', '42501'), ('reject', '42501')) v(verb, expected);
SELECT is(cw.call('manager', verb, :c), 'SM002', 'SM002 not proposed yet: ' || verb) FROM unnest('{accept,reject,cancel}'::text[]) verb;
SELECT is(cw.call('agent', 'propose', :c), 'proposed', 'B32 proposed');
SELECT is(cw.call('agent', 'propose', :c), 'SM002', 'SM002 proposed once');
SELECT is(cw.call('agent', v, :c), '42501', 'B32 an agent does not ' || v) FROM unnest('{accept,reject}'::text[]) v;
SELECT is(cw.call('agent', 'cancel', :c), 'cancelled', 'B32 cancelled');
SELECT is(cw.call('agent', 'propose', :c), 'proposed', 'B32 allow: proposed again');
SELECT is(cw.call('manager', 'reject', :c), 'rejected', 'B32 rejected');
SELECT is(cw.call('manager', 'accept', :c), 'SM002', 'SM002 a rejected one is not accepted');
SELECT cw.call('agent', 'propose', :c);
SELECT is(cw.as('agent', format('UPDATE csm.cases SET major_state = ''accepted'' WHERE id = %s', :c)), '42501', 'B32 nobody writes major_state');
SELECT is(cw.as('manager', format('SELECT (csm.accept_major(%s)).id IS NOT NULL', :c)), 'true', 'B32 accepted');
SELECT parent_id AS m FROM csm.cases WHERE id = :c \gset
SELECT is((SELECT format('%s %s %s %s %s %s', major_state, branch, account_id IS NULL, subject, state, requester_id = :manager) FROM csm.cases WHERE id = :m),
          'accepted internal t outage new t', 'B32 the new major case has no customer');
SELECT is((SELECT format('%s %s', major_state IS NULL, state) FROM csm.cases WHERE id = :c), 't open', 'B32 the candidate is its child and goes on');
SELECT is(cw.as('customer', format('SELECT count(*) FROM csm.cases WHERE id = %s', :m)), '0', 'B32 the customer does not see the major case');
SELECT is((SELECT string_agg(kind, ',' ORDER BY id) FROM csm.events WHERE kind LIKE 'major%' AND audience = 'internal'), 'major_proposed,major_cancelled,major_proposed,major_rejected,major_proposed,major_accepted', 'B32 events');
SELECT is((SELECT count(*) FROM csm.events WHERE kind LIKE 'major%' AND audience <> 'internal'), 0::bigint, 'B32 for staff only');
SELECT cw.new_case('too late', 'open') AS late \gset
SELECT cw.call('agent', 'propose', :late);
SELECT cw.as('agent', format($$SELECT csm.act(%s, 'propose', NULL, '{"resolution_code": "a", "resolution_notes": "b"}')$$, :late));
SELECT is(cw.call('manager', 'accept', :late), 'SM002', 'SM002 a candidate that was solved meanwhile is not accepted');
SELECT is(cw.as(v.who, 'SELECT (csm.open_major(''direct'')).major_state'), v.expected, 'B32 opened directly by ' || v.who) FROM (VALUES ('manager', 'accepted'), ('agent', '42501'), ('customer', '42501')) v(who, expected);

-- A child for each recipient who has none.
INSERT INTO csm.accounts (name) SELECT 'Account ' || n FROM generate_series(1, 5) n;
SELECT is(cw.as('agent', 'INSERT INTO csm.recipient_lists (name) VALUES (''mine'')'), '42501', 'B32 an agent makes no list');
SELECT cw.as('manager', 'INSERT INTO csm.recipient_lists (name) VALUES (''all'') RETURNING id') AS list \gset
SELECT isnt(:'list'::text, '42501', 'B32 allow: a manager does');
SELECT cw.as('manager', format('INSERT INTO csm.recipients (list_id, account_id) SELECT %s, id FROM csm.accounts', :list));
SELECT cw.as('manager', format('INSERT INTO csm.recipients (list_id, user_id) VALUES (%1$s, %2$s), (%1$s, %3$s)', :list, :consumer, :agent2));
SELECT is(cw.as('manager', format('INSERT INTO csm.recipients (list_id, user_id) VALUES (%s, %s)', :list, :consumer)), '23505', 'B32 a recipient stands once in a list');
SELECT is(cw.as(who, format('SELECT csm.create_children(%s, %s)', :m, :list)), expected, 'B32 children by ' || who) FROM (VALUES ('customer', '42501'), ('agent', 'SM001'), ('consumer_agent', 'SM001')) v(who, expected);
SELECT is(cw.as('manager', format('SELECT csm.create_children(%s, %s)', :c, :list)), 'SM002', 'SM002 children of a case that is no major case');
SELECT is(cw.as('manager', format('SELECT csm.create_children(%s, 999999999)', :m)), '22023', 'B32 children of a list that does not exist');
SELECT is(cw.as('manager', format('SELECT csm.create_children(%s, %s)', :m, :list)), '8', 'B32 a child for each who has none');
SELECT is((SELECT string_agg(branch || ' ' || n, ',' ORDER BY branch) FROM (SELECT branch, count(*) n FROM csm.cases WHERE parent_id = :m GROUP BY 1) x), 'b2b 7,b2c 1,internal 1', 'B32 the candidate''s account got no second one');
SELECT is(cw.as('manager', format('SELECT csm.create_children(%s, %s)', :m, :list)), '0', 'B32 run again: none');
INSERT INTO csm.accounts (name) VALUES ('Late') RETURNING id AS late_account \gset
INSERT INTO csm.recipients (list_id, account_id) VALUES (:list, :late_account);
SELECT is(cw.as('manager', format('SELECT csm.create_children(%s, %s)', :m, :list)), '1', 'B32 run again: the new recipient''s');
SELECT is((SELECT requester_id FROM csm.cases WHERE parent_id = :m AND account_id = :beta), :stranger::bigint, 'B32 asked for by a contact of the account');
SELECT is((SELECT requester_id FROM csm.cases WHERE parent_id = :m AND account_id = :late_account), :manager::bigint, 'B32 or by whoever is responsible where it has none');
SELECT is(cw.as('stranger', 'SELECT string_agg(subject, '','') FROM csm.cases'), 'outage', 'B32 the customer sees his own child');
SELECT is(cw.as('stranger', 'SELECT count(*) FROM csm.' || t), '42501', 'B32 customers read no csm.' || t) FROM unnest('{recipient_lists,recipients,case_children,major_changes}'::text[]) t;

-- Sync is off by default.
CREATE VIEW cw.child AS SELECT c.* FROM csm.cases c WHERE c.parent_id = (SELECT id FROM csm.cases WHERE subject = 'outage' AND major_state = 'accepted');
SELECT cw.as('manager', format('UPDATE csm.cases SET priority = 2 WHERE id = %s', :m));
SELECT cw.as('manager', format('SELECT csm.comment(%s, ''Not for you'')', :m));
SELECT is(cw.due(0, 'follow'), 'nothing', 'B32 off by default: nothing flows');
SELECT is((SELECT count(*) FROM cw.child WHERE priority = 2), 0::bigint, 'B32 off by default: the priority');
UPDATE csm.tenants SET settings = settings || '{"major": {"sync": true}}' WHERE key = 'clockwork';

-- The listed fields, to children that are not resolved, closed or cancelled.
SELECT id AS done FROM cw.child WHERE account_id = :beta \gset
SELECT id AS solved FROM cw.child WHERE account_id = cw.account('Account 1') \gset
SELECT cw.as('agent', format('SELECT csm.act(%s, ''take'')', x)), cw.as('agent', format($$SELECT csm.act(%s, 'propose', NULL, '{"resolution_code": "own", "resolution_notes": "own"}')$$, x)) FROM unnest(ARRAY[:done, :solved]) x;
SELECT cw.as('stranger', format('SELECT csm.act(%s, ''accept'')', :done));
SELECT is(cw.state(:done) || cw.state(:solved), 'closedresolved', 'B32 fixture: one closed, one resolved');
SELECT cw.as('manager', format('UPDATE csm.cases SET priority = 1, subject = ''outage'' WHERE id = %s', :m));
SELECT cw.as('manager', format('SELECT csm.comment(%s, ''We are on it'')', :m));
SELECT cw.as('manager', format('SELECT csm.comment(%s, ''Router 7'', ''internal'')', :m));
SELECT cw.as('manager', format('SELECT csm.comment(%s, ''Mine'', ''private'')', :m));
SELECT is((SELECT count(*) FROM cw.child WHERE priority = 1), 0::bigint, 'B32 nothing is written to children by whoever writes the major case');
SELECT is(cw.due(0, 'follow'), 'follow_parent 9/0/0', 'B32 each child follows once, all but the closed one');
SELECT is((SELECT string_agg(DISTINCT format('%s %s', id IN (:done, :solved), priority), ',' ORDER BY format('%s %s', id IN (:done, :solved), priority)) FROM cw.child), 'f 1,t 4', 'B32 the priority flows, not to resolved and closed ones');
SELECT is((SELECT count(*) FROM cw.child c WHERE (SELECT string_agg(body || ' ' || visibility, ',' ORDER BY e.id) FROM csm.case_entries e
           WHERE e.case_id = c.id AND e.author_id IS NULL AND e.author_name = 'system') = 'We are on it shared,Router 7 internal'), 8::bigint, 'B32 comments and work notes flow, in their order, private ones never');
SELECT is((SELECT count(*) FROM csm.case_entries WHERE case_id IN (:done, :solved) AND author_id IS NULL), 0::bigint, 'B32 not to resolved and closed ones');
SELECT is((SELECT count(*) FROM cw.child WHERE needs_attention AND id NOT IN (:done, :solved)), 8::bigint, 'R2.5 a work note on a child of a major case asks for attention');
SELECT is(cw.due(0, 'follow'), 'nothing', 'B32 nothing more to follow');
SELECT is(cw.as('customer', format('SELECT string_agg(body, '','') FROM csm.case_entries WHERE case_id = %s AND author_id IS NULL', :c)), 'We are on it', 'B32 the customer reads the shared one only');
-- work notes by the one who has the case in hand: a child and, as a twin, an ordinary case
SELECT cw.as('agent', format('UPDATE csm.cases SET needs_attention = false, assigned_to = %s WHERE id = %s', :agent, :c));
SELECT cw.new_case('alone', 'open') AS alone \gset
SELECT cw.as('agent', format('SELECT csm.comment(x, ''note'', ''internal'') FROM unnest(''{%s,%s}''::bigint[]) x', :c, :alone));
SELECT is((SELECT string_agg(needs_attention::text, ',' ORDER BY id) FROM csm.cases WHERE id IN (:c, :alone)), 'true,false', 'R2.5 also by its assignee; not on a case without a major one');
-- a child linked later, or moved back to open, has missed what went before
SELECT cw.new_case('joins', 'open') AS joins \gset
SELECT cw.as('agent', format('UPDATE csm.cases SET parent_id = %s WHERE id = %s', :m, :joins));
SELECT is((SELECT parent_id FROM csm.cases WHERE id = :joins), :m::bigint, 'B32 fixture: linked');
SELECT is(cw.as('agent', format('SELECT followed > 0 FROM csm.case_children WHERE case_id = %s', :joins)), 'true', 'B32 a case that joins follows from then on');
SELECT cw.as('stranger', 'SELECT 1');
SELECT cw.as('customer', format('SELECT csm.act(%s, ''reject'', ''No'')', :solved));
SELECT cw.as('manager', format('SELECT csm.comment(%s, ''Half fixed'')', :m));
SELECT is(cw.due(0, 'follow'), 'follow_parent 10/0/0', 'B32 and now all but the closed one');
SELECT is((SELECT string_agg(body, ',' ORDER BY id) FROM csm.case_entries WHERE case_id = :joins AND author_id IS NULL), 'Half fixed', 'B32 nothing of what went before');
-- only the fields that the tenant lists
UPDATE csm.tenants SET settings = '{"major": {"sync": true, "fields": ["resolution_code"]}}' WHERE key = 'clockwork';
SELECT cw.as('manager', format('UPDATE csm.cases SET priority = 3, resolution_code = ''Patch'' WHERE id = %s', :m));
SELECT cw.as('manager', format('SELECT csm.comment(%s, ''Silence'')', :m));
SELECT cw.due(0, 'follow');
SELECT is((SELECT string_agg(DISTINCT format('%s %s', priority, resolution_code), ',') FROM cw.child WHERE state IN ('new', 'open') AND id NOT IN (:solved, :joins)), '1 Patch', 'B32 the fields that the tenant lists, no others');
SELECT is((SELECT count(*) FROM csm.case_entries WHERE body = 'Silence'), 1::bigint, 'B32 nor comments');

-- Children of children: one level, or recursive.
SELECT cw.new_case('grandchild', 'open') AS g \gset
SELECT cw.as('agent', format('UPDATE csm.cases SET parent_id = %s WHERE id = %s', :joins, :g));
UPDATE csm.tenants SET settings = '{"major": {"sync": true}}' WHERE key = 'clockwork';
SELECT cw.as('manager', format('UPDATE csm.cases SET priority = 2 WHERE id = %s', :m));
SELECT cw.due(0, 'follow'), cw.due(0, 'follow');
SELECT is((SELECT string_agg(priority::text, ',' ORDER BY id) FROM csm.cases WHERE id IN (:joins, :g)), '2,4', 'C21 one level by default');
UPDATE csm.tenants SET settings = '{"major": {"sync": true, "recursive": true}}' WHERE key = 'clockwork';
-- in a circle: nothing runs for ever
UPDATE csm.cases SET parent_id = :g WHERE id = :m;
SELECT cw.as('manager', format('UPDATE csm.cases SET priority = 1 WHERE id = %s', :m));
SELECT cw.as('manager', format('SELECT csm.comment(%s, ''Down to all'')', :m));
SELECT cw.due(0, 'follow'), cw.due(0, 'follow'), cw.due(0, 'follow'), cw.due(0, 'follow');
SELECT is((SELECT string_agg(priority::text, ',' ORDER BY id) FROM csm.cases WHERE id IN (:joins, :g)), '1,1', 'C21 recursive: on to the children of children');
SELECT is((SELECT count(*) FROM csm.case_entries WHERE case_id = :g AND body = 'Down to all'), 1::bigint, 'C21 recursive: comments too, once');
SELECT is((SELECT count(*) FROM csm.case_entries WHERE case_id = :m AND body = 'Down to all'), 1::bigint, 'C21 in a circle nothing comes back');
SELECT is(cw.due(0, 'follow'), 'nothing', 'C21 in a circle nothing runs for ever');
UPDATE csm.cases SET parent_id = NULL WHERE id = :m;

-- Closing the major case closes its children in new, open and waiting.
SELECT cw.as('agent', format('SELECT csm.act(%s, ''take'')', id)), cw.as('agent', format('SELECT csm.act(%s, ''request_info'', ''When?'')', id)) FROM cw.child WHERE account_id = cw.account('Account 2');
SELECT id AS canceled FROM cw.child WHERE account_id = cw.account('Account 3') \gset
SELECT cw.as('manager', format('SELECT csm.act(%s, ''cancel'')', :canceled));
SELECT cw.as('agent', format($$SELECT csm.act(%s, 'propose', NULL, '{"resolution_code": "own", "resolution_notes": "own"}')$$, :solved));
SELECT is((SELECT string_agg(DISTINCT state, ',' ORDER BY state) FROM cw.child), 'awaiting_info,cancelled,closed,new,open,resolved', 'B32 fixture: children in every state');
SELECT cw.as('manager', format($$SELECT csm.act(%s, 'close', NULL, '{"resolution_code": "Fixed", "resolution_notes": "New router"}')$$, :m));
SELECT cw.due(0, 'follow');
SELECT is((SELECT string_agg(DISTINCT format('%s %s', state, resolution_code), ',' ORDER BY format('%s %s', state, resolution_code)) FROM cw.child WHERE id NOT IN (:done, :solved, :canceled)), 'closed Fixed', 'R2.2.18 new, open and waiting children are closed, with the solution');
SELECT is(cw.state(:solved) || ' ' || cw.state(:canceled), 'resolved cancelled', 'B32 resolved and cancelled ones stay as they are');
SELECT is(cw.due(0, 'follow'), 'follow_parent 1/0/0', 'C21 the grandchild follows');
SELECT is(cw.state(:g), 'closed', 'C21 recursive: the closing too');
SELECT is((SELECT count(*) FROM csm.case_entries e JOIN cw.child c ON c.id = e.case_id WHERE e.body LIKE 'The cause%' AND e.visibility = 'shared' AND c.state = 'closed') , (SELECT count(*) FROM cw.child WHERE state = 'closed' AND id <> :done), 'B32 each is told why');
SELECT is((SELECT count(*) FROM csm.timers WHERE kind = 'follow_parent'), 0::bigint, 'B32 nothing is left to follow');
SELECT is(cw.as('manager', format('SELECT csm.create_children(%s, %s)', :m, :list)), 'SM004', 'SM004 no children for a closed major case');

-- At most 100,000.
INSERT INTO csm.recipient_lists (name) VALUES ('long') RETURNING id AS long \gset
SET session_replication_role = replica;
INSERT INTO csm.recipients (tenant_id, list_id, account_id) SELECT :tenant, :long, 1000000 + n FROM generate_series(1, 100001) n;
RESET session_replication_role;
SELECT cw.as('manager', 'SELECT (csm.open_major(''huge'')).id') AS huge \gset
SELECT is(cw.as('manager', format('SELECT csm.create_children(%s, %s)', :huge, :long)), '54000', 'B32 at most 100,000 recipients');

-- Contacts stand for their account: it gets one child, asked for by one of them.
SELECT cw.as('manager', 'SELECT (csm.open_major(''for contacts'')).id') AS mc \gset
INSERT INTO csm.recipient_lists (name, kind) VALUES ('beta', 'accounts') RETURNING id AS beta_list \gset
INSERT INTO csm.recipients (list_id, account_id) VALUES (:beta_list, :beta);
SELECT is(cw.as('manager', format('SELECT csm.create_children(%s, %s)', :mc, :beta_list)), '1', 'B32 (an account has a child)');
INSERT INTO csm.accounts (name) VALUES ('Two') RETURNING id AS two \gset
INSERT INTO csm.accounts (name) VALUES ('Left') RETURNING id AS left_account \gset
CREATE TABLE cw.listed AS WITH u AS (INSERT INTO csm.users (display_name) SELECT n FROM unnest('{plain,second,unlisted admin,gone}'::text[]) n RETURNING id, display_name)
SELECT u.id, display_name AS name, CASE display_name WHEN 'gone' THEN :left_account ELSE :two END AS account_id FROM u;
INSERT INTO csm.contacts (user_id, account_id, role, valid_during)
SELECT id, account_id, CASE name WHEN 'unlisted admin' THEN 'customer_admin' ELSE 'customer' END, CASE name WHEN 'gone' THEN tstzrange(now() - interval '2 days', now() - interval '1 day') END
FROM cw.listed ORDER BY name <> 'second';
SELECT cw.as('manager', 'INSERT INTO csm.recipient_lists (name, kind) VALUES (''contacts'', ''contacts'') RETURNING id') AS contacts \gset
INSERT INTO csm.recipients (list_id, account_id, user_id) SELECT :contacts, account_id, id FROM cw.listed WHERE name <> 'unlisted admin';
INSERT INTO csm.recipients (list_id, account_id, user_id) SELECT :contacts, account_id, user_id FROM csm.contacts WHERE account_id = :beta LIMIT 1;
SELECT is(cw.as('manager', format('SELECT csm.create_children(%s, %s)', :mc, :contacts)), '1', 'B32 one child for two contacts, none for an account that has one, none for who is contact no more');
SELECT is((SELECT string_agg(format('%s %s', c.branch, l.name), ',') FROM csm.cases c LEFT JOIN cw.listed l ON l.id = c.requester_id WHERE c.parent_id = :mc AND c.account_id = :two),
          'b2b second', 'B32 asked for by one of the list');
SELECT is(cw.as('manager', format('SELECT csm.create_children(%s, %s)', :mc, :contacts)), '0', 'B32 run again: none');
SELECT is((SELECT count(*) FROM csm.case_children WHERE parent_id = :mc AND created AND user_id IN (SELECT id FROM cw.listed)), 0::bigint, 'B32 nobody of them has it in person');

SELECT * FROM finish();
