-- Disputes: R 5 as one table of who may do what at which stage, every refusal included; then what each act leaves behind.
-- Everything that the two companies do runs as csm_portal.
\set ON_ERROR_STOP on
\ir ../lib/disputes.sql
SELECT * FROM no_plan();

CREATE TABLE d.subject (state text PRIMARY KEY, id bigint NOT NULL);
INSERT INTO d.subject
SELECT s, d.brought(s) FROM unnest('{draft,submitted,in_discussion,awaiting_claimant,proposed,escalated,ruled,settled,withdrawn,ruled_final,cancelled}'::text[]) s;
CREATE FUNCTION d.c(of_state text) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT id FROM d.subject WHERE state = of_state';

-- One line an actor and action, a column a stage. A word is the stage that follows; p is 42501 (not permitted), t SM002 (not
-- from this stage), x SM004 (closed), h SM001 (hidden).
CREATE TABLE d.expected (who text, action text, draft text, submitted text, in_discussion text, awaiting_claimant text, proposed text,
                         escalated text, ruled text, settled text, withdrawn text, ruled_final text, cancelled text);
INSERT INTO d.expected VALUES
    ('claimant', 'submit',            'submitted', 't',             't',                 't',                 't',             't',             't',         'x', 'x', 'x', 'x'),
    ('claimant', 'resume',            't',         't',             't',                 'in_discussion',     't',             't',             't',         'x', 'x', 'x', 'x'),
    ('claimant', 'accept',            't',         't',             't',                 't',                 'settled',       't',             't',         'x', 'x', 'x', 'x'),
    ('claimant', 'reject',            't',         't',             't',                 't',                 'in_discussion', 't',             't',         'x', 'x', 'x', 'x'),
    ('claimant', 'escalate',          't',         'escalated',     'escalated',         'escalated',         'escalated',     't',             't',         'x', 'x', 'x', 'x'),
    ('claimant', 'withdraw',          'withdrawn', 'withdrawn',     'withdrawn',         'withdrawn',         'withdrawn',     'withdrawn',     'withdrawn', 'x', 'x', 'x', 'x'),
    ('claimant', 'cancel',            'cancelled', 'p',             't',                 't',                 't',             't',             't',         'x', 'x', 'x', 'x'),
    ('respondent', 'acknowledge',     'h',         'in_discussion', 't',                 't',                 't',             't',             't',         'x', 'x', 'x', 'h'),
    ('respondent', 'request_info',    'h',         't',             'awaiting_claimant', 't',                 't',             't',             't',         'x', 'x', 'x', 'h'),
    ('respondent', 'propose',         'h',         'proposed',      'proposed',          'proposed',          't',             't',             't',         'x', 'x', 'x', 'h'),
    ('respondent', 'withdraw_proposal', 'h',       't',             't',                 't',                 'in_discussion', 't',             't',         'x', 'x', 'x', 'h'),
    ('respondent', 'escalate',        'h',         'escalated',     'escalated',         'escalated',         'escalated',     't',             't',         'x', 'x', 'x', 'h'),
    ('respondent', 'assign_contact',  'h',         'submitted',     'in_discussion',     'awaiting_claimant', 'proposed',      'escalated',     't',         'x', 'x', 'x', 'h'),
    ('agent', 'request_info',         't',         't',             'awaiting_claimant', 't',                 't',             't',             't',         'x', 'x', 'x', 'x'),
    ('agent', 'send_back',            't',         't',             't',                 't',                 't',             'in_discussion', 't',         'x', 'x', 'x', 'x'),
    ('agent', 'confirm',              't',         't',             't',                 't',                 't',             't',             'ruled_final', 'x', 'x', 'x', 'x'),
    ('agent', 'cancel',               'p',         'cancelled',     't',                 't',                 't',             't',             't',         'x', 'x', 'x', 'x'),
    ('agent', 'assign_contact',       't',         'submitted',     'in_discussion',     'awaiting_claimant', 'proposed',      'escalated',     't',         'x', 'x', 'x', 'x'),
    ('system', 'accept',              't',         't',             't',                 't',                 'settled',       't',             't',         'x', 'x', 'x', 'x'),
    ('system', 'escalate',            't',         'escalated',     'escalated',         'p',                 'p',             't',             't',         'x', 'x', 'x', 'x'),
    ('system', 'confirm',             't',         't',             't',                 't',                 't',             't',             'ruled_final', 'x', 'x', 'x', 'x');
-- All else is not theirs, at no stage; of what they do not see they hear nothing.
CREATE TABLE d.verb (action text PRIMARY KEY);
INSERT INTO d.verb SELECT unnest('{submit,acknowledge,request_info,resume,propose,accept,reject,withdraw_proposal,escalate,send_back,rule,confirm,withdraw,cancel,assign_contact}'::text[]);
INSERT INTO d.expected
SELECT k.who, v.action, k.draft, k.later, k.later, k.later, k.later, k.later, k.later, k.later, k.later, k.later, k.draft
FROM (VALUES ('claimant', 'p', 'p'), ('respondent', 'h', 'p'), ('agent', 'p', 'p'), ('system', 'p', 'p'),
             ('reader', 'p', 'p'), ('other reader', 'h', 'p'), ('outsider', 'h', 'h')) k(who, draft, later), d.verb v
WHERE NOT EXISTS (SELECT FROM d.expected e WHERE (e.who, e.action) = (k.who, v.action));
-- Who is what; and where one of them differs from his kind.
CREATE TABLE d.kind (who text PRIMARY KEY, is_a text NOT NULL);
INSERT INTO d.kind VALUES
    ('north contact', 'claimant'), ('north manager', 'claimant'), ('north admin', 'claimant'), ('acme admin', 'claimant'),
    ('north reader', 'reader'), ('north colleague', 'outsider'), ('acme contact', 'outsider'), ('plant manager', 'outsider'),
    ('globex manager', 'respondent'), ('globex lawyer', 'respondent'), ('globex reader', 'other reader'), ('globex contact', 'outsider'),
    ('initech contact', 'outsider'), ('umbrella admin', 'outsider'), ('paragon admin', 'outsider'), ('stranger', 'outsider'), ('nobody', 'outsider'),
    ('b2b agent', 'agent'), ('account team', 'agent'), ('desk manager', 'agent'), ('second manager', 'agent'),
    ('viewer', 'reader'), ('consumer agent', 'outsider'), ('system', 'system'), ('double', 'reader');
CREATE TABLE d.person AS SELECT k.who AS name, e.* FROM d.kind k JOIN d.expected e ON e.who = k.is_a;
ALTER TABLE d.person RENAME COLUMN who TO kind;
-- Managers rule; the one who ruled does not confirm.
UPDATE d.person SET draft = 't', submitted = 't', in_discussion = 't', awaiting_claimant = 't', proposed = 't', escalated = 'ruled', ruled = 't',
                    settled = 'x', withdrawn = 'x', ruled_final = 'x', cancelled = 'x'
WHERE name IN ('desk manager', 'second manager') AND action = 'rule';
UPDATE d.person SET ruled = 'p' WHERE name = 'desk manager' AND action = 'confirm';
-- The contact who is named does not name another.
UPDATE d.person SET submitted = 'p', in_discussion = 'p', awaiting_claimant = 'p', proposed = 'p', escalated = 'p'
WHERE name = 'globex lawyer' AND action = 'assign_contact';
UPDATE d.person SET draft = 'h', cancelled = 'h' WHERE name = 'globex lawyer';
-- Before submission there is one side only, and "double" is on it; afterwards on both, hence on neither.
UPDATE d.person p SET draft = e.draft, cancelled = e.cancelled FROM d.expected e
WHERE p.name = 'double' AND e.who = 'claimant' AND e.action = p.action;

-- Row of R 5.4 by stage and action.
CREATE FUNCTION d.row_of(state text, action text, who text) RETURNS text LANGUAGE sql RETURN CASE
    WHEN action = 'submit' THEN 'R5.4.2' WHEN action = 'acknowledge' THEN 'R5.4.3' WHEN action = 'request_info' THEN 'R5.4.5'
    WHEN action = 'resume' THEN 'R5.4.6' WHEN action = 'propose' THEN 'R5.4.7'
    WHEN action = 'accept' THEN CASE who WHEN 'system' THEN 'R5.4.11' ELSE 'R5.4.8' END
    WHEN action = 'reject' THEN 'R5.4.9' WHEN action = 'withdraw_proposal' THEN 'R5.4.10'
    WHEN action = 'escalate' THEN CASE who WHEN 'system' THEN 'R5.4.12' ELSE 'R5.4.14' END
    WHEN action = 'send_back' THEN 'R5.4.15' WHEN action = 'rule' THEN 'R5.4.16' WHEN action = 'confirm' THEN 'R5.4.17'
    WHEN action = 'withdraw' THEN 'R5.4.18' WHEN action = 'cancel' THEN 'R5.4.19' ELSE 'R5.2' END;
SELECT is(d.act(p.name, s.id, p.action, keep => false),
          CASE to_jsonb(p) ->> s.state WHEN 'p' THEN '42501' WHEN 't' THEN 'SM002' WHEN 'x' THEN 'SM004' WHEN 'h' THEN 'SM001' ELSE to_jsonb(p) ->> s.state END,
          format('%s %s: %s by %s', d.row_of(s.state, p.action, p.name), s.state, p.action, p.name))
FROM d.person p, d.subject s;
SELECT is((SELECT string_agg(state, ',' ORDER BY state) FROM d.subject), (SELECT string_agg(state, ',' ORDER BY state) FROM csm.case_states WHERE case_type = 'dispute' AND tenant_id = small.tenant()),
          'T15 every stage of R 5.3 was tried, and there is no other');
SELECT set_eq($$SELECT DISTINCT action FROM csm.case_transitions WHERE case_type = 'dispute' AND tenant_id = small.tenant()$$, 'SELECT action FROM d.verb', 'T15 every action was tried, and there is no other');
SELECT is((SELECT string_agg(state || ' ' || state_class, ',' ORDER BY state) FROM csm.case_states WHERE case_type = 'dispute' AND tenant_id = small.tenant()),
          'awaiting_claimant waiting,cancelled cancelled,draft draft,escalated open,in_discussion open,proposed resolved,ruled resolved,ruled_final closed,settled closed,submitted new,withdrawn closed',
          'R5.3 stages and the classes of the case state');

-- csm.actions tells beforehand exactly what csm.act would allow.
SELECT is(coalesce(d.run(k.who, format('SELECT string_agg(action, '','' ORDER BY action) FROM csm.actions(%s)', s.id)), ''),
          coalesce((SELECT string_agg(p.action, ',' ORDER BY p.action) FROM d.person p
                    WHERE p.name = k.who AND (to_jsonb(p) ->> s.state) NOT IN ('p', 't', 'x', 'h')), ''),
          format('T15 actions of %s in %s', k.who, s.state))
FROM d.kind k, d.subject s WHERE k.who <> 'system';

-- 4: words, at every stage until it is closed.
SELECT is(d.run(k.who, format('SELECT (csm.comment(%s, ''word'')).side', s.id)),
          CASE WHEN seen.hidden THEN 'SM001'
               WHEN k.is_a IN ('reader', 'other reader') AND k.who <> 'double' THEN '42501'
               WHEN s.state IN ('settled', 'withdrawn', 'ruled_final', 'cancelled') THEN 'SM004'
               ELSE CASE k.is_a WHEN 'respondent' THEN 'counterparty' WHEN 'agent' THEN 'operator' WHEN 'system' THEN 'operator' ELSE 'customer' END END,
          format('R5.4.4 %s: comment by %s', s.state, k.who))
FROM d.kind k, d.subject s, LATERAL (SELECT (to_jsonb(p) ->> s.state) = 'h' AS hidden FROM d.person p WHERE p.name = k.who AND p.action = 'submit') seen;

-- Who sees what: a third account never, the respondent nothing of a draft.
SELECT is(d.run(k.who, format('SELECT count(*) FROM csm.cases WHERE id = %s', s.id)),
          CASE WHEN (SELECT to_jsonb(p) ->> s.state FROM d.person p WHERE p.name = k.who AND p.action = 'submit') = 'h' THEN '0' ELSE '1' END,
          format('T15 %s %s the dispute in %s', k.who, CASE k.is_a WHEN 'outsider' THEN 'does not see' ELSE 'sees' END, s.state))
FROM d.kind k, d.subject s;

SELECT * FROM finish();
