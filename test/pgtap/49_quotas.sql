-- Quotas of consumers (R 1B, B44): what is counted, whom they bind, and that no way of writing gets round them.
\set ON_ERROR_STOP on
BEGIN;
\ir ../lib/small.sql
SELECT * FROM no_plan();
CREATE FUNCTION small.opens(person text, many integer DEFAULT 1, role_name text DEFAULT 'csm_portal', keep boolean DEFAULT false, more text DEFAULT '') RETURNS text
LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name, format(
        'WITH n AS (INSERT INTO csm.cases (subject%s) SELECT ''case '' || i%s FROM generate_series(1, %s) i RETURNING branch) SELECT string_agg(DISTINCT branch, '' '') FROM n',
        CASE WHEN more <> '' THEN ', requester_id' END, CASE WHEN more <> '' THEN ', ' || more END, many), NULL, keep)
$$;
CREATE FUNCTION small.comments(person text, subject text, many integer DEFAULT 1, role_name text DEFAULT 'csm_portal', keep boolean DEFAULT false) RETURNS text
LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name, format(
        'WITH n AS (INSERT INTO csm.case_entries (case_id, body) SELECT %s, ''comment '' || i FROM generate_series(1, %s) i RETURNING id) SELECT count(*) FROM n',
        small.c(subject), many), NULL, keep)
$$;

-- New cases a day.
SELECT is(small.opens('mother', 10), 'b2c', 'B44 a consumer opens ten cases in one statement');
SELECT is(small.opens('mother', 11), 'ERROR SM007: the quota of new cases is used up', 'SM007 and not eleven');
SELECT is(small.opens('mother', 9, keep => true), 'b2c', 'B44 nine cases');
SELECT is(small.run(small.u('mother'), 'csm_portal', $$SELECT branch FROM csm.open_case('tenth')$$, NULL, true), 'b2c', 'B44 the tenth, by csm.open_case()');
SELECT is(small.opens('mother'), 'ERROR SM007: the quota of new cases is used up', 'SM007 the eleventh, by plain INSERT');
SELECT matches(small.run(small.u('mother'), 'csm_portal', $$SELECT branch FROM csm.open_case('eleventh', draft => true)$$), '^ERROR SM007', 'SM007 as a draft neither');
SELECT is(small.run(small.u('mother'), 'csm_portal', format($$SELECT branch FROM csm.open_case('for the son', requester_id => %s)$$, small.u('son'))) LIKE 'ERROR SM007%', true,
          'SM007 nor for another member of the household');
SELECT is(small.opens('son'), 'b2c', 'B44 another consumer is not concerned');
SELECT is(small.opens('north contact', 30), 'b2b', 'B44 nor a contact of a company');
SELECT is(small.opens('student', 30), 'internal', 'B44 nor a person without any persona of a consumer');
SELECT is(small.opens('consumer agent', 30, 'csm_agent', more => small.u('mother')::text), 'b2c', 'B44 staff open as many as they have to');
RESET csm.user_id;
SELECT lives_ok(format($$INSERT INTO csm.cases (tenant_id, subject, requester_id) SELECT %s, 'by the system', %s FROM generate_series(1, 30)$$, small.tenant(), small.u('mother')),
                'B44 so does the system');
SET LOCAL csm.importing = on;
SELECT lives_ok(format($$INSERT INTO csm.cases (tenant_id, branch, state, subject, requester_id, opened_by, opened_at) SELECT %s, 'b2c', 'closed', 'imported', %s, %2$s, clock_timestamp() FROM generate_series(1, 30)$$,
                       small.tenant(), small.u('lodger')), 'B44 and an import');
SET LOCAL csm.importing = off;
SELECT is(small.opens('lodger') LIKE 'ERROR SM007%', true, 'SM007 what was imported counts all the same');
SET LOCAL csm.importing = on;
UPDATE csm.cases SET opened_at = clock_timestamp() - interval '24 hours' WHERE opened_by IN (small.u('mother'), small.u('lodger'));
SET LOCAL csm.importing = off;
SELECT is(small.opens('mother', 10), 'b2c', 'B44 a day later there are ten more');
SELECT is(small.opens('mother', 11) LIKE 'ERROR SM007%', true, 'SM007 and no more');

-- Comments on a case and day.
SELECT is(small.comments('mother', 'mother: card', 25), '25', 'B44 twenty-five comments in one statement');
SELECT is(small.comments('mother', 'mother: card', 26), 'ERROR SM007: the quota of comments on a case is used up', 'SM007 and not twenty-six');
SELECT is(small.comments('mother', 'mother: card', 24, keep => true), '24', 'B44 twenty-four');
SELECT is(small.run(small.u('mother'), 'csm_portal', format('SELECT (csm.comment(%s, ''one more'')).body', small.c('mother: card')), NULL, true), 'one more', 'B44 the last, by csm.comment()');
SELECT is(small.comments('mother', 'mother: card') LIKE 'ERROR SM007%', true, 'SM007 one more, by plain INSERT');
SELECT is(small.run(small.u('mother'), 'csm_portal', format('SELECT (csm.comment(%s, ''x'', ''private'')).id', small.c('mother: card'))) LIKE 'ERROR SM007%', true, 'SM007 a private one neither');
SELECT is(small.comments('mother', 'son: phone'), '1', 'B44 another case is not concerned');
SELECT is(small.comments('consumer agent', 'mother: card', 40, 'csm_agent'), '40', 'B44 nor staff');
SELECT is(small.comments('north contact', 'north: pump', 40), '40', 'B44 nor a contact of a company');
SET LOCAL csm.importing = on;
UPDATE csm.cases SET state = 'resolved' WHERE id = small.c('mother: card');
SET LOCAL csm.importing = off;
SELECT is(small.run(small.u('mother'), 'csm_portal', format('SELECT (csm.act(%s, ''reject'', ''not at all'')).state', small.c('mother: card'))), 'open',
          'B44 the note of an act is no comment too many');
SELECT is(small.comments('stranger', 'mother: card') LIKE 'ERROR 42501%', true, 'B44 who may not comment learns nothing of quotas');

-- The tenant's own numbers count at once; 0 is none, null is no limit.
CREATE FUNCTION small.quotas(q text) RETURNS void LANGUAGE sql AS $$
    UPDATE csm.tenants SET settings = jsonb_build_object('quotas', q::jsonb) WHERE id = small.tenant()
$$;
SELECT small.quotas('{"cases_per_day": 2, "comments_per_day": 0}');
SELECT is(small.opens('son', 2), 'b2c', 'B44 two by the tenant''s setting');
SELECT is(small.opens('son', 3) LIKE 'ERROR SM007%', true, 'SM007 and not three');
SELECT is(small.comments('son', 'son: phone') LIKE 'ERROR SM007%', true, 'SM007 zero is none');
SELECT small.quotas('{"cases_per_day": null}');
SELECT is(small.opens('son', 50), 'b2c', 'B44 null is no limit');
SELECT is(small.comments('son', 'son: phone', 26) LIKE 'ERROR SM007%', true, 'SM007 what the tenant does not name is as shipped');
SELECT throws_ok(format($$SELECT small.quotas(%L)$$, q), '23514', NULL, 'B44 no quotas: ' || q)
FROM unnest(ARRAY['{"cases_per_day": -1}', '{"cases_per_day": 1.5}', '{"cases_per_day": "10"}', '{"cases": 1}', '[]', '{"cases_per_day": 1000001}', '{"products": {}}']) q;
SELECT matches(small.run(small.u('desk admin'), 'csm_admin', $$UPDATE csm.tenants SET settings = '{"quotas": {"cases_per_day": 1}}' RETURNING 1$$), '^1$', 'B44 an administrator sets them');
SELECT matches(small.run(small.u('b2b agent'), 'csm_agent', $$UPDATE csm.tenants SET settings = '{}' RETURNING 1$$), '^ERROR 42501', 'B44 others do not');

-- What further modules count themselves.
SELECT small.quotas('{}');
GRANT USAGE ON SCHEMA csm_private TO csm_portal, csm_agent;
GRANT EXECUTE ON FUNCTION csm_private.enforce_quota(bigint, text, bigint) TO csm_portal, csm_agent;
SELECT is(small.run(small.u('mother'), 'csm_portal', format('SELECT csm_private.enforce_quota(%s, %L, %s)', small.tenant(), q, most)), '', format('B44 %s %s', most, q))
FROM (VALUES ('attachments', 5), ('products', 25)) v(q, most);
SELECT is(small.run(small.u('mother'), 'csm_portal', format('SELECT csm_private.enforce_quota(%s, %L, %s)', small.tenant(), q, most + 1)) LIKE 'ERROR SM007%', true, format('SM007 %s %s', most + 1, q))
FROM (VALUES ('attachments', 5), ('products', 25)) v(q, most);
SELECT is(small.run(small.u('consumer agent'), 'csm_agent', format('SELECT csm_private.enforce_quota(%s, ''products'', 26)', small.tenant())), '', 'B44 staff register as many as they have to');
SELECT matches(small.run(small.u('mother'), 'csm_portal', format('SELECT csm_private.enforce_quota(%s, ''x'', 26)', small.tenant())), '^ERROR 22023', 'B44 no quota of that name');
SELECT * FROM finish();
ROLLBACK;
