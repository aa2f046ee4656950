-- What a customer's administrator does with contacts, what a person does with his own profile, what is refused, and that
-- both are recorded. Each deny has an allow that differs in one thing.
\ir ../lib/small.sql
SELECT * FROM no_plan();

-- The first value of a statement as a person; what it writes stays. An error gives "ERROR sqlstate".
CREATE FUNCTION pg_temp.does(person text, statement text, role_name text DEFAULT 'csm_portal', persona text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(small.run(small.u(person), role_name, statement, persona, true), '^(ERROR .....): .*', '\1')
$$;
-- The last audit row of a kind: actor, subject, account, details
CREATE FUNCTION pg_temp.audited(of_kind text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' | ', (SELECT name FROM small.named n WHERE n.kind = 'user' AND n.id = a.actor_id),
                     coalesce((SELECT name FROM small.named n WHERE n.kind = 'user' AND n.id = a.subject_user_id), a.subject_user_id::text, '-'),
                     coalesce((SELECT name FROM small.named n WHERE n.kind = 'account' AND n.id = a.account_id), '-'))
    FROM csm.audit_log a WHERE a.kind = of_kind ORDER BY a.id DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.role_of(contact text) RETURNS text LANGUAGE sql AS $$
    SELECT role || CASE WHEN login_enabled THEN '' ELSE ' off' END FROM csm.contacts WHERE id = small.k(contact)
$$;
CREATE FUNCTION pg_temp.token(of_kind text) RETURNS text LANGUAGE sql AS $$
    SELECT o.payload->>'token' FROM csm.outbox o WHERE o.kind = of_kind ORDER BY o.id DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.person(contact bigint) RETURNS csm.users LANGUAGE sql AS $$
    SELECT u FROM csm.users u JOIN csm.contacts k ON k.user_id = u.id WHERE k.id = contact
$$;

-- A10: one's own profile.
SELECT is(pg_temp.does('north contact', $$SELECT concat_ws(' ', u.display_name, u.language, u.time_zone, u.phone, u.title)
    FROM csm.update_profile(display_name => 'Nora North', language => 'de', time_zone => 'Europe/Berlin', phone => '+49 1', title => 'Buyer') u$$),
    'Nora North de Europe/Berlin +49 1 Buyer', 'A10 a person keeps his own name, language, time zone, telephone and title');
SELECT is(pg_temp.does('north contact', $$SELECT concat_ws(' ', u.display_name, coalesce(u.phone, 'none'), u.title) FROM csm.update_profile(phone => '') u$$),
    'Nora North none Buyer', 'A10 what is not given stays, the empty string empties');
SELECT is(pg_temp.audited('profile_changed'), 'north contact | north contact | -', 'A10 and it is recorded');
SELECT is(pg_temp.does('north contact', x.call), 'ERROR 22023', format('A10 refused: %s', x.call))
FROM (VALUES ($$SELECT csm.update_profile(time_zone => 'Mars/Base')$$), ($$SELECT csm.update_profile(language => 'no such')$$),
             ($$SELECT csm.update_profile(display_name => ' ')$$), ($$SELECT csm.update_profile(display_name => E'a\nBcc: b')$$),
             ($$SELECT csm.update_profile(email => 'not an address')$$), ($$SELECT csm.update_profile(email => E'a@b.example\nBcc: c@d.example')$$),
             ($$SELECT csm.update_profile(phone => repeat('1', 65))$$)) x(call);
SELECT is(regexp_replace(small.run(NULL, 'csm_portal', 'SELECT csm.update_profile(title => ''x'')'), ': .*', ''), 'ERROR 42501', 'A10 nobody has no profile');
SELECT is(pg_temp.does('north contact', format('UPDATE csm.users SET display_name = ''x'' WHERE id = %s', small.u('north contact'))), 'ERROR 42501',
    'A10 the row itself is not written by the portal');
SELECT is(pg_temp.does('north contact', $$SELECT (csm.update_profile(email => 'nora@north.example')).email$$), 'north.contact@small.example',
    'A10 a new address does not count before it has answered');
SELECT is(small.run(NULL, 'csm_guest', format('SELECT csm.confirm_email(%L)', repeat('x', 43))), 'refused', 'A10 an unknown token confirms nothing');
SELECT is(small.run(NULL, 'csm_guest', format($$WITH t AS (SELECT set_config('csm.tenant', 'foreign', true)) SELECT csm.confirm_email(%L) FROM t$$, pg_temp.token('confirm_email')), NULL, true),
    'refused', 'A10 nor a visitor of another tenant');
SELECT is(small.run(NULL, 'csm_guest', format($$WITH t AS (SELECT set_config('csm.tenant', 'small', true)) SELECT csm.confirm_email(%L) FROM t$$, pg_temp.token('confirm_email')), NULL, true),
    'confirmed', 'A10 whoever has the token confirms it');
SELECT is(small.run(NULL, 'csm_guest', format($$WITH t AS (SELECT set_config('csm.tenant', 'small', true)) SELECT csm.confirm_email(%L) FROM t$$, pg_temp.token('confirm_email')), NULL, true),
    'refused', 'A10 once');
SELECT is((SELECT email FROM csm.users WHERE id = small.u('north contact')), 'nora@north.example', 'A10 and the address is his');
SELECT is((SELECT recipient FROM csm.outbox WHERE kind = 'email_changed'), 'north.contact@small.example', 'A10 the address before is told');
SELECT is(pg_temp.does('north contact', $$SELECT (csm.update_profile(email => 'south.contact@small.example')).email$$), 'nora@north.example',
    'A10 an address of somebody else gives the same answer');
SELECT is((SELECT recipient || coalesce(payload->>'token', '') FROM csm.outbox WHERE kind = 'email_in_use'), 'south.contact@small.example',
    'A10 its owner is warned, and gets no token');
SELECT is(pg_temp.does('employee', $$SELECT string_agg((csm.update_profile(email => 'e' || i || '@x.example')).email, ' ') FROM generate_series(1, 6) i$$), 'ERROR SM007',
    'A10 not more than five addresses a day');

-- A11: preferences.
SELECT is(pg_temp.does('north contact', $$WITH w AS (INSERT INTO csm.notification_preferences (event, channel, enabled)
    VALUES ('*', 'email', false), ('closed', 'email', true) RETURNING 1) SELECT count(*) FROM w$$), '2', 'A11 a person says what he wants to hear of');
SELECT is((SELECT string_agg(coalesce(csm_private.wants_notification(small.u('north contact'), small.tenant(), e, c)::text, 'default'), ' ')
           FROM (VALUES ('closed', 'email'), ('opened', 'email'), ('opened', 'sms')) v(e, c)), 'true false default',
    'A11 the event goes before the asterisk, and silence is the default');
SELECT is(pg_temp.does('north colleague', 'SELECT count(*) FROM csm.notification_preferences'), '0', 'A11 nobody reads another''s');
SELECT is(pg_temp.does('north admin', 'WITH w AS (UPDATE csm.notification_preferences SET enabled = true RETURNING 1) SELECT count(*) FROM w'), '0',
    'A11 nor changes them, his administrator least of all');
SELECT is(pg_temp.does('north colleague', format($$INSERT INTO csm.notification_preferences (user_id, event, channel, enabled) VALUES (%s, '*', '*', false)$$,
    small.u('north contact'))), 'ERROR 42501', 'A11 nor speaks for another');
SELECT is(pg_temp.does('north contact', $$WITH w AS (DELETE FROM csm.notification_preferences WHERE event = '*' RETURNING 1) SELECT count(*) FROM w$$), '1', 'A11 and takes it back');

-- A12: adding contacts.
CREATE FUNCTION pg_temp.adds(person text, account text, of_role text, named text DEFAULT NULL, role_name text DEFAULT 'csm_portal', mail text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text := pg_temp.does(person, format('SELECT status || coalesce('' '' || contact_id, '''') FROM csm.add_contact(%s, %L, %L, email => %L)',
                                               small.a(account), coalesce(named, 'somebody'), of_role, mail), role_name);
BEGIN
    IF named IS NOT NULL AND answer ~ '^added ' THEN
        INSERT INTO small.named SELECT 'contact', named, split_part(answer, ' ', 2)::bigint
        UNION ALL SELECT 'user', named, user_id FROM csm.contacts WHERE id = split_part(answer, ' ', 2)::bigint;
    END IF;
    RETURN split_part(answer, ' ', 1) || CASE WHEN answer ~ '^ERROR' THEN ' ' || split_part(answer, ' ', 2) ELSE '' END;
END $$;
SELECT is(pg_temp.adds('north admin', 'north', 'customer', 'newcomer'), 'added', 'A12 an administrator adds a contact');
SELECT is(pg_temp.audited('contact_added'), 'north admin | newcomer | north', 'A12 which is recorded in the account');
SELECT is(pg_temp.adds('acme admin', 'plant', 'customer'), 'added', 'A12 also below his account');
SELECT is(pg_temp.adds('north admin', 'plant', 'customer_admin'), 'added', 'A12 with his own role');
SELECT is(pg_temp.adds('desk manager', 'north', 'case_manager', NULL, 'csm_agent'), 'added', 'A12 staff with account_manage give any contact role');
SELECT is(pg_temp.adds(x.person, x.account, x.role, NULL, x.conn), 'refused', format('A12 refused: %s at %s by %s', x.role, x.account, x.person))
FROM (VALUES ('north admin', 'acme', 'customer', 'csm_portal'), ('north admin', 'south', 'customer', 'csm_portal'),
             ('north manager', 'north', 'customer', 'csm_portal'), ('north contact', 'north', 'customer', 'csm_portal'),
             ('paragon admin', 'north', 'customer', 'csm_portal'), ('desk manager', 'north', 'customer', 'csm_portal'),
             ('b2b agent', 'north', 'customer', 'csm_agent'), ('student', 'north', 'customer', 'csm_portal'),
             ('north admin', 'north', 'case_manager', 'csm_portal'), ('north admin', 'north', 'partner', 'csm_portal'),
             ('north admin', 'north', 'partner_admin', 'csm_portal'), ('north admin', 'north', 'admin', 'csm_portal'),
             ('north admin', 'north', 'no such role', 'csm_portal'), ('desk manager', 'north', 'agent', 'csm_agent')) x(person, account, role, conn);
SELECT is(pg_temp.does('north admin', $$SELECT status FROM csm.add_contact(999999999, 'x')$$), 'refused', 'V15 a missing account is refused as a hidden one is');
SELECT is(pg_temp.does('north admin', $$SELECT status FROM csm.add_contact(NULL, 'x')$$), 'refused', 'V15 and so is none');
SELECT is(pg_temp.does('north admin', format($$SELECT status FROM csm.add_contact(%s, '')$$, small.a('north'))), 'ERROR 22023', 'A12 a contact has a name');
SELECT is(pg_temp.audited('contact_add_refused'), 'north admin | - | -', 'A12 refusals are recorded, elsewhere without the account');
SELECT is(pg_temp.adds('north admin', 'north', 'case_manager'), 'refused', 'A12 (once more)');
SELECT is(pg_temp.audited('contact_add_refused'), 'north admin | - | north', 'A12 and in the account for those who administer it');
-- The tenant's own list
UPDATE csm.tenants SET settings = settings || '{"assignable_roles": ["customer", "case_manager"]}' WHERE key = 'small';
SELECT is(pg_temp.adds('north admin', 'north', 'case_manager'), 'added', 'A14 the tenant says which roles can be given');
SELECT is(pg_temp.adds('north admin', 'north', 'customer_admin'), 'refused', 'A14 and which not');
UPDATE csm.tenants SET settings = settings - 'assignable_roles' WHERE key = 'small';

-- An administrator from outside gives nothing that he has at home alone.
UPDATE csm.account_relationships SET administers = true WHERE id = small.r('paragon-umbrella');
UPDATE csm.account_relationships SET history_from = NULL WHERE id = small.r('paragon-umbrella');
SELECT is(pg_temp.adds('paragon admin', 'umbrella', 'customer', 'of the partner'), 'added', 'A12 a partner who administers a customer adds contacts there');
SELECT is(pg_temp.adds('paragon admin', 'umbrella', 'customer_admin'), 'refused', 'A14 but none with product_manage, which he has at home alone');
SELECT is(pg_temp.adds('paragon admin', 'paragon', 'partner_admin'), 'added', 'A14 at home he gives his own role');
SELECT is(pg_temp.does('paragon admin', format($$SELECT csm.set_contact_role(%s, 'customer')$$, small.k('umbrella admin at umbrella'))), 'refused',
    'A14 nor does he take the customer''s own administrator down');
SELECT is(pg_temp.does('paragon admin', format($$SELECT csm.set_contact_login(%s, false)$$, small.k('umbrella admin at umbrella'))), 'refused', 'A13 or out');
SELECT is(pg_temp.does('paragon admin', format($$SELECT csm.set_contact_login(%s, false)$$, small.k('of the partner'))), 'done', 'A13 a plain contact of the customer he does');
UPDATE csm.account_relationships SET administers = false WHERE id = small.r('paragon-umbrella');
SELECT is(pg_temp.does('paragon admin', format($$SELECT csm.set_contact_login(%s, true)$$, small.k('of the partner'))), 'refused', 'A13 no longer when he does not administer it any more');

-- A12 with an address: whether it is known, nobody learns.
SELECT is(pg_temp.adds('north admin', 'north', 'customer', 'fresh', 'csm_portal', 'fresh@somewhere.example'), 'added', 'A12 with an unknown address');
SELECT is(pg_temp.adds('north admin', 'north', 'customer', 'known', 'csm_portal', ' South.Contact@small.example'), 'added', 'A12 with one that is somebody''s: the same answer');
SELECT is((SELECT string_agg(concat_ws(' ', o.kind, o.payload - 'token'), ', ' ORDER BY o.id) FROM csm.outbox o WHERE o.kind = 'contact_added'),
    'contact_added {"name": "fresh"}, contact_added {"name": "known"}', 'A12 and the same mail');
SELECT is(pg_temp.does('north admin', format('SELECT string_agg(coalesce(u.email, ''none''), '' '') FROM csm.users u WHERE u.id IN (%s, %s)', small.u('fresh'), small.u('known'))),
    'none none', 'A12 and neither has the address before it has answered');
SELECT is(pg_temp.adds('north admin', 'north', 'customer', NULL, 'csm_portal', 'no address'), 'ERROR 22023', 'A12 a malformed address is an error');
CREATE TEMP TABLE asked AS SELECT o.recipient, o.payload->>'token' AS token FROM csm.outbox o WHERE o.kind = 'contact_added';
SELECT is(small.run(NULL, 'csm_guest', format($$WITH t AS (SELECT set_config('csm.tenant', 'small', true)) SELECT csm.confirm_email(%L) FROM t$$,
    (SELECT token FROM asked WHERE recipient LIKE 'fresh%')), NULL, true), 'confirmed', 'A12 the new person confirms his address');
SELECT is((SELECT email FROM csm.users WHERE id = small.u('fresh')), 'fresh@somewhere.example', 'A12 it is his then');
SELECT is(small.run(NULL, 'csm_guest', format($$WITH t AS (SELECT set_config('csm.tenant', 'small', true)) SELECT csm.confirm_email(%L) FROM t$$,
    (SELECT token FROM asked WHERE recipient ILIKE 'south%')), NULL, true), 'confirmed', 'A12 so does the known one');
SELECT is((SELECT user_id FROM csm.contacts WHERE id = small.k('known')), small.u('south contact'), 'A12 who becomes one with the person he was added as: never a duplicate');
SELECT is((SELECT count(*) FROM csm.users WHERE id = small.u('known')), 0::bigint, 'A12 the second row is gone');
SELECT is(small.sees('south contact', 'south: delivery'), true, 'A12 he keeps what he had');

-- A13: logins.
SELECT is(small.sees('north colleague', 'north: valve'), true, 'A13 (before)');
SELECT is(pg_temp.does('north admin', format('SELECT csm.set_contact_login(%s, false)', small.k('north colleague at north'))), 'done', 'A13 an administrator disables a login');
SELECT is(small.sees('north colleague', 'north: valve'), false, 'A13 who sees nothing from the next statement on');
SELECT is(pg_temp.audited('contact_login_disabled'), 'north admin | north colleague | north', 'A13 recorded');
SELECT is(pg_temp.does('north admin', format('SELECT csm.set_contact_login(%s, true)', small.k('north colleague at north'))), 'done', 'A13 and enables it again');
SELECT is(small.sees('north colleague', 'north: valve'), true, 'A13 who sees again');
SELECT is(pg_temp.does('south admin', format('SELECT csm.set_contact_login(%s, false)', small.k('all three at south'))), 'done', 'A13 of one who is also an employee and a consumer');
SELECT is(small.sees('all three', 'south: of all three')::text || small.sees('all three', 'three: own') || small.sees('all three', 'three: laptop'), 'falsetruetrue',
    'A13 only the contact ends, the other personas stay');
SELECT is(pg_temp.does('south admin', format('SELECT csm.set_contact_login(%s, true)', small.k('all three at south'))), 'done', 'A13 (back)');
SELECT is(pg_temp.does(x.person, format('SELECT csm.set_contact_login(%s, false)', small.k(x.contact)), x.conn), 'refused', format('A13 refused: %s by %s', x.contact, x.person))
FROM (VALUES ('north admin', 'north admin at north', 'csm_portal'), ('north admin', 'acme contact at acme', 'csm_portal'),
             ('north manager', 'north contact at north', 'csm_portal'), ('south admin', 'north contact at north', 'csm_portal'),
             ('north contact', 'north colleague at north', 'csm_portal'), ('b2b agent', 'north contact at north', 'csm_agent')) x(person, contact, conn);
SELECT is(pg_temp.does('north admin', 'SELECT csm.set_contact_login(999999999, false)'), 'refused', 'V15 a missing contact is refused as a hidden one is');
SELECT is(pg_temp.audited('contact_login_refused'), 'north admin | - | -', 'A13 the refusal is recorded');
SELECT is(pg_temp.does('north admin', format('SELECT csm.set_contact_login(%s, NULL)', small.k('north colleague at north'))), 'refused', 'A13 nothing is not a state');

-- A13: credentials.
SELECT is(pg_temp.does('north admin', format('SELECT csm.send_credentials(%s)', small.k('north colleague at north'))), 'sent', 'A13 an administrator has credentials sent');
SELECT is(pg_temp.does('south admin', format('SELECT csm.send_credentials(%s)', small.k('all three at south'))), 'sent', 'A13 of one who is more elsewhere: the same answer');
SELECT is((SELECT string_agg(recipient, ' ' ORDER BY id) FROM csm.outbox WHERE kind = 'credentials'), 'north.colleague@small.example all.three@small.example', 'A13 to the addresses on record');
SELECT is(pg_temp.does('north admin', format('SELECT csm.send_credentials(%s)', small.k('newcomer'))), 'sent', 'A13 of one without an address: the same answer');
SELECT is((SELECT count(*) FROM csm.outbox WHERE kind = 'credentials'), 2::bigint, 'A13 and no mail');
SELECT is((SELECT status FROM csm.reset_password(pg_temp.token('credentials'), 'a long and winding phrase')), 'changed', 'A13 the person himself sets the password');
SELECT is(pg_temp.does(x.person, format('SELECT csm.send_credentials(%s)', x.contact)), 'refused', format('A13 refused: %s', x.person))
FROM (VALUES ('north manager', small.k('north colleague at north')), ('south admin', small.k('north colleague at north')),
             ('north admin', small.k('north admin at north')), ('north admin', 999999999)) x(person, contact);
SELECT is(pg_temp.audited('credentials_refused'), 'north admin | - | -', 'A13 recorded');

-- A14: roles.
SELECT is(pg_temp.does('north admin', format($$SELECT csm.set_contact_role(%s, 'customer_admin')$$, small.k('north colleague at north'))), 'done', 'A14 an administrator makes another');
SELECT is(pg_temp.role_of('north colleague at north'), 'customer_admin', 'A14 who is one');
SELECT is((SELECT details - 'contact_id' FROM csm.audit_log WHERE kind = 'contact_role_changed' ORDER BY id DESC LIMIT 1),
    '{"role": "customer_admin", "before": "customer"}', 'A14 recorded with what was before');
SELECT is(pg_temp.does('north colleague', format($$SELECT csm.set_contact_role(%s, 'customer')$$, small.k('north admin at north'))), 'done', 'A14 and may take the first one down');
SELECT is(pg_temp.does('north admin', format($$SELECT csm.set_contact_role(%s, 'customer')$$, small.k('north colleague at north'))), 'refused', 'A14 who has no say any more');
SELECT is(pg_temp.does('north admin', format($$SELECT csm.set_contact_role(%s, 'customer_admin')$$, small.k('north admin at north'))), 'refused', 'A14 least of all for himself');
SELECT is(pg_temp.does('north colleague', format($$SELECT csm.set_contact_role(%s, %L)$$, small.k('north contact at north'), x.role)), 'refused',
    format('A14 refused: %s', coalesce(x.role, 'none')))
FROM (VALUES ('partner'), ('partner_admin'), ('case_manager'), ('agent'), ('admin'), ('person'), ('consumer'), (''), (NULL)) x(role);
SELECT is(pg_temp.role_of('north contact at north'), 'customer', 'A14 he still has the one role that he had');
SELECT throws_ok(format($$UPDATE csm.contacts SET role = NULL WHERE id = %s$$, small.k('north contact at north')), '23502', NULL, 'A14 a contact without a role cannot be');
SELECT is(pg_temp.does('north colleague', x.statement), 'ERROR 42501', format('A14 plain writing is not for the portal: %s', x.name))
FROM (VALUES ('role', format($$UPDATE csm.contacts SET role = 'partner_admin' WHERE id = %s$$, small.k('north colleague at north'))),
             ('account', format('UPDATE csm.contacts SET account_id = %s WHERE id = %s', small.a('acme'), small.k('north colleague at north'))),
             ('a contact', format($$INSERT INTO csm.contacts (user_id, account_id, role) VALUES (%s, %s, 'customer_admin')$$, small.u('north colleague'), small.a('acme'))),
             ('a staff role', format($$INSERT INTO csm.user_roles (user_id, role) VALUES (%s, 'admin')$$, small.u('north colleague'))),
             ('a permission', $$INSERT INTO csm.role_permissions (role, action, reach) VALUES ('customer', 'case_read', 'subtree')$$),
             ('a role', $$UPDATE csm.roles SET kind = 'contact' WHERE role = 'admin'$$),
             ('a relationship', format('INSERT INTO csm.account_relationships (partner_account_id, customer_account_id, administers) VALUES (%s, %s, true)', small.a('north'), small.a('acme'))),
             ('the tenant', $$UPDATE csm.tenants SET settings = '{"assignable_roles": ["partner_admin"]}'$$),
             ('the directory', $$UPDATE csm.accounts SET directory_visible = true$$),
             ('the audit log', $$DELETE FROM csm.audit_log$$)) x(name, statement);
SELECT is(pg_temp.does('desk manager', format($$WITH w AS (UPDATE csm.contacts SET role = 'case_manager' WHERE id = %s RETURNING 1) SELECT count(*) FROM w$$,
    small.k('north contact at north')), 'csm_agent'), '1', 'A14 staff with account_manage write plainly');
SELECT is(pg_temp.audited('contact_role_changed'), 'desk manager | north contact | north', 'A14 which is recorded too');
SELECT is(pg_temp.does('desk manager', format($$UPDATE csm.contacts SET role = 'admin' WHERE id = %s$$, small.k('north contact at north')), 'csm_agent'), 'ERROR 23514',
    'A14 but no staff role into a contact');
SELECT is(pg_temp.does('desk manager', format($$INSERT INTO csm.user_roles (user_id, role) VALUES (%s, 'admin')$$, small.u('desk manager')), 'csm_agent'), 'ERROR 42501',
    'A14 nor a staff role to himself');
SELECT is(pg_temp.does('desk admin', format($$WITH w AS (INSERT INTO csm.user_roles (user_id, role) VALUES (%s, 'viewer') RETURNING 1) SELECT count(*) FROM w$$, small.u('employee')), 'csm_admin'),
    '1', 'A14 an administrator of the desk gives staff roles');
SELECT is(pg_temp.audited('staff_role_added'), 'desk admin | employee | -', 'A14 which is recorded');

-- A16: contacts seen and updated.
SELECT is(pg_temp.does('north colleague', format('SELECT string_agg(DISTINCT a.name, '' '' ORDER BY a.name) FROM csm.contacts k JOIN csm.accounts a ON a.id = k.account_id')), 'north plant',
    'A16 an administrator sees the contacts of his accounts');
SELECT is(pg_temp.does('north colleague', format($$SELECT csm.update_contact(%s, display_name => 'Nora N.', title => 'Head buyer')$$, small.k('north contact at north'))), 'accepted',
    'A16 he updates one who is nothing else');
SELECT is((SELECT display_name || ' ' || title FROM csm.users WHERE id = small.u('north contact')), 'Nora N. Head buyer', 'A16 which takes effect');
SELECT is(pg_temp.audited('contact_updated'), 'north colleague | north contact | north', 'A16 and is recorded');
SELECT is(pg_temp.does('south admin', format($$SELECT csm.update_contact(%s, display_name => 'Mine', email => 'mine@south.example')$$, small.k('all three at south'))), 'accepted',
    'A16 of one who is also an employee and a consumer: the same answer');
SELECT is((SELECT display_name || ' ' || email FROM csm.users WHERE id = small.u('all three')), 'all three all.three@small.example', 'A16 but nothing changes');
SELECT is((SELECT recipient || ' ' || payload FROM csm.outbox WHERE kind = 'profile_change_asked'), 'all.three@small.example {"fields": ["display_name", "email"]}',
    'A16 he is asked at his own address, without what was wanted');
SELECT is((SELECT count(*) FROM csm.outbox WHERE recipient = 'mine@south.example'), 0::bigint, 'A16 nothing goes where the administrator pointed');
SELECT is((SELECT details->'fields' FROM csm.audit_log WHERE kind = 'contact_updated' ORDER BY id DESC LIMIT 1), '["display_name", "email"]',
    'A16 and the record is the same as for one in reach');
SELECT is(pg_temp.does('north colleague', format($$SELECT csm.update_contact(%s, email => 'new@north.example')$$, small.k('north contact at north'))), 'accepted', 'A16 an address of one in reach');
SELECT is((SELECT u.email || ' ' || o.recipient FROM csm.users u, csm.outbox o WHERE u.id = small.u('north contact') AND o.kind = 'confirm_email' ORDER BY o.id DESC LIMIT 1),
    'nora@north.example new@north.example', 'A16 waits for the new address as well');
-- South contact is contact at north too since his address answered.
SELECT is(pg_temp.does('north colleague', format($$SELECT csm.update_contact(%s, display_name => 'Taken over')$$, small.k('known'))), 'accepted', 'A16 a contact of two accounts');
SELECT is((SELECT display_name FROM csm.users WHERE id = small.u('south contact')), 'south contact', 'A16 is nobody''s to rename who administers one of them');
SELECT is(pg_temp.does('acme admin', format($$SELECT csm.update_contact(%s, title => 'Both')$$, small.k('known'))), 'accepted', 'A16 who administers both');
SELECT is((SELECT title FROM csm.users WHERE id = small.u('south contact')), 'Both', 'A16 does');
SELECT is(pg_temp.does(x.person, format($$SELECT csm.update_contact(%s, title => 'x')$$, x.contact)), 'refused', format('A16 refused: %s', x.person))
FROM (VALUES ('north manager', small.k('north contact at north')), ('south admin', small.k('north contact at north')),
             ('north colleague', small.k('north colleague at north')), ('north colleague', 999999999)) x(person, contact);
SELECT is(pg_temp.does('north colleague', format($$SELECT csm.update_contact(%s, time_zone => 'Mars/Base')$$, x.contact)), 'ERROR 22023',
    'A16 what is malformed is told before anything is looked at')
FROM (VALUES (small.k('north contact at north')), (small.k('acme contact at acme')), (999999999)) x(contact);
SELECT is(pg_temp.does('north colleague', format('SELECT csm.end_contact(%s)', small.k('fresh'))), 'done', 'A16 an administrator ends a membership');
SELECT is((SELECT upper(valid_during) <= clock_timestamp() FROM csm.contacts WHERE id = small.k('fresh')), true, 'A16 now');
SELECT is(pg_temp.does('north contact', format('SELECT csm.end_contact(%s)', small.k('newcomer'))), 'refused', 'A16 nobody else does');

-- The audit log: within one's accounts, of oneself, the tenant's administrators all.
SELECT is(pg_temp.does('north colleague', format('SELECT count(*) > 5 AND bool_and(account_id IN (SELECT a.id FROM csm.accounts a) OR actor_id = %1$s OR subject_user_id = %1$s) FROM csm.audit_log',
    small.u('north colleague'))), 'true', 'A16 an administrator reads the audit of his accounts');
SELECT is(pg_temp.does('north colleague', format('SELECT count(*) FROM csm.audit_log WHERE account_id = %s', small.a('south'))), '0', 'A16 not that of a sibling');
SELECT is(pg_temp.does('north manager', format('SELECT count(*) FROM csm.audit_log WHERE account_id = %s', small.a('north'))), '0', 'A16 nor does a case manager his own account''s');
SELECT is(pg_temp.does('desk admin', 'SELECT count(DISTINCT account_id) > 2 FROM csm.audit_log', 'csm_admin'), 'true', 'A16 administrators of the desk read all');

-- The directory.
SELECT is(pg_temp.does('south contact', 'SELECT count(*) FROM csm.colleagues()'), '0', 'A16 no directory unless the account wants one');
SELECT is(pg_temp.does('south contact', format('SELECT csm.show_directory(%s, true)', small.a('south'))), 'refused', 'A16 which a contact does not decide');
SELECT is(pg_temp.does('south admin', format('SELECT csm.show_directory(%s, true)', small.a('south'))), 'done', 'A16 its administrator does');
SELECT is(pg_temp.does('south contact', 'SELECT string_agg(display_name, '', '') FROM csm.colleagues()'), 'all three, south admin, south contact', 'A16 and contacts list their colleagues');
SELECT is(pg_temp.does('south contact', format('SELECT count(*) FROM csm.colleagues(%s)', small.a('south'))), '3', 'A16 of one account');
SELECT is(pg_temp.does('all three', 'SELECT count(*) FROM csm.colleagues()', 'csm_portal', 'consumer'), '0', 'A16 not as a consumer');
SELECT is(pg_temp.does(x.person, format('SELECT count(*) FROM csm.colleagues(%s)', x.account)), '0', format('A16 nobody else''s: %s', x.person))
FROM (VALUES ('north contact', small.a('south')), ('acme admin', small.a('south')), ('stranger', small.a('south')), ('south contact', small.a('north')), ('south contact', 999999999)) x(person, account);
SELECT is(pg_temp.does('south admin', format('SELECT csm.set_contact_login(%s, false)', small.k('all three at south'))), 'done', 'A16 (a disabled colleague)');
SELECT is(pg_temp.does('south contact', 'SELECT count(*) FROM csm.colleagues()'), '2', 'A16 is in no directory');
SELECT is(pg_temp.does('all three', 'SELECT count(*) FROM csm.colleagues()'), '0', 'A16 nor reads one');

-- Who may call what.
SELECT is((SELECT string_agg(r.name || CASE WHEN has_function_privilege(r.name, f.oid, 'EXECUTE') THEN '+' ELSE '-' END, ' ' ORDER BY r.n)
           FROM unnest('{csm_guest,csm_portal,csm_agent,csm_reporter,csm_admin}'::text[]) WITH ORDINALITY r(name, n)), x.expected,
          format('privileges: %s', f.proname))
FROM (VALUES ('add_contact', 'csm_guest- csm_portal+ csm_agent+ csm_reporter- csm_admin+'), ('set_contact_login', 'csm_guest- csm_portal+ csm_agent+ csm_reporter- csm_admin+'),
             ('set_contact_role', 'csm_guest- csm_portal+ csm_agent+ csm_reporter- csm_admin+'), ('send_credentials', 'csm_guest- csm_portal+ csm_agent+ csm_reporter- csm_admin+'), ('end_contact', 'csm_guest- csm_portal+ csm_agent+ csm_reporter- csm_admin+'),
             ('update_contact', 'csm_guest- csm_portal+ csm_agent+ csm_reporter- csm_admin+'), ('colleagues', 'csm_guest- csm_portal+ csm_agent+ csm_reporter- csm_admin+'),
             ('show_directory', 'csm_guest- csm_portal+ csm_agent+ csm_reporter- csm_admin+'), ('update_profile', 'csm_guest- csm_portal+ csm_agent+ csm_reporter- csm_admin+'),
             ('confirm_email', 'csm_guest+ csm_portal+ csm_agent+ csm_reporter- csm_admin+'), ('merge_users', 'csm_guest- csm_portal- csm_agent+ csm_reporter- csm_admin+')) x(name, expected)
JOIN pg_proc f ON f.proname = x.name AND f.pronamespace = 'csm'::regnamespace;
SELECT * FROM finish();
