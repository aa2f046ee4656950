-- Erasing a person who was made one of three: nothing is left of what any of the three was called, wrote or was written of.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
\ir ../lib/quaddle.sql
SELECT * FROM no_plan();
\set hers 'quaddl|wilhelmina|5557788|WQ-77|zornwick|minna|4441122|hedda|kalverkamp'

-- The second, a contact elsewhere, and the third, who is made one with the second before that one is made one with her.
DO $$
DECLARE
    v record;
    new_id bigint;
BEGIN
    FOR v IN SELECT * FROM (VALUES ('second', 'Minna Zornwick', 'minna@zornwick.example', '+49 4441122', 'south'), ('third', 'Hedda Kalverkamp', 'hedda@kalverkamp.example', NULL, 'acme')) x(key, name, email, phone, account) LOOP
        INSERT INTO csm.users (tenant_id, display_name, email, phone) VALUES (small.tenant(), v.name, v.email, v.phone) RETURNING id INTO new_id;
        INSERT INTO small.named VALUES ('user', v.key, new_id);
        INSERT INTO csm.contacts (tenant_id, user_id, account_id, role, is_home) VALUES (small.tenant(), new_id, small.a(v.account), 'customer', true);
        PERFORM csm_private.audit('profile_changed', new_id, new_id, NULL, jsonb_build_object('name', v.name), small.tenant());
        PERFORM csm_private.send_mail(small.tenant(), 'news', v.email);
        INSERT INTO csm.registrations (tenant_id, kind, email, display_name) VALUES (small.tenant(), 'consumer', v.email, v.name);
    END LOOP;
END $$;
SELECT small.does('second', 'csm_portal', $$SELECT (csm.open_case('Zornwick terminal', 'Minna waits.')).id$$) AS theirs \gset
SELECT small.does('second', 'csm_portal', format($$SELECT (csm.comment(%s, 'Minna again')).id$$, :theirs));
SELECT small.does('third', 'csm_portal', $$SELECT (csm.open_case('Kalverkamp order')).id$$) AS order \gset
SELECT small.does('north manager', 'csm_portal', $$SELECT (csm.open_case('Delivery', 'Ask Minna Zornwick (minna@zornwick.example) or Hedda Kalverkamp.')).id$$) AS delivery \gset
SELECT csm.merge_users(small.u('second'), small.u('third'), 'Hedda Kalverkamp is Minna Zornwick');
SELECT csm.merge_users(small.u('her'), small.u('second'), 'Minna Zornwick is Wilhelmina');
SELECT set_eq(format('SELECT removed_id FROM csm.user_merges WHERE kept_id = %s', small.u('her')), ARRAY[small.u('second'), small.u('third')], 'A37 three are one');
SELECT is((SELECT count(*) FROM csm.case_history WHERE actor_id IN (small.u('second'), small.u('third'))) > 2, true, 'A37 history still names the two who are gone');

-- An export names all three, by the record of the merge.
SELECT ok(csm.export_person(small.u('her'))::text ~ 'Zornwick' AND csm.export_person(small.u('her'))::text ~ 'Kalverkamp', 'A37 the export has what the others were');

-- Others named any of the three.
SELECT set_has('SELECT table_name, column_name, case_id FROM csm.find_mentions(' || small.u('her') || ')',
               format($$VALUES ('csm.cases', 'description', %s)$$, :delivery), 'A37 mentions are found by the names of all three');
SELECT ok(bool_and(csm.redact_mention(small.u('her'), table_name, column_name, row_id)), 'A37 and redacted') FROM csm.find_mentions(small.u('her'));
SELECT is((SELECT description FROM csm.cases WHERE id = :delivery), 'Ask erased (erased) or erased.', 'A37 the rest of the text stays');

CREATE TABLE small.chain AS SELECT id, case_id, seq, action, actor_id, hash FROM csm.case_history;
SELECT ok(count(*) > 15, 'A37 before, their traces are everywhere') FROM small.traces(:'hers');
SELECT csm.erase_person(small.u('her'), 'she asked');
SELECT is_empty(format('SELECT * FROM small.traces(%L)', :'hers'), 'A37 no trace of the three is left in any table, search vector or statistic');
SELECT is((SELECT intact || ' ' || coalesce(what, '') FROM csm.verify_history()), 'true ', 'A37 the history verifies');
SELECT is_empty('SELECT * FROM small.chain c WHERE NOT EXISTS (SELECT FROM csm.case_history h WHERE (h.id, h.case_id, h.seq, h.action, h.hash) = (c.id, c.case_id, c.seq, c.action, c.hash)
                   AND h.actor_id IS NOT DISTINCT FROM c.actor_id)', 'A37 every link stays, with its number of who it was');
SELECT is((SELECT count(*) FROM csm.user_merges WHERE kept_id = small.u('her') AND removed = '{}'), 2::bigint, 'A37 so does the fact of the merges');
SELECT is((SELECT string_agg(subject, ', ') FROM csm.cases WHERE id IN (:theirs, :order)), 'erased, erased', 'A37 the cases of all three, without a word');
SELECT is(small.sees('north manager', 'north: pump'), true, 'A37 others see what they saw');
SELECT * FROM finish();
