-- csm_report.cases: the reader's own rows, no more and no fewer, and what a BI login sees of them.
\ir ../lib/small.sql
BEGIN;
SELECT no_plan();

CREATE FUNCTION pg_temp.digest(relation text, person text, role_name text) RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name, format($q$SELECT count(*) || ' ' || md5(string_agg(
        concat_ws('|', id, number, branch, case_type, state, state_class, priority, channel, account_id, partner_account_id,
                  product_id, opened_at, submitted_at, closed_at), ',' ORDER BY id)) FROM %s$q$, relation)) $$;
CREATE FUNCTION pg_temp.count_of(relation text, person text, role_name text) RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name, format('SELECT count(*) FROM %s', relation)) $$;

-- every person with a staff role, under every role that may read the view
SELECT is(pg_temp.digest('csm_report.cases', n.name, r), pg_temp.digest('csm.cases', n.name, r),
          format('report: %s as %s gets the rows of his own query', n.name, r))
FROM small.named n, unnest('{csm_agent,csm_reporter,csm_admin}'::text[]) r
WHERE n.kind = 'user' AND EXISTS (SELECT FROM csm.user_roles u WHERE u.user_id = n.id)
ORDER BY n.name, r;
SELECT cmp_ok((SELECT count(DISTINCT pg_temp.count_of('csm_report.cases', n.name, 'csm_reporter')) FROM small.named n
               WHERE n.kind = 'user' AND EXISTS (SELECT FROM csm.user_roles u WHERE u.user_id = n.id)), '>', 1::bigint,
          'report: different readers get different rows');
SELECT is(small.run(NULL, 'csm_reporter', 'SELECT count(*) FROM csm_report.cases'), '0', 'V14 report: nobody gets none');
SELECT matches(small.run(small.u('north contact'), 'csm_portal', 'SELECT count(*) FROM csm_report.cases'), '^ERROR 42501', 'report: not for the portal');

-- names and durations, as the table says
SELECT is_empty($$SELECT r.id FROM csm_report.cases r JOIN csm.cases c USING (id)
                  LEFT JOIN csm.accounts a ON a.id = c.account_id LEFT JOIN csm.accounts t ON t.id = split_part(a.path::text, '.', 1)::bigint
                  WHERE (r.account, r.top_account, r.top_account_id) IS DISTINCT FROM (a.name, t.name, t.id)$$, 'report: account and top account');
SELECT is_empty($$SELECT r.id FROM csm_report.cases r JOIN csm.cases c USING (id) LEFT JOIN csm.accounts p ON p.id = c.partner_account_id
                  LEFT JOIN csm.products o ON o.id = c.product_id LEFT JOIN csm.products u ON u.id = o.parent_id
                  WHERE (r.partner, r.product, r.parent_product) IS DISTINCT FROM (p.name, o.name, u.name)$$, 'report: partner and product');
SELECT set_config('csm.importing', 'on', true);
INSERT INTO csm.cases (tenant_id, branch, state, state_class, subject, requester_id, opened_at, submitted_at, first_response_at, resolved_at, closed_at, resolution_code)
VALUES (small.tenant(), 'internal', 'closed', 'closed', 'timed', small.u('student'), '2026-01-01 10:00Z', '2026-01-01 10:00:10Z', '2026-01-01 10:01:10Z',
        '2026-01-01 11:00:10Z', '2026-01-02 10:00:10Z', 'x');
SELECT set_config('csm.importing', 'off', true);
SELECT results_eq('SELECT first_response_seconds, resolve_seconds, close_seconds, age_seconds FROM csm_report.cases WHERE opened_at = ''2026-01-01 10:00Z''',
                  'VALUES (60::bigint, 3600::bigint, 86400::bigint, 86410::bigint)', 'report: durations in seconds');
SELECT is_empty($$SELECT id FROM csm_report.cases WHERE closed_at IS NULL AND age_seconds NOT BETWEEN 0 AND extract(epoch FROM clock_timestamp() - opened_at) + 1$$,
                'report: the age of an open case runs');
SELECT is_empty($$SELECT attname FROM pg_attribute WHERE attrelid = 'csm_report.cases'::regclass
                  AND attname IN ('subject', 'description', 'resolution_notes', 'requester_id', 'opened_by', 'attributes', 'search')$$,
                'report: no text and no customer''s person');

SELECT * FROM finish();
ROLLBACK;
