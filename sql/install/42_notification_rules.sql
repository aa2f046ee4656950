-- Who is told of what, and in which words: configuration of a tenant, of which
-- csm ships a first version (43_merge_shipped.sql copies it).  What is made of
-- it stands in 94_notifications.sql.

CREATE TABLE csm.notification_rules (
    event text NOT NULL,
    channel text NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    recipients text[] NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    CONSTRAINT notification_rules_pkey PRIMARY KEY (event, channel, tenant_id),
    CONSTRAINT notification_rules_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT notification_rules_event_check CHECK (event ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT notification_rules_channel_check CHECK (channel ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT notification_rules_recipients_check CHECK (recipients <@ '{requester,opener,partner_contact,customer_admin,approver,party,counterparty,internal_contact,assignee,group,desk,account_team}'::text[])
);
SELECT csm_private.adopt_table('csm.notification_rules');
CREATE POLICY notification_rules_select ON csm.notification_rules FOR SELECT TO csm_portal, csm_agent
    USING (csm.current_user_id() IS NOT NULL);
CREATE POLICY notification_rules_write ON csm.notification_rules FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.notification_rules TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (event, channel, recipients, enabled), UPDATE (recipients, enabled), DELETE ON csm.notification_rules TO csm_admin;

COMMENT ON TABLE csm.notification_rules IS 'Which events are told to whom, by which channel; R A11. An event without a row is told to nobody';
COMMENT ON COLUMN csm.notification_rules.event IS 'Kind of event: as csm.events.kind, and submitted, approval_requested, declined, info_requested, ruled, group_assigned (csm_private.notification_kinds())';
COMMENT ON COLUMN csm.notification_rules.channel IS 'Way by which it is told: portal (the inbox, read in place) or one that a sender process serves, such as email';
COMMENT ON COLUMN csm.notification_rules.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notification_rules.recipients IS 'Relations to the case: requester, opener, partner_contact, customer_admin, approver (who may decide for the account, but for requester and opener), party, counterparty, internal_contact; of the desk assignee, group, desk (the assignee, else the group), account_team';
COMMENT ON COLUMN csm.notification_rules.enabled IS 'Whether it is told to those who say nothing in csm.notification_preferences; false: to those only who ask for it';
COMMENT ON POLICY notification_rules_select ON csm.notification_rules IS 'Everyone who is signed in: what he may have a preference for';
COMMENT ON POLICY notification_rules_write ON csm.notification_rules IS 'Administrators';

CREATE TABLE csm.notification_templates (
    event text NOT NULL,
    channel text NOT NULL,
    language text NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    subject text NOT NULL,
    body text NOT NULL,
    CONSTRAINT notification_templates_pkey PRIMARY KEY (event, channel, language, tenant_id),
    CONSTRAINT notification_templates_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT notification_templates_event_check CHECK (event = '*' OR event ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT notification_templates_channel_check CHECK (channel = '*' OR channel ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT notification_templates_language_check CHECK (length(language) <= 35 AND language ~ '^[a-z]{2,3}(-[a-z0-9]{2,8})*$'),
    CONSTRAINT notification_templates_text_check CHECK (length(subject) BETWEEN 1 AND 400 AND length(body) BETWEEN 1 AND 20000)
);
SELECT csm_private.adopt_table('csm.notification_templates');
CREATE POLICY notification_templates_write ON csm.notification_templates FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT, INSERT (event, channel, language, subject, body), UPDATE (subject, body), DELETE
    ON csm.notification_templates TO csm_admin;

COMMENT ON TABLE csm.notification_templates IS 'The words of notifications, with placeholders';
COMMENT ON COLUMN csm.notification_templates.event IS 'Event of csm.notification_rules; * for those without a template of their own';
COMMENT ON COLUMN csm.notification_templates.channel IS 'Channel; * for those without a template of their own';
COMMENT ON COLUMN csm.notification_templates.language IS 'Language tag (BCP 47) in lower case';
COMMENT ON COLUMN csm.notification_templates.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notification_templates.subject IS 'Subject; what is filled in becomes one line';
COMMENT ON COLUMN csm.notification_templates.body IS 'Text, with placeholders as in csm.response_templates, and {{entry.author}}, {{entry.body}} of the comment';
COMMENT ON POLICY notification_templates_write ON csm.notification_templates IS 'Administrators';

CREATE OR REPLACE FUNCTION csm_private.shipped_notification_rules()
RETURNS TABLE (event text, channel text, recipients text[], enabled boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 30
BEGIN ATOMIC
    SELECT r.event, c.channel, r.recipients, true
    FROM (VALUES
        ('opened', '{requester,opener,partner_contact,group}'::text[]),
        ('submitted', '{requester,counterparty,partner_contact,desk}'),
        ('approval_requested', '{approver}'),
        ('declined', '{requester,opener}'),
        ('commented', '{requester,opener,partner_contact,party,counterparty,internal_contact,desk}'),
        ('info_requested', '{requester,opener,partner_contact}'),
        ('resolved', '{requester,opener,partner_contact,party,counterparty,internal_contact}'),
        ('reopened', '{requester,partner_contact,counterparty,desk}'),
        ('closed', '{requester,opener,partner_contact,party,counterparty,internal_contact,assignee}'),
        ('escalated', '{requester,partner_contact,counterparty,assignee,group,account_team}'),
        ('ruled', '{requester,partner_contact,counterparty}'),
        ('assigned', '{assignee}'),
        ('group_assigned', '{requester,group}'),
        ('sla_breached', '{desk}')
    ) AS r(event, recipients),
    unnest('{email,portal}'::text[]) AS c(channel);
END;

-- The subject begins with the number, so that a mailbox sorts by it.
CREATE OR REPLACE FUNCTION csm_private.shipped_notification_templates()
RETURNS TABLE (event text, channel text, language text, subject text, body text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 40
BEGIN ATOMIC
    SELECT t.event, '*', t.language, '[{{case.number}}] ' || t.subject,
           CASE t.language WHEN 'de' THEN E'Guten Tag {{me.name}},\n\n' ELSE E'Hello {{me.name}},\n\n' END || t.body
               || E'\n\n{{case.number}}: {{case.subject}}\n'
    FROM (VALUES
        ('*', 'en', '{{case.subject}}', 'there is news on your case. Its state is: {{case.state}}.'),
        ('*', 'de', '{{case.subject}}', 'es gibt Neues zu Ihrem Vorgang. Sein Stand: {{case.state}}.'),
        ('opened', 'en', 'Opened: {{case.subject}}', 'a case was opened for {{requester.name}}.'),
        ('opened', 'de', 'Eröffnet: {{case.subject}}', 'ein Vorgang wurde für {{requester.name}} eröffnet.'),
        ('submitted', 'en', 'Submitted: {{case.subject}}', 'a case was submitted by {{requester.name}}.'),
        ('submitted', 'de', 'Eingereicht: {{case.subject}}', 'ein Vorgang wurde von {{requester.name}} eingereicht.'),
        ('approval_requested', 'en', 'Please approve: {{case.subject}}', '{{requester.name}} asks for your approval.'),
        ('approval_requested', 'de', 'Bitte freigeben: {{case.subject}}', '{{requester.name}} bittet um Ihre Freigabe.'),
        ('declined', 'en', 'Not approved: {{case.subject}}', 'your request was not approved. Please see the comments on the case.'),
        ('declined', 'de', 'Nicht freigegeben: {{case.subject}}', 'Ihre Anfrage wurde nicht freigegeben. Bitte lesen Sie die Kommentare am Vorgang.'),
        ('commented', 'en', 'Comment: {{case.subject}}', E'{{entry.author}} wrote:\n\n{{entry.body}}'),
        ('commented', 'de', 'Kommentar: {{case.subject}}', E'{{entry.author}} schrieb:\n\n{{entry.body}}'),
        ('info_requested', 'en', 'Your answer is needed: {{case.subject}}', 'we need something from you before we can go on. Please see the comments on the case.'),
        ('info_requested', 'de', 'Ihre Antwort fehlt: {{case.subject}}', 'um weiterarbeiten zu können, brauchen wir etwas von Ihnen. Bitte lesen Sie die Kommentare am Vorgang.'),
        ('resolved', 'en', 'Solution proposed: {{case.subject}}', E'a solution was proposed:\n\n{{case.resolution_notes}}'),
        ('resolved', 'de', 'Lösung vorgeschlagen: {{case.subject}}', E'eine Lösung wurde vorgeschlagen:\n\n{{case.resolution_notes}}'),
        ('reopened', 'en', 'Reopened: {{case.subject}}', 'the solution was not accepted; the case is open again.'),
        ('reopened', 'de', 'Wieder offen: {{case.subject}}', 'die Lösung wurde nicht angenommen; der Vorgang ist wieder offen.'),
        ('closed', 'en', 'Ended: {{case.subject}}', 'the case has ended. Its state is: {{case.state}}.'),
        ('closed', 'de', 'Beendet: {{case.subject}}', 'der Vorgang ist beendet. Sein Stand: {{case.state}}.'),
        ('escalated', 'en', 'Escalated: {{case.subject}}', 'the case was escalated.'),
        ('escalated', 'de', 'Eskaliert: {{case.subject}}', 'der Vorgang wurde eskaliert.'),
        ('ruled', 'en', 'Decided: {{case.subject}}', E'the operator has decided:\n\n{{case.resolution_notes}}'),
        ('ruled', 'de', 'Entschieden: {{case.subject}}', E'der Betreiber hat entschieden:\n\n{{case.resolution_notes}}'),
        ('assigned', 'en', 'Assigned to you: {{case.subject}}', 'this case is now yours. Priority: {{case.priority}}.'),
        ('assigned', 'de', 'Ihnen zugewiesen: {{case.subject}}', 'dieser Vorgang gehört jetzt Ihnen. Priorität: {{case.priority}}.'),
        ('group_assigned', 'en', 'With another group: {{case.subject}}', 'another group works on the case now.'),
        ('group_assigned', 'de', 'Bei einer anderen Gruppe: {{case.subject}}', 'der Vorgang wird jetzt von einer anderen Gruppe bearbeitet.'),
        ('sla_breached', 'en', 'Late: {{case.subject}}', 'a target of service was missed. Priority: {{case.priority}}.'),
        ('sla_breached', 'de', 'Überfällig: {{case.subject}}', 'ein Serviceziel wurde verfehlt. Priorität: {{case.priority}}.')
    ) AS t(event, language, subject, body);
END;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.shipped_notification_rules()', 'Rules of notifications that csm ships'),
        ('csm_private.shipped_notification_templates()', 'Words of notifications that csm ships, in English and German')
    ) AS v(name, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
    END LOOP;
END $$;
