-- Escalations (R B31): who may ask, who decides, one open at a time, and what a customer learns of it.
\set ON_ERROR_STOP on
\ir ../lib/clockwork.sql
SELECT * FROM no_plan();
INSERT INTO csm.groups (name) VALUES ('Deciders') RETURNING id AS deciders \gset
INSERT INTO csm.groups (name) VALUES ('Nobody yet') RETURNING id AS empty \gset
INSERT INTO csm.group_members (group_id, user_id) VALUES (:deciders, :agent2);
INSERT INTO csm.escalation_templates (template, label, for_customers, approval_group_id, severity, targets) VALUES
    ('decided', 'With a decision', true, :deciders, 'high', '{case,account}'), ('at_once', 'At once', true, NULL, 'medium', '{case,account}'),
    ('inside', 'For staff', false, NULL, 'high', '{case}'), ('unmanned', 'Group without members', true, :empty, 'high', '{case}');
INSERT INTO csm.escalation_templates (template, label, active) VALUES ('retired', 'Retired', false);
INSERT INTO csm.escalation_templates (template, label, reasons) VALUES ('narrow', 'One reason', '{inactivity}');
CREATE FUNCTION cw.ask(who text, case_id bigint, template text, reason text DEFAULT 'inactivity', why text DEFAULT 'because') RETURNS text LANGUAGE sql AS $$
    SELECT cw.as(who, format('SELECT csm.request_escalation(%s, %L, %L, %L)', case_id, template, reason, why))
$$;
CREATE FUNCTION cw.open_of(case_id bigint) RETURNS bigint LANGUAGE sql AS $$
    SELECT id FROM csm.escalations e WHERE e.case_id = open_of.case_id AND state IN ('requested', 'escalated')
$$;
CREATE FUNCTION cw.flag(case_id bigint) RETURNS boolean LANGUAGE sql AS $$SELECT escalated FROM csm.cases WHERE id = case_id$$;

-- Who may ask.
SELECT cw.new_case('c', 'open') AS c \gset
SELECT is(cw.ask(who, :c, 'at_once'), expected, format('B31 asked by %s: %s', who, expected))
FROM (VALUES ('colleague', 'SM001'), ('stranger', 'SM001'), ('consumer', 'SM001'), ('consumer_agent', 'SM001')) v(who, expected);
INSERT INTO csm.case_parties (case_id, user_id, capabilities) VALUES (:c, cw.id('colleague'), '{case_read,case_comment}');
SELECT is(cw.ask('colleague', :c, 'at_once'), '42501', 'B31 who sees it but may not decide may not escalate');
SELECT is(cw.as(who, format('SELECT csm.request_escalation(%s, ''at_once'', ''inactivity'', ''x'')', :c), NULL, false), 'escalated', 'B31 allow: asked by ' || who)
FROM unnest('{customer,boss,agent,manager}'::text[]) who;
SELECT is(cw.as('admin', format('SELECT csm.request_escalation(%s, ''at_once'', ''inactivity'', ''x'')', :c)), '42501', 'B31 csm_admin works on no case');
SELECT is(cw.flag(:c), false, 'B31 fixture: nothing is left of it');
SELECT is(cw.ask('customer', 999999999, 'at_once'), 'SM001', 'B31 missing and hidden alike');

-- What may be asked.
SELECT is(cw.ask('customer', :c, 'inside'), '22023', 'B31 a template that is not for customers');
SELECT is(cw.ask('customer', :c, 'nonsense'), '22023', 'B31 a template that does not exist: the same');
SELECT is(cw.ask('agent', :c, 'retired'), '22023', 'B31 a template that is not active');
SELECT is(cw.ask('agent', :c, 'narrow', 'lack_of_progress'), '22023', 'B31 a reason that the template does not have');
SELECT is(cw.ask('agent', :c, 'narrow', NULL), '22023', 'B31 no reason');
SELECT is(cw.ask('customer', :c, 'at_once', 'inactivity', v), 'SM003', format('SM003 justification %s', coalesce(quote_literal(left(v, 5)), 'NULL'))) FROM (VALUES (NULL), (''), ('  '), (repeat('x', 4001))) t(v);
SELECT cw.as('customer', $$SELECT (csm.open_case('draft', draft => true)).id$$) AS draft \gset
SELECT is(cw.ask('customer', :draft, 'at_once'), 'SM002', 'SM002 a draft is not escalated');
SELECT cw.new_case('gone', 'open') AS gone \gset
SELECT cw.as('customer', format('SELECT csm.act(%s, ''close'')', :gone));
SELECT is(cw.ask('agent', :gone, 'at_once'), 'SM004', 'SM004 a closed case is not escalated');
SELECT is(cw.as('customer', format('SELECT string_agg(template, '','' ORDER BY template) FROM csm.escalation_options(%s)', :c)), 'at_once,decided,unmanned', 'B31 options of a customer');
SELECT is(cw.as('agent', format('SELECT string_agg(template, '','' ORDER BY template) FROM csm.escalation_options(%s)', :c)), 'at_once,decided,inside,narrow,unmanned', 'B31 options of staff');
SELECT is(cw.as(v.who, format('SELECT count(*) FROM csm.escalation_options(%s)', v.c)), '0', format('B31 no options: %s', v.who)) FROM (VALUES ('stranger', :c), ('colleague', :c), ('customer', :gone), ('customer', :draft)) v(who, c);

-- Asked, decided, ended.
SELECT is(cw.ask('customer', :c, 'decided', 'customer_deadline', 'Fair on Monday'), 'requested', 'B31 requested');
SELECT cw.open_of(:c) AS e \gset
SELECT is((SELECT format('%s %s %s %s %s %s', state, source, reason, severity, trend, justification) FROM csm.escalations WHERE id = :e),
          'requested customer customer_deadline high same Fair on Monday', 'B31 the row');
SELECT is(cw.flag(:c), false, 'B31 no flag before the decision');
SELECT is(cw.as(v.who, format('SELECT (csm.decide_escalation(%s, true)).state', :e)), '42501', 'B31 not decided by ' || v.who) FROM (VALUES ('agent'), ('manager'), ('consumer_agent'), ('customer')) v(who);
SELECT is(cw.as('agent2', 'SELECT (csm.decide_escalation(999999999, true)).state'), '42501', 'B31 an escalation that does not exist: the same');
SELECT is(cw.as('agent2', format('SELECT (csm.decide_escalation(%s, NULL)).state', :e)), '22004', 'B31 a decision says yes or no');
SELECT is(cw.as('agent', format('SELECT (csm.deescalate(%s)).state', :e)), 'SM002', 'SM002 what is requested is not ended but decided');
SELECT is(cw.as('agent2', format('SELECT (csm.decide_escalation(%s, true, ''Yes'')).state', :e)), 'escalated', 'B31 allow: a member of the group decides');
SELECT is((SELECT format('%s %s %s', decided_by = cw.id('agent2'), decided_at IS NOT NULL, decision_note) FROM csm.escalations WHERE id = :e), 't t Yes', 'B31 who decided, when, why');
SELECT is((SELECT format('%s %s', escalated, follow_the_sun) FROM csm.cases WHERE id = :c), 't t', 'B31 B45 the flags of the case');
SELECT is(cw.as('agent2', format('SELECT (csm.decide_escalation(%s, false)).state', :e)), 'SM002', 'SM002 decided once');
SELECT is(cw.ask('agent', :c, 'inside'), '23505', 'B31 one open escalation of a case');
SELECT is(cw.as('agent', format('UPDATE csm.escalations SET trend = ''improving'' WHERE id = %s RETURNING trend', :e)), 'improving', 'B31 staff judge the trend');
SELECT is(cw.as('agent', format('UPDATE csm.escalations SET severity = ''medium'' WHERE id = %s', :e)), '42501', 'B31 nothing else of the row is written');
SELECT is(cw.as('consumer_agent', format('UPDATE csm.escalations SET trend = ''same'' WHERE id = %s', :e)), NULL, 'B31 not by staff who do not see the case');
SELECT is(cw.as('consumer_agent', format('SELECT (csm.deescalate(%s)).state', :e)), '42501', 'B31 not ended by staff who do not see the case');
SELECT is(cw.as('agent', format('SELECT (csm.deescalate(%s, ''Done'')).state', :e)), 'closed', 'B31 ended by staff who work on the case');
SELECT is((SELECT format('%s %s', escalated, follow_the_sun) FROM csm.cases WHERE id = :c), 'f t', 'B31 the flag goes off');
SELECT is(cw.as('agent', format('SELECT (csm.deescalate(%s)).state', :e)), 'SM002', 'SM002 ended once');
SELECT is(cw.ask('agent', :c, 'inside'), 'escalated', 'B31 allow: another after the first has ended');
SELECT is((SELECT source || ' ' || severity FROM csm.escalations WHERE id = cw.open_of(:c)), 'internal high', 'B31 source internal');
SELECT is((SELECT string_agg(kind || ' ' || audience, ', ' ORDER BY id) FROM csm.events WHERE case_id = :c AND kind ~ 'escalat'),
          'escalation_requested internal, escalated shared, deescalated shared, escalation_requested internal, escalated shared', 'B31 events');
SELECT is((SELECT count(*) FROM csm.events WHERE case_id = :c AND kind ~ 'escalat' AND audience = 'shared' AND payload <> '{}'), 0::bigint, 'B31 what customers read of it says nothing');
SELECT cw.new_case('declined', 'open') AS d \gset
SELECT cw.ask('customer', :d, 'decided');
SELECT is(cw.as('agent2', format('SELECT (csm.decide_escalation(%s, false, ''No'')).state', cw.open_of(:d))), 'declined', 'B31 declined');
SELECT is(cw.flag(:d), false, 'B31 declined: no flag');
SELECT is(cw.ask('customer', :d, 'decided'), 'requested', 'B31 allow: asked again after it was declined');
SELECT is(cw.ask('customer', cw.new_case('nobody decides', 'open'), 'unmanned'), 'escalated', 'B31 a group without members: escalated at once');

-- The end of the case ends what is open.
SELECT cw.new_case('ends', 'open') AS ends, cw.new_case('ends too', 'open') AS ends2 \gset
SELECT cw.ask('customer', :ends, 'at_once'), cw.ask('customer', :ends2, 'decided');
SELECT cw.as('customer', format('SELECT csm.act(c, ''close'') FROM unnest(''{%s,%s}''::bigint[]) c', :ends, :ends2));
SELECT is((SELECT string_agg(state || ' ' || (closed_at IS NOT NULL), ',' ORDER BY case_id) FROM csm.escalations WHERE case_id IN (:ends, :ends2)), 'closed true,closed true', 'B31 closed with the case');
SELECT is(cw.flag(:ends), false, 'B31 a closed case is not escalated');
SELECT is(cw.as('agent2', format('SELECT (csm.decide_escalation(id, true)).state FROM csm.escalations WHERE case_id = %s', :ends2)), 'SM002', 'B31 and cannot be decided any more');

-- A customer learns the flag and nothing else: not that somebody asked before him, nor what came of it.
SELECT cw.new_case('asked by staff', 'open') AS s, cw.new_case('asked by nobody', 'open') AS n \gset
SELECT cw.ask('agent', :s, 'decided');
SELECT is(cw.ask('customer', :s, t, 'inactivity', 'please'), cw.ask('customer', :n, t, 'inactivity', 'please'), format('B31 the same answer whether or not one is pending: %s', t))
FROM unnest('{decided,at_once}'::text[]) t;
SELECT is(cw.flag(:s), cw.flag(:n), 'B31 and the same flag');
SELECT is(cw.ask('customer', :s, 'decided'), 'escalated', 'B31 asked again while it is escalated: no error');
SELECT is((SELECT count(*) FROM csm.escalations WHERE case_id = :s), 1::bigint, 'B31 and no second row');
SELECT is((SELECT count(*) FROM csm.case_entries WHERE case_id = :s AND visibility = 'internal' AND author_id = cw.id('customer')), 3::bigint, 'B31 what he said is a work note for staff');
SELECT is(cw.as('customer', format('SELECT count(*) FROM csm.case_entries WHERE case_id = %s AND visibility = ''internal''', :s)), '0', 'B31 that he does not read');
SELECT is(cw.as('customer', 'SELECT count(*) FROM csm.' || t), '42501', 'R3.4 no customer reads csm.' || t) FROM unnest('{escalations,escalation_templates}'::text[]) t;
SELECT is(cw.as('customer', format('SELECT escalated FROM csm.cases WHERE id = %s', :s)), 'true', 'B31 allow: he reads the flag');
SELECT is(cw.as('customer', format('UPDATE csm.cases SET escalated = false WHERE id = %s', :s)), '42501', 'B31 he does not write it');
SELECT is(cw.as('manager', format('UPDATE csm.cases SET escalated = false WHERE id = %s', :s)), '42501', 'B31 nor does a manager');
UPDATE csm.cases SET escalated = false WHERE id = :s;
SELECT is(cw.flag(:s), true, 'B31 nor a superuser''s script');

-- Accounts.
CREATE FUNCTION cw.ask_account(who text, account bigint, template text DEFAULT 'decided') RETURNS text LANGUAGE sql AS $$
    SELECT cw.as(who, format('SELECT csm.request_account_escalation(%s, %L, ''inactivity'', ''because'')', account, template))
$$;
SELECT is(cw.ask_account(who, :alpha), '42501', 'B31 account: not asked by ' || who) FROM unnest('{customer,boss,consumer_agent,admin}'::text[]) who;
SELECT is(cw.ask_account('agent', 999999999), '42501', 'B31 account: missing, the same');
SELECT is(cw.ask_account('agent', :alpha, 'inside'), '22023', 'B31 account: a template for cases');
SELECT is(cw.ask_account('agent', :alpha), 'requested', 'B31 account: allow');
SELECT is(cw.ask_account('agent', :alpha, 'at_once'), '23505', 'B31 account: one open');
SELECT is(cw.ask_account('agent', :beta, 'at_once'), 'escalated', 'B31 account: allow another, at once');
SELECT is(cw.as('agent2', format('SELECT (csm.decide_escalation(id, true)).state FROM csm.escalations WHERE account_id = %s', :alpha)), 'escalated', 'B31 account: decided');
SELECT is(cw.as('consumer_agent', 'SELECT count(*) FROM csm.escalations'), '0', 'B31 staff for consumers see no escalation of accounts');
SELECT is(cw.as('agent', 'SELECT count(*) FROM csm.escalations WHERE account_id IS NOT NULL'), '2', 'B31 staff for accounts see them');
SELECT is(cw.as('agent', format('SELECT (csm.deescalate(id)).state FROM csm.escalations WHERE account_id = %s', :alpha)), 'closed', 'B31 account: ended');

-- Configuration.
SELECT is(cw.as('agent', 'UPDATE csm.escalation_templates SET active = false'), '42501', 'B31 staff do not write templates');
SELECT is(cw.as('manager', 'UPDATE csm.escalation_templates SET active = false', 'csm_admin'), NULL, 'B31 nor does csm_admin without configure');
SELECT is(cw.as('admin', 'UPDATE csm.escalation_templates SET label = ''x'' WHERE template = ''narrow'' RETURNING label'), 'x', 'B31 allow: an administrator does');
SELECT throws_ok(format('INSERT INTO csm.escalations (template_id, case_id, state, source, reason, severity, justification, decided_at) SELECT template_id, case_id, state, source, reason, severity, justification, decided_at FROM csm.escalations WHERE id = %s', cw.open_of(:s)),
                 '23505', NULL, 'B31 one open, whoever writes');
SELECT * FROM finish();
