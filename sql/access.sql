-- The access predicates: values, NULLs, unknown words, and what the planner
-- makes of them.  Names, not ids, are printed: identities are shared with the
-- scripts that ran before.
\set VERBOSITY default
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS csm CASCADE;
SET csm.allow_explain = on;
BEGIN;
SELECT csm.create_tenant('access', 'Access Ltd', 'admin@access.example') > 0 AS made;
-- the world: a parent with a child, a manager above, a plain contact below
CREATE TEMP TABLE w AS
WITH t AS (SELECT id FROM csm.tenants WHERE key = 'access'),
     p AS (INSERT INTO csm.accounts (tenant_id, name) SELECT id, 'parent' FROM t RETURNING id),
     o AS (INSERT INTO csm.accounts (tenant_id, name) SELECT id, 'other' FROM t RETURNING id),
     m AS (INSERT INTO csm.users (tenant_id, display_name) SELECT id, 'manager' FROM t RETURNING id),
     k AS (INSERT INTO csm.users (tenant_id, display_name) SELECT id, 'contact' FROM t RETURNING id)
SELECT t.id AS tenant, p.id AS parent, o.id AS other, m.id AS manager, k.id AS contact FROM t, p, o, m, k;
ALTER TABLE w ADD child bigint;
WITH c AS (INSERT INTO csm.accounts (tenant_id, name, parent_id) SELECT tenant, 'child', parent FROM w RETURNING id)
UPDATE w SET child = c.id FROM c;
INSERT INTO csm.contacts (tenant_id, user_id, account_id, role) SELECT tenant, manager, parent, 'case_manager' FROM w;
INSERT INTO csm.contacts (tenant_id, user_id, account_id, role) SELECT tenant, contact, child, 'customer' FROM w;
INSERT INTO csm.accounts (tenant_id, name) SELECT tenant, 'stranger ' || i FROM w, generate_series(1, 3000) i;
ANALYZE csm.accounts;
GRANT SELECT ON w TO csm_portal, csm_guest;
SELECT set_config('csm.user_id', manager::text, true) = manager::text AS is_manager FROM w;
SET LOCAL ROLE csm_portal;
SELECT csm.account_allows(parent, 'case_read') AS parent, csm.account_allows(child, 'case_read') AS child,
       csm.account_allows(other, 'case_read') AS other, csm.account_allows(child, 'case_work') AS work,
       csm.account_allows(child, 'no_such_action') AS unknown, csm.account_allows(NULL, 'case_read') AS no_key,
       csm.account_allows(child, NULL) AS no_action, csm.account_allows(-1, 'case_read') AS negative
FROM w;
SELECT csm.account_known(child) AS known, csm.account_known(other) AS unknown,
       csm.account_allows(child, '-infinity'::timestamptz, 'case_read') AS ever,
       csm.account_allows(child, NULL::timestamptz, 'case_read') AS no_time FROM w;
SELECT csm.requester_allows(manager, 'internal', NULL, 'case_read') AS own_internal,
       csm.requester_allows(manager, 'b2c', NULL, 'case_read') AS no_consumer,
       csm.requester_allows(manager, 'b2b', parent, 'case_read') AS own_account,
       csm.requester_allows(manager, 'b2b', other, 'case_read') AS other_account,
       csm.requester_allows(manager, 'b2b', NULL, 'case_read') AS no_account,
       csm.requester_allows(contact, 'internal', NULL, 'case_read') AS anothers,
       csm.requester_allows(manager, 'nowhere', NULL, 'case_read') AS no_branch FROM w;
SELECT csm.all_in(tenant, 'b2b', 'case_read') AS portal_never, csm.all_tenant('case_read') IS NULL AS no_tenant FROM w;
SELECT csm.accounts_allowing('case_read') = ARRAY[parent, child] AS reach, csm.accounts_allowing('nonsense') AS nonsense,
       csm.requesters_allowing('case_read') = ARRAY[manager] AS myself, csm.shared_cases_allowing('case_read') AS shares
FROM (SELECT least(parent, child) AS parent, greatest(parent, child) AS child, manager FROM w) w;
SELECT csm.party_allows('{}', 'b2b', NULL, now(), now(), 'case_read') AS none,
       csm.party_allows(ARRAY[parent * 8 + 5], 'b2b', other, now(), now(), 'case_read') AS counterparty,
       csm.party_allows(ARRAY[parent * 8 + 5], 'b2b', other, now(), NULL, 'case_read') AS of_a_draft,
       csm.party_allows(ARRAY[NULL]::bigint[], 'b2b', other, now(), now(), 'case_read') AS null_key FROM w;
-- narrowed to a persona that he does not hold
SELECT csm.act_as('consumer');
SELECT csm.account_known(parent) AS narrowed, csm.current_user_id() = manager AS same_person FROM w;
SELECT csm.act_as(NULL);
-- plan shapes: an arm an index, or the key alone
EXPLAIN (COSTS OFF) SELECT id FROM csm.accounts;
EXPLAIN (COSTS OFF) SELECT name FROM csm.accounts WHERE id = 1;
-- nobody: zero rows, and no scan
RESET ROLE;
SELECT csm.sign_out();
SET LOCAL ROLE csm_portal;
SELECT csm.current_user_id(), csm.current_tenant_id(), csm.accounts_allowing('case_read'), csm.account_known(parent),
       csm.all_in(tenant, 'b2b', 'case_read') FROM w;
SELECT count(*) FROM csm.accounts;
EXPLAIN (COSTS OFF) SELECT id FROM csm.accounts;
SAVEPOINT a;
SELECT csm.act_as('root');
ROLLBACK TO a;
SET csm.user_id = '1';
ROLLBACK TO a;
EXPLAIN SELECT 1;
ROLLBACK TO a;
RESET ROLE;
SET LOCAL csm.allow_explain = off;
SET LOCAL ROLE csm_portal;
SAVEPOINT b;
EXPLAIN SELECT 1;
ROLLBACK TO b;
PREPARE q AS SELECT 1;
EXPLAIN EXECUTE q;
ROLLBACK;
SET csm.user_id = 'x';
SET csm.user_id = '42@7';
SET csm.nonsense = 1;
