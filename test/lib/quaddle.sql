-- A person with a name that nobody else has, and traces of her everywhere. To be run after small.sql.
--
-- small.traces() lists every row, and every statistic of the planner, in which her strings stand, or those of a pattern.
CREATE FUNCTION small.does(person text, role_name text, statement text, persona text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text := small.run(small.u(person), role_name, statement, persona, true);
BEGIN
    IF answer LIKE 'ERROR%' THEN
        RAISE EXCEPTION '%: %', statement, answer;
    END IF;
    RETURN answer;
END $$;
CREATE FUNCTION small.traces(hers text DEFAULT 'quaddl|wilhelmina|5557788|WQ-77|\\x517561') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    t regclass;
BEGIN
    FOR t IN SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind = 'r' AND n.nspname IN ('csm', 'csm_private') ORDER BY c.oid::regclass::text LOOP
        RETURN QUERY EXECUTE format('SELECT %L || '': '' || left(x::text, 300) FROM %s x WHERE x::text ~* %L', t::text, t, hers);
    END LOOP;
    RETURN QUERY SELECT 'statistics of ' || s.schemaname || '.' || s.tablename || '.' || s.attname FROM pg_stats s
                 WHERE s::text ~* hers AND s.schemaname IN ('csm', 'csm_private');
END $$;

DO $$
DECLARE
    her bigint;
BEGIN
    INSERT INTO csm.users (tenant_id, display_name, email, phone, title, external_id)
    VALUES (small.tenant(), 'Wilhelmina Quaddle', 'Wilhelmina@quaddle.example', '+49 5557788', 'Dr Quaddle', 'WQ-77') RETURNING id INTO her;
    INSERT INTO small.named VALUES ('user', 'her', her);
    INSERT INTO csm.contacts (tenant_id, user_id, account_id, role, is_home) VALUES (small.tenant(), her, small.a('north'), 'customer', true);
    INSERT INTO csm.consumers (tenant_id, user_id) VALUES (small.tenant(), her);
    INSERT INTO csm.employees (tenant_id, user_id, department) VALUES (small.tenant(), her, 'Quaddle lab');
    INSERT INTO csm.households (tenant_id, name, head_user_id) VALUES (small.tenant(), 'Quaddle family', her);
    INSERT INTO csm.products (tenant_id, name) VALUES (small.tenant(), 'kettle');
    INSERT INTO csm.assets (tenant_id, user_id, product_id, serial_number, location)
    SELECT small.tenant(), her, p.id, 'WQ-77-1', '3 Quaddle Street' FROM csm.products p WHERE p.name = 'kettle';
    INSERT INTO csm.handling_notes (tenant_id, user_id, body) VALUES (small.tenant(), her, 'Quaddle calls often');
    INSERT INTO csm.outbox (tenant_id, kind, recipient, payload) VALUES (small.tenant(), 'news', 'wilhelmina@QUADDLE.example', '{"name": "Quaddle"}');
END $$;
SELECT small.does('her', 'csm_portal', $$SELECT (csm.open_case('Quaddle pump broke', 'I, Wilhelmina Quaddle, wait. Call 5557788.', idempotency_key => 'quaddle-1')).id$$) AS pump \gset
SELECT small.does('b2b agent', 'csm_agent', format('SELECT (csm.act(%s, ''take'')).id', :pump));
SELECT small.does('her', 'csm_portal', format($$SELECT (csm.comment(%s, 'Wilhelmina here again')).id$$, :pump));
SELECT small.does('her', 'csm_portal', format($$SELECT (csm.attach(%s, 'quaddle.txt', 'text/plain', 'Quaddle file')).id$$, :pump));
SELECT small.does('b2b agent', 'csm_agent', format($$SELECT (csm.comment(%s, 'Dear Ms Quaddle, we look at it.')).id$$, :pump));
SELECT small.does('b2b agent', 'csm_agent', format($$SELECT (csm.act(%s, 'propose', NULL, '{"resolution_code": "Fixed", "resolution_notes": "Quaddle got a new pump."}')).id$$, :pump));
SELECT small.does('her', 'csm_portal', format('SELECT (csm.act(%s, ''accept'')).id', :pump));
SELECT small.does('north manager', 'csm_portal', $$SELECT (csm.open_case('Invoice', 'My colleague Wilhelmina Quaddle (wilhelmina@quaddle.example) knows more.')).id$$) AS invoice \gset
SELECT small.does('b2b agent', 'csm_agent', format($$WITH t AS (INSERT INTO csm.case_tasks (case_id, subject) VALUES (%s, 'Call Quaddle') RETURNING id) SELECT id FROM t$$, :invoice));
SELECT small.does('her', 'csm_portal', $$SELECT (csm.open_case('Delete Quaddle', case_type => 'privacy_request', fields => '{"attributes": {"right_asked": "erasure"}}')).id$$) AS wish \gset
