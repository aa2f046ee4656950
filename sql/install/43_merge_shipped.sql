-- How a tenant gets what csm ships: both sides in one form, and their merge.

-- All of it in one form: one row for each thing that a tenant may change as a
-- whole.  A role is one thing with its permissions, so that a role which a
-- tenant narrowed is never widened behind his back.
CREATE OR REPLACE FUNCTION csm_private.shipped_items()
RETURNS TABLE (kind text, key text[], content jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 120
BEGIN ATOMIC
    SELECT 'role', ARRAY[r.role],
           to_jsonb(r) || jsonb_build_object('permissions',
               (SELECT coalesce(jsonb_agg(p.action || ' ' || p.reach ORDER BY p.action COLLATE "C", p.reach COLLATE "C"), '[]')
                FROM csm_private.shipped_permissions() p WHERE p.role = r.role))
    FROM csm_private.shipped_roles() r
  UNION ALL
    SELECT 'case_type', ARRAY[t.case_type], to_jsonb(t) FROM csm_private.shipped_case_types() t
  UNION ALL
    SELECT 'case_state', ARRAY[s.case_type, s.state], to_jsonb(s) FROM csm_private.shipped_case_states() s
  UNION ALL
    SELECT 'case_transition', ARRAY[t.case_type, t.from_state, t.action], to_jsonb(t)
    FROM csm_private.shipped_case_transitions() t
  UNION ALL
    SELECT 'case_field', ARRAY[f.case_type, f.name], to_jsonb(f) FROM csm_private.shipped_case_fields() f
  UNION ALL
    SELECT 'notification_rule', ARRAY[r.event, r.channel], to_jsonb(r) FROM csm_private.shipped_notification_rules() r
  UNION ALL
    SELECT 'notification_template', ARRAY[t.event, t.channel, t.language], to_jsonb(t)
    FROM csm_private.shipped_notification_templates() t;
END;

-- The same form of what a tenant has now.
CREATE OR REPLACE FUNCTION csm_private.tenant_items(tenant bigint)
RETURNS TABLE (kind text, key text[], content jsonb)
LANGUAGE sql STABLE STRICT ROWS 120
BEGIN ATOMIC
    SELECT 'role', ARRAY[r.role],
           jsonb_build_object('role', r.role, 'kind', r.kind, 'user_class', r.user_class, 'label', r.label,
               'branches', r.branches, 'permissions',
               (SELECT coalesce(jsonb_agg(p.action || ' ' || p.reach ORDER BY p.action COLLATE "C", p.reach COLLATE "C"), '[]')
                FROM csm.role_permissions p WHERE p.role = r.role AND p.tenant_id = r.tenant_id))
    FROM csm.roles r WHERE r.tenant_id = tenant
  UNION ALL
    SELECT 'case_type', ARRAY[t.case_type],
           jsonb_build_object('case_type', t.case_type, 'parent_type', t.parent_type, 'label', t.label,
               'settings', t.settings, 'own_machine', t.own_machine)
    FROM csm.case_types t WHERE t.tenant_id = tenant
  UNION ALL
    SELECT 'case_state', ARRAY[s.case_type, s.state], to_jsonb(s) - 'tenant_id'
    FROM csm.case_states s WHERE s.tenant_id = tenant
  UNION ALL
    SELECT 'case_transition', ARRAY[t.case_type, t.from_state, t.action], to_jsonb(t) - '{tenant_id,from_type,to_type}'::text[]
    FROM csm.case_transitions t WHERE t.tenant_id = tenant
  UNION ALL
    SELECT 'case_field', ARRAY[f.case_type, f.name], to_jsonb(f) - 'tenant_id'
    FROM csm.case_type_fields f WHERE f.tenant_id = tenant
  UNION ALL
    SELECT 'notification_rule', ARRAY[r.event, r.channel], to_jsonb(r) - 'tenant_id'
    FROM csm.notification_rules r WHERE r.tenant_id = tenant
  UNION ALL
    SELECT 'notification_template', ARRAY[t.event, t.channel, t.language], to_jsonb(t) - 'tenant_id'
    FROM csm.notification_templates t WHERE t.tenant_id = tenant;
END;

-- Puts one shipped thing into a tenant's tables, new or in place of the old.
-- False where it cannot stand: the state that a transition leads to is gone,
-- another state has its number.
CREATE OR REPLACE FUNCTION csm_private.put_item(tenant bigint, kind text, content jsonb) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A type of the same key that the tenant made himself is left alone.
    IF kind IN ('case_state', 'case_transition', 'case_field')
       AND NOT EXISTS (SELECT FROM csm.case_types t
                       WHERE t.tenant_id = tenant AND t.case_type = content ->> 'case_type' AND t.shipped) THEN
        RETURN false;
    END IF;
    CASE kind
    WHEN 'role' THEN
        INSERT INTO csm.roles AS r (tenant_id, role, kind, user_class, label, branches, shipped)
        SELECT tenant, c.role, c.kind, c.user_class, c.label, c.branches, true
        FROM jsonb_to_record(content) AS c(role text, kind text, user_class text, label text, branches text[])
        ON CONFLICT ON CONSTRAINT roles_pkey DO UPDATE
            SET kind = excluded.kind, user_class = excluded.user_class, label = excluded.label,
                branches = excluded.branches, shipped = true;
        DELETE FROM csm.role_permissions p
        WHERE p.tenant_id = tenant AND p.role = content ->> 'role'
          AND NOT content -> 'permissions' ? (p.action || ' ' || p.reach);
        INSERT INTO csm.role_permissions (tenant_id, role, action, reach)
        SELECT tenant, content ->> 'role', split_part(p, ' ', 1), split_part(p, ' ', 2)
        FROM jsonb_array_elements_text(content -> 'permissions') AS p
        ON CONFLICT DO NOTHING;
    WHEN 'case_type' THEN
        IF content ->> 'parent_type' IS NOT NULL
           AND NOT EXISTS (SELECT FROM csm.case_types t
                           WHERE t.tenant_id = tenant AND t.case_type = content ->> 'parent_type') THEN
            RETURN false;
        END IF;
        INSERT INTO csm.case_types AS t (tenant_id, case_type, parent_type, label, settings, own_machine, shipped)
        SELECT tenant, c.case_type, c.parent_type, c.label, c.settings, c.own_machine, true
        FROM jsonb_to_record(content) AS c(case_type text, parent_type text, label text, settings jsonb, own_machine boolean)
        ON CONFLICT ON CONSTRAINT case_types_pkey DO UPDATE
            SET parent_type = excluded.parent_type, label = excluded.label, settings = excluded.settings,
                own_machine = excluded.own_machine, shipped = true;
    WHEN 'case_state' THEN
        IF EXISTS (SELECT FROM csm.case_states s
                      WHERE s.tenant_id = tenant AND s.case_type = content ->> 'case_type'
                        AND s.state <> content ->> 'state' AND s.value = (content ->> 'value')::integer) THEN
            RETURN false;
        END IF;
        INSERT INTO csm.case_states AS s (tenant_id, case_type, state, value, state_class, label, active)
        SELECT tenant, c.case_type, c.state, c.value, c.state_class, c.label, c.active
        FROM jsonb_to_record(content) AS c(case_type text, state text, value integer, state_class text, label text, active boolean)
        ON CONFLICT ON CONSTRAINT case_states_pkey DO UPDATE
            SET value = excluded.value, state_class = excluded.state_class, label = excluded.label, active = excluded.active;
    WHEN 'case_transition' THEN
        IF EXISTS (SELECT FROM unnest(ARRAY[content ->> 'from_state', content ->> 'to_state']) AS n(state)
                   WHERE NOT EXISTS (SELECT FROM csm_private.type_chain(tenant, content ->> 'case_type') c
                                     JOIN csm.case_states s ON s.case_type = c.case_type AND s.tenant_id = tenant
                                     WHERE c.in_machine AND s.state = n.state)) THEN
            RETURN false;
        END IF;
        INSERT INTO csm.case_transitions AS t (tenant_id, case_type, from_state, action, to_state, actors,
                                               required_fields, note_required, effects, label, active)
        SELECT tenant, c.case_type, c.from_state, c.action, c.to_state, c.actors,
               c.required_fields, c.note_required, c.effects, c.label, c.active
        FROM jsonb_to_record(content) AS c(case_type text, from_state text, action text, to_state text, actors text[],
                                           required_fields text[], note_required boolean, effects jsonb, label text, active boolean)
        ON CONFLICT ON CONSTRAINT case_transitions_pkey DO UPDATE
            SET to_state = excluded.to_state, actors = excluded.actors, required_fields = excluded.required_fields,
                note_required = excluded.note_required, effects = excluded.effects, label = excluded.label, active = excluded.active;
    WHEN 'case_field' THEN
        INSERT INTO csm.case_type_fields AS f (tenant_id, case_type, name, label, type, audience, required, required_for,
                                               choices, reference, "position", active)
        SELECT tenant, c.case_type, c.name, c.label, c.type, c.audience, c.required, c.required_for,
               c.choices, c.reference, c."position", c.active
        FROM jsonb_to_record(content) AS c(case_type text, name text, label text, type text, audience text, required boolean,
                                           required_for text[], choices text[], reference text, "position" integer, active boolean)
        ON CONFLICT ON CONSTRAINT case_type_fields_pkey DO UPDATE
            SET label = excluded.label, type = excluded.type, audience = excluded.audience, required = excluded.required,
                required_for = excluded.required_for, choices = excluded.choices, reference = excluded.reference,
                "position" = excluded."position", active = excluded.active;
    WHEN 'notification_rule' THEN
        INSERT INTO csm.notification_rules AS r (tenant_id, event, channel, recipients, enabled)
        SELECT tenant, c.event, c.channel, c.recipients, c.enabled
        FROM jsonb_to_record(content) AS c(event text, channel text, recipients text[], enabled boolean)
        ON CONFLICT ON CONSTRAINT notification_rules_pkey DO UPDATE
            SET recipients = excluded.recipients, enabled = excluded.enabled;
    WHEN 'notification_template' THEN
        INSERT INTO csm.notification_templates AS t (tenant_id, event, channel, language, subject, body)
        SELECT tenant, c.event, c.channel, c.language, c.subject, c.body
        FROM jsonb_to_record(content) AS c(event text, channel text, language text, subject text, body text)
        ON CONFLICT ON CONSTRAINT notification_templates_pkey DO UPDATE SET subject = excluded.subject, body = excluded.body;
    END CASE;
    RETURN true;
END $$;

-- Three-way merge of what csm gave (base), what the tenant has (mine) and what
-- csm ships now (theirs), thing by thing.
CREATE OR REPLACE FUNCTION csm_private.merge_shipped(tenant bigint)
RETURNS TABLE (kind text, added integer, changed integer, removed integer, kept integer)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item record;
    untouched boolean;
BEGIN
    PERFORM FROM csm.tenants t WHERE t.id = tenant FOR NO KEY UPDATE;
    FOREACH kind IN ARRAY ARRAY['role', 'case_type', 'case_state', 'case_transition', 'case_field',
                                  'notification_rule', 'notification_template'] LOOP
        added := 0;
        changed := 0;
        removed := 0;
        kept := 0;
        FOR item IN
            SELECT key, b.content AS base, m.content AS mine, s.content AS theirs
            FROM (SELECT c.key, c.content FROM csm_private.shipped_copies c
                  WHERE c.tenant_id = tenant AND c.kind = merge_shipped.kind) b
            FULL JOIN (SELECT i.key, i.content FROM csm_private.shipped_items() i
                       WHERE i.kind = merge_shipped.kind) s USING (key)
            LEFT JOIN (SELECT i.key, i.content FROM csm_private.tenant_items(tenant) i
                       WHERE i.kind = merge_shipped.kind) m USING (key)
            -- a parent type before its children
            ORDER BY s.content ->> 'parent_type' NULLS FIRST, key
        LOOP
            -- Only what the base knew is compared: a later version may write more.
            untouched := item.mine IS NOT NULL AND item.base IS NOT NULL
                AND item.base = (SELECT jsonb_object_agg(k, item.mine -> k) FROM jsonb_object_keys(item.base) k);
            IF item.theirs IS NULL THEN
                -- No longer shipped.  What no row may name goes.
                IF untouched AND kind IN ('case_transition', 'notification_rule', 'notification_template') THEN
                    DELETE FROM csm.case_transitions t
                    WHERE kind = 'case_transition' AND t.tenant_id = tenant AND ARRAY[t.case_type, t.from_state, t.action] = item.key;
                    DELETE FROM csm.notification_rules r
                    WHERE kind = 'notification_rule' AND r.tenant_id = tenant AND ARRAY[r.event, r.channel] = item.key;
                    DELETE FROM csm.notification_templates t
                    WHERE kind = 'notification_template' AND t.tenant_id = tenant AND ARRAY[t.event, t.channel, t.language] = item.key;
                    removed := removed + 1;
                ELSIF item.mine IS NOT NULL THEN
                    kept := kept + 1;
                END IF;
                DELETE FROM csm_private.shipped_copies c
                WHERE c.tenant_id = tenant AND c.kind = merge_shipped.kind AND c.key = item.key;
            ELSIF item.mine = item.theirs
                  OR untouched AND csm_private.put_item(tenant, kind, item.theirs)
                  OR item.base IS NULL AND item.mine IS NULL AND csm_private.put_item(tenant, kind, item.theirs) THEN
                added := added + (item.mine IS NULL)::integer;
                changed := changed + coalesce(item.mine <> item.theirs, false)::integer;
                INSERT INTO csm_private.shipped_copies AS c (tenant_id, kind, key, content)
                VALUES (tenant, merge_shipped.kind, item.key, item.theirs)
                ON CONFLICT ON CONSTRAINT shipped_copies_pkey DO UPDATE SET content = excluded.content
                    WHERE c.content <> excluded.content;
            ELSE
                kept := kept + 1;
            END IF;
        END LOOP;
        RETURN NEXT;
    END LOOP;
END $$;


DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.shipped_items()', 'Everything that csm ships, one row for each thing that a tenant may change: role (with its permissions), case_type, case_state, case_transition, case_field, notification_rule, notification_template'),
        ('csm_private.tenant_items(bigint)', 'What a tenant has, in the form of csm_private.shipped_items()'),
        ('csm_private.put_item(bigint, text, jsonb)', 'Writes one shipped thing into a tenant''s tables; false where what it refers to is missing or the tenant''s own, or its number is taken'),
        ('csm_private.merge_shipped(bigint)', 'Brings one tenant up to what csm ships and keeps what he changed; no check of the caller')
    ) AS v(name, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
    END LOOP;
END $$;
