-- Search over what a person may read: hits, order, paging, markup, facets, suggestions, similar cases, passages; nothing tells
-- of hidden rows (T17).
\set ON_ERROR_STOP on
\ir ../lib/small.sql
\ir ../lib/reading.sql
BEGIN;
SELECT * FROM no_plan();
-- the tenant of visitors
SELECT set_config('csm.tenant', 'small', true);

-- What a person finds: kind and title, in order.
CREATE FUNCTION pg_temp.finds(person text, query text, role_name text DEFAULT 'csm_portal', more text DEFAULT '') RETURNS text LANGUAGE sql AS $$
    SELECT small.run(CASE WHEN person <> 'nobody' THEN small.u(person) END, role_name,
        format('SELECT string_agg(kind || '':'' || title, '', '' ORDER BY score DESC, kind, id) FROM csm.search(%L%s)', query, more)) $$;
CREATE FUNCTION pg_temp.asks(person text, statement text, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql AS $$
    SELECT small.run(CASE WHEN person <> 'nobody' THEN small.u(person) END, role_name, statement) $$;

-- ---- who finds what ----
SELECT is(pg_temp.finds('mother', 'printer'), 'article:Printer does not print after an update, question:Why does my printer blink?', 'A5 a consumer finds the article and the question');
SELECT is(pg_temp.finds('north contact', 'printer contract', more => ', ''{article}'''), 'article:Printer contract terms', 'A5 a contact finds what is for contacts');
SELECT is(pg_temp.finds('mother', 'printer contract', more => ', ''{article}'''), 'article:Printer does not print after an update', 'B55 where no article has all words, some of them');
SELECT is(pg_temp.finds('b2b agent', 'printer escalation', 'csm_agent', ', ''{article}'''), 'article:Printer escalation path', 'B55 staff find what is for staff');
SELECT is(pg_temp.finds('mother', 'escalation recall'), NULL, 'T17 a consumer does not');
SELECT is(pg_temp.finds('b2b agent', 'recall', 'csm_agent'), 'question:Printer recall: what do we say?, article:Printer escalation path', 'B55 over articles and questions, the title first');
SELECT is(pg_temp.finds('nobody', 'printer', 'csm_guest'), 'article:Printer does not print after an update, question:Why does my printer blink?', 'V14 a visitor finds what is public');
SELECT is(pg_temp.finds('nobody', 'password', 'csm_guest'), NULL, 'V14 and nothing else');
SELECT is(pg_temp.finds('mother', 'password'), 'article:Reset your password', 'A5 a consumer finds what is for consumers');
SELECT is(pg_temp.finds('nobody', 'printer', r), NULL, format('V14 nobody under %s finds nothing', r)) FROM unnest('{csm_portal,csm_agent,csm_admin}'::text[]) r;
SELECT is(pg_temp.finds('north contact', 'pump'), 'case:north: pump', 'B55 a contact finds his case');
SELECT is(pg_temp.finds('umbrella admin', 'pump'), NULL, 'T17 nobody else''s');
SELECT is(pg_temp.finds('umbrella admin', 'umbrella', more => ', ''{account}'''), 'account:umbrella', 'A5 his account by name');
SELECT is(pg_temp.finds('umbrella admin', 'north', more => ', ''{account,person}'''), NULL, 'T17 no account or person of others');
SELECT is(pg_temp.finds('north contact', 'printer draft nobody', more => ', ''{article}''') LIKE '%draft%', false, 'A5 what is not published is not found');
SELECT is(pg_temp.finds('north contact', 'printer past', more => ', ''{article}''') LIKE '%past%', false, 'A5 nor what was retired');
SELECT is(small.run(small.u('mother'), 'csm_reporter', 'SELECT count(*) FROM csm.search(''printer'')') LIKE 'ERROR 42501%', true, 'A5 reporters have no search');
SELECT is(small.run(small.u('mother'), 'csm_portal', 'SELECT count(*) FROM csm.search(''printer'')', 'staff:agent'), '1', 'V10 narrowed to a persona that is not his: what is public');

-- ---- how it is found ----
SELECT is(pg_temp.asks('north contact', format('SELECT kind || found_by || score FROM csm.search(%L) LIMIT 1', lower(c.number))), 'casenumber2', 'A5 a case by its number first')
FROM csm.cases c WHERE c.id = small.c('north: pump');
SELECT is(pg_temp.asks('umbrella admin', format('SELECT count(*) FROM csm.search(%L) WHERE found_by = ''number''', c.number)), '0', 'T17 not by somebody else')
FROM csm.cases c WHERE c.id = small.c('north: pump');
SELECT is(pg_temp.asks('mother', format('SELECT kind || '' '' || found_by FROM csm.search(%L) LIMIT 1', a.number)), 'article number', 'A5 an article by its number')
FROM csm.articles a WHERE a.id = small.article('Reset your password');
SELECT is(pg_temp.asks('mother', format('SELECT count(*) FROM csm.search(%L, ''{article}'')', a.number)), '0', 'T17 not one that is hidden')
FROM csm.articles a WHERE a.id = small.article('Printer escalation path');
SELECT is(pg_temp.asks('b2b agent', 'SELECT kind || found_by FROM csm.search(''north.contact@small.example'', ''{person}'') LIMIT 1', 'csm_agent'), 'personnumber', 'A5 a person by his e-mail');
SELECT is(pg_temp.asks('mother', 'SELECT title || '' '' || found_by FROM csm.search(''pasword resset'')'), 'Reset your password similar', 'A5 in spite of typing errors');
SELECT is(pg_temp.asks('b2b agent', 'SELECT title || '' '' || found_by FROM csm.search(''umbrela'', ''{account}'')', 'csm_agent'), 'umbrella similar', 'A5 a name in spite of one');
SELECT is(pg_temp.asks('north contact', 'SELECT title || '' '' || found_by FROM csm.search(''valvve'', ''{case}'')'), NULL, 'T17 the subject of a case that he does not see is not guessed');
SELECT is(pg_temp.asks('north manager', 'SELECT title || '' '' || found_by FROM csm.search(''northh valvve'', ''{case}'') LIMIT 1'), 'north: valve similar', 'A5 of one that he sees it is');
INSERT INTO csm.products (tenant_id, name) VALUES (small.tenant(), 'kettle');
-- A name scores by how much it is like what was typed, and by nothing else; a number and an e-mail score 2.
SELECT is(pg_temp.asks('b2b agent', format($$SELECT bool_and(score = round(csm.resemblance(title, %1$L)::numeric, 6)) || ' ' || (count(DISTINCT score) >= %3$s) FROM csm.search(%1$L, '{%2$s}')$$, q, k, n), 'csm_agent'),
          'true true', format('A5 the score of a name is its resemblance: %s %s', k, q))
FROM (VALUES ('account', 'umbrella', 1), ('account', 'north of', 1), ('person', 'north contact', 2), ('product', 'kettel', 1)) v(k, q, n);
SELECT is(pg_temp.asks('b2b agent', format('SELECT score || found_by FROM csm.search(%L, ''{account}'') LIMIT 1', lower(a.number)), 'csm_agent'), '2number', 'A5 an account by its number first')
FROM csm.accounts a WHERE a.id = small.a('north');
SELECT is(pg_temp.asks('b2b agent', 'SELECT score || found_by FROM csm.search(''NORTH.contact@small.example'', ''{person}'') LIMIT 1', 'csm_agent'), '2number', 'A5 a person by his e-mail first');
SELECT is(pg_temp.finds('mother', '"does not print" -toner', more => ', ''{article}'''), 'article:Printer does not print after an update', 'A5 websearch syntax');
SELECT is(pg_temp.finds('mother', 'printer -print', more => ', ''{question}'''), 'question:Why does my printer blink?', 'A5 a word that must not be there');

-- ---- languages ----
SELECT is(pg_temp.finds('daughter', 'Rechnung Muller'), 'article:Rechnungen für Müller drucken', 'A5 in her language, without the accent');
SELECT is(pg_temp.finds('mother', 'wählen', more => ', ''{article}'''), NULL, 'A5 a stem of a language that is not asked for is not found');
UPDATE csm.tenants SET settings = settings || '{"search": {"languages": ["en", "de"]}}' WHERE id = small.tenant();
SELECT is(pg_temp.finds('mother', 'wählen', more => ', ''{article}'''), 'article:Rechnungen für Müller drucken', 'A5 until the tenant names the language');
SELECT is(pg_temp.finds('nobody', 'wählen', 'csm_guest'), 'article:Rechnungen für Müller drucken', 'A5 for visitors too');
UPDATE csm.tenants SET settings = settings || '{"search": {"languages": "nonsense"}}' WHERE id = small.tenant();
SELECT is(pg_temp.finds('mother', 'password', more => ', ''{article}'''), 'article:Reset your password', 'A5 nonsense in the setting does no harm');
UPDATE csm.tenants SET settings = settings - 'search' WHERE id = small.tenant();

-- ---- markup ----
SELECT is(pg_temp.asks('mother', 'SELECT snippet FROM csm.search(''blink'')'), 'It <mark>blinks</mark> red since yesterday.', 'A5 what was found is marked');
SELECT is(pg_temp.asks('mother', 'SELECT snippet FROM csm.search(''zebra'')'),
          'A body with  tags  &amp; &quot;quotes&quot; about the <mark>zebra</mark> &amp;  nothing  else.', 'A5 nothing but the marks is markup');
SELECT is(csm.highlight(l, d, q), h, format('A5 words are marked whatever their accents: %s', q)) FROM (VALUES
    ('es', 'La impresión no funciona; impresiones en Málaga', 'impresion malaga', 'La <mark>impresión</mark> no funciona; <mark>impresiones</mark> en <mark>Málaga</mark>'),
    ('de', 'Müllers Größe & Muller', 'muller grosse', '<mark>Müllers</mark> <mark>Größe</mark> &amp; <mark>Muller</mark>'),
    ('de', 'Müllers Größe & Muller', 'Müller', '<mark>Müllers</mark> Größe &amp; <mark>Muller</mark>'),
    ('fr', 'un café, un canapé', 'cafe', 'un <mark>café</mark>, un canapé')) v(l, d, q, h);
SELECT is(csm.highlight('en', E'a \x01zebra\x02 < b', 'zebra'), 'a  <mark>zebra</mark>  &lt; b', 'A5 a text cannot bring its own marks');
SELECT matches(csm.highlight('en', repeat('word ', 2000) || 'needle ' || repeat('word ', 2000), 'needle', 10), '<mark>needle</mark>', 'A5 a passage from the middle');

-- ---- arguments ----
SELECT matches(pg_temp.asks('mother', s), '^ERROR 22023', '22023 ' || s) FROM (VALUES
    ('SELECT * FROM csm.search(''x'', ''{case,nonsense}'')'), ('SELECT * FROM csm.search(''x'', filters => ''[]'')'), ('SELECT * FROM csm.search(''x'', filters => NULL)'),
    ('SELECT * FROM csm.search(''x'', filters => ''{"nonsense": 1}'')'), ('SELECT * FROM csm.search(''x'', filters => ''{"account_id": "x"}'')'),
    ('SELECT * FROM csm.search(''x'', filters => ''{"account_id": [[1]]}'')'), ('SELECT * FROM csm.search(''x'', filters => ''{"since": "2026-02-31"}'')'),
    ('SELECT * FROM csm.search(''x'', filters => ''{"since": "now()"}'')'), ('SELECT * FROM csm.search(''x'', "limit" => 0)'), ('SELECT * FROM csm.search(''x'', "limit" => 101)'),
    ('SELECT * FROM csm.search(''x'', "limit" => NULL)'), ('SELECT * FROM csm.search(''x'', after => ''nonsense'')'), ('SELECT * FROM csm.search(''x'', after => '''')')) v(s);
SELECT is(pg_temp.asks('mother', s), '0', 'A5 no row for ' || s) FROM (VALUES
    ('SELECT count(*) FROM csm.search(NULL)'), ('SELECT count(*) FROM csm.search('''')'), ('SELECT count(*) FROM csm.search(''   '')'), ('SELECT count(*) FROM csm.suggest(NULL)'),
    ('SELECT count(*) FROM csm.suggest('''')'), ('SELECT count(*) FROM csm.answer(NULL)'), ('SELECT count(*) FROM csm.search_facets(NULL)'), ('SELECT count(*) FROM csm.predict_fields(NULL)'),
    ('SELECT count(*) FROM csm.suggest(''printer'', 0)'), ('SELECT count(*) FROM csm.suggest(''printer'', NULL) WHERE false')) v(s);
SELECT is(pg_temp.finds('north contact', 'pump', more => ', filters => ''{"state_class": ["open"], "since": "2024-01-01"}'''), 'case:north: pump', 'A5 filters');
SELECT is(pg_temp.finds('north contact', 'pump', more => ', filters => ''{"state_class": "closed"}'''), NULL, 'A5 a filter that the row does not meet');
SELECT is(pg_temp.finds('mother', 'printer', more => ', filters => ''{"answered": true}'''), 'question:Why does my printer blink?', 'A5 a kind without the column is left out');
SELECT is(position('printer blink' IN coalesce(pg_temp.finds('mother', 'printer', more => ', filters => ''{"answered": false}'''), '')), 0, 'A5 an answered question is not found among those that are not');
SELECT is(pg_temp.finds('umbrella admin', 'pump', more => format(', filters => ''{"account_id": %s}''', small.a('north'))), NULL, 'T17 a hidden account as a filter finds nothing, as a missing one');

-- No input is an error.
CREATE FUNCTION pg_temp.fuzz(person text, role_name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    failed bigint := 0;
    q text;
BEGIN
    PERFORM setseed(0.25);
    FOR i IN 1 .. 150 LOOP
        q := (SELECT string_agg(substr(E'print Müller"''\\|&!()<->:*-0@.,%_ß' || chr(8217) || chr(769) || E'\n\t', 1 + (random() * 38)::integer, 1), '')
              FROM generate_series(1, 1 + i % 40));
        IF small.run(small.u(person), role_name, format('SELECT count(*) FROM csm.search(%1$L), csm.search_facets(%1$L), csm.suggest(%1$L), csm.answer(%1$L)', q)) LIKE 'ERROR%' THEN
            RAISE WARNING '% failed', q;
            failed := failed + 1;
        END IF;
    END LOOP;
    RETURN failed;
END $$;
SELECT is(pg_temp.fuzz('mother', 'csm_portal'), 0::bigint, 'A5 no query is an error for a consumer');
SELECT is(pg_temp.fuzz('b2b agent', 'csm_agent'), 0::bigint, 'A5 nor for staff');

-- ---- paging ----
CREATE FUNCTION pg_temp.pages(person text, query text, role_name text, size integer, between_pages text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    last text;
    page text[];
    seen text[] := '{}';
BEGIN
    LOOP
        page := small.run(small.u(person), role_name, format(
            'SELECT ARRAY[string_agg(kind || id, '','' ORDER BY n), max(cursor) FILTER (WHERE n = m)] FROM (SELECT *, max(n) OVER () AS m FROM csm.search(%L, "limit" => %s, after => %L) WITH ORDINALITY AS s(kind, id, number, title, snippet, score, found_by, at, cursor, n)) x',
            query, size, last))::text[];
        EXIT WHEN page[1] IS NULL;
        seen := seen || string_to_array(page[1], ',');
        last := page[2];
        IF between_pages IS NOT NULL THEN
            EXECUTE between_pages;
        END IF;
    END LOOP;
    RETURN array_to_string(seen, ',');
END $$;
SELECT is(pg_temp.pages('b2b agent', 'north', 'csm_agent', n), pg_temp.pages('b2b agent', 'north', 'csm_agent', 100), format('A5 pages of %s are the whole, in order', n)) FROM unnest('{1,2,3,7}'::integer[]) n;
SELECT cmp_ok(array_length(string_to_array(pg_temp.pages('b2b agent', 'north', 'csm_agent', 100), ','), 1), '>', 8, 'A5 there is something to page through');
-- What is opened or published between two pages.
CREATE TEMP SEQUENCE nth;
CREATE FUNCTION pg_temp.publish() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 3 LOOP
        PERFORM small.new_case('north again ' || nextval('nth'), 'b2b', 'north contact', 'north', opened => clock_timestamp());
        PERFORM small.new_article('help', 'North ' || nextval('nth'), 'all about the north');
        PERFORM small.new_question('square', 'mother', 'North? ' || nextval('nth'), 'where is north');
    END LOOP;
END $$;
CREATE TEMP TABLE before_pages AS SELECT unnest(string_to_array(pg_temp.pages('b2b agent', 'north', 'csm_agent', 100), ',')) AS hit;
CREATE TEMP TABLE paged AS SELECT hit, n FROM unnest(string_to_array(pg_temp.pages('b2b agent', 'north', 'csm_agent', 2, 'SELECT pg_temp.publish()'), ',')) WITH ORDINALITY AS x(hit, n);
SELECT is_empty('SELECT hit FROM before_pages EXCEPT SELECT hit FROM paged', 'A5 no gap while others publish');
SELECT is_empty('SELECT hit FROM paged GROUP BY hit HAVING count(*) > 1', 'A5 no row twice while others publish');
SELECT is_empty('SELECT p.hit FROM paged p WHERE p.hit NOT IN (SELECT hit FROM before_pages) AND p.hit !~ ''^article''', 'A5 cases and questions of later are left out');

-- cursors
CREATE TEMP TABLE cursors AS SELECT pg_temp.asks('b2b agent', 'SELECT cursor FROM csm.search(''north'', "limit" => 1)', 'csm_agent') AS good;
SELECT isnt_empty('SELECT good FROM cursors', 'A5 a cursor');
SELECT is((SELECT count(*) FROM cursors, generate_series(1, length(good)) i, unnest('{A,z,0,-}'::text[]) c
           WHERE substr(good, i, 1) <> c
             AND pg_temp.asks('b2b agent', format('SELECT 1 FROM csm.search(''north'', after => %L)', overlay(good PLACING c FROM i::integer FOR 1)), 'csm_agent')
                 IS DISTINCT FROM 'ERROR 22023: the cursor is not one of this search'), 0::bigint, '22023 a cursor in which one character was changed');
SELECT matches(pg_temp.asks('b2b agent', format('SELECT 1 FROM csm.search(''south'', after => %L)', good), 'csm_agent'), '^ERROR 22023: the cursor is not one of this search$', '22023 the cursor of another query') FROM cursors;
SELECT matches(pg_temp.asks('b2b agent', format('SELECT 1 FROM csm.search(''north'', ''{case}'', after => %L)', good), 'csm_agent'), '^ERROR 22023', '22023 of other kinds') FROM cursors;
SELECT matches(pg_temp.asks('umbrella admin', format('SELECT count(*) FROM csm.search(''north'', after => %L) WHERE kind NOT IN (''article'', ''question'')', good)), '^0$', 'T17 somebody else''s cursor shows nothing of his') FROM cursors;

-- ---- facets ----
SELECT is(pg_temp.asks('north manager', 'SELECT string_agg(kind || facet || value || count || complete, '' '' ORDER BY kind, facet, value) FROM csm.search_facets(''pump'')'),
          'casecase_typecase1true casekindcase1true caselanguageenglish1true casepriority41true casestate_classopen1true', 'A5 facets of what he sees');
SELECT is(pg_temp.asks('umbrella admin', 'SELECT count(*) FROM csm.search_facets(''pump'')'), '0', 'T17 and of nothing else');
SELECT is(pg_temp.asks('nobody', 'SELECT count(*) FROM csm.search_facets(''printer'')'), '0', 'V14 nobody gets none');

-- ---- suggestions ----
SELECT is(pg_temp.asks('mother', 'SELECT string_agg(kind || '':'' || title, '', '' ORDER BY kind) FROM csm.suggest(''my prin'')'),
          'article:Printer does not print after an update, question:Why does my printer blink?', 'A5 while the word is typed');
SELECT is(pg_temp.asks('nobody', 'SELECT string_agg(kind || '':'' || title, '', '') FROM csm.suggest(''reset pass'')', 'csm_guest'), NULL, 'V14 a visitor is not offered what is not public');
SELECT is(pg_temp.asks('mother', 'SELECT string_agg(kind || '':'' || title, '', '') FROM csm.suggest(''reset pass'')'), 'article:Reset your password', 'A5 a consumer is');
SELECT is(pg_temp.asks('mother', 'SELECT string_agg(title, '', '') FROM csm.suggest(''My new printer is broken and will not print'')'),
          'Printer does not print after an update', 'A5 a whole sentence, by some of its words');
SELECT is(pg_temp.asks('b2b agent', 'SELECT count(*) FROM csm.suggest(''printer escal'') WHERE title = ''Printer escalation path''', 'csm_agent'), '1', 'A5 staff are offered what is for staff');
SELECT is(pg_temp.asks('north contact', 'SELECT count(*) FROM csm.suggest(''printer escal'') WHERE title = ''Printer escalation path'''), '0', 'T17 nobody else is');
SELECT set_config('csm.importing', 'on', true);
UPDATE csm.cases SET major_state = 'accepted' WHERE id = small.c('employee: laptop');
SELECT set_config('csm.importing', 'off', true);
SELECT is(pg_temp.asks('desk manager', 'SELECT string_agg(kind || '':'' || title, '', '') FROM csm.suggest(''laptop broken'')', 'csm_agent'), 'case:employee: laptop', 'A5 a major case that is open');
SELECT is(pg_temp.asks('mother', 'SELECT string_agg(title, '', '') FROM csm.suggest(''laptop broken'')'), NULL, 'T17 not one that is hidden');
CREATE TEMP TABLE open_major AS SELECT id, state, state_class FROM csm.cases WHERE major_state = 'accepted';
SET LOCAL session_replication_role = replica;
UPDATE csm.cases c SET state = 'closed', state_class = 'closed' FROM open_major o WHERE o.id = c.id;
SET LOCAL session_replication_role = origin;
SELECT is(pg_temp.asks('desk manager', 'SELECT string_agg(title, '', '') FROM csm.suggest(''laptop broken'')', 'csm_agent'), NULL, 'A5 not one that is closed');
SET LOCAL session_replication_role = replica;
UPDATE csm.cases c SET state = o.state, state_class = o.state_class FROM open_major o WHERE o.id = c.id;
SET LOCAL session_replication_role = origin;

-- ---- similar cases, passages, statistics ----
SELECT small.new_case('Pump leaks oil at the north gate', 'b2b', 'north contact', 'north', of_state => 'open'),
       small.new_case('Pump leaks oil again', 'b2b', 'north colleague', 'north', of_state => 'open'),
       small.new_case('Pump leaks oil in the umbrella', 'b2b', 'umbrella admin', 'umbrella', of_state => 'open');
SELECT set_config('csm.importing', 'on', true);
UPDATE csm.cases SET state = 'closed', state_class = 'closed', resolution_code = 'sealed', resolution_notes = 'New seal', closed_at = opened_at + interval '4 hours'
WHERE subject LIKE 'Pump leaks oil %' AND subject NOT LIKE '%gate';
SELECT set_config('csm.importing', 'off', true);
SELECT is(pg_temp.asks('b2b agent', format('SELECT string_agg(subject || '': '' || resolution_notes, '', '' ORDER BY subject) FROM csm.similar_cases(%s) WHERE score > 0.5', small.c('Pump leaks oil at the north gate')), 'csm_agent'),
          'Pump leaks oil again: New seal, Pump leaks oil in the umbrella: New seal', 'A30 similar cases with their solutions');
SELECT is(pg_temp.asks('north manager', format('SELECT string_agg(subject || '': '' || resolution_notes, '', '') FROM csm.similar_cases(%s) WHERE score > 0.5', small.c('Pump leaks oil at the north gate'))),
          'Pump leaks oil again: New seal', 'A30 a customer gets his own');
SELECT is(pg_temp.asks('umbrella admin', format('SELECT count(*) FROM csm.similar_cases(%s)', small.c('Pump leaks oil at the north gate'))),
          format('ERROR SM001: case %s does not exist', small.c('Pump leaks oil at the north gate')), 'SM001 of a case that is hidden');
SELECT is(pg_temp.asks('umbrella admin', 'SELECT count(*) FROM csm.similar_cases(999999999)'), 'ERROR SM001: case 999999999 does not exist', 'SM001 of one that is missing, alike');
SELECT matches(pg_temp.asks('nobody', format('SELECT count(*) FROM csm.similar_cases(%s)', small.c('north: pump'))), '^ERROR SM001', 'V14 nobody has a case to compare');
SELECT is(pg_temp.asks('mother', 'SELECT kind || '':'' || title || '':'' || passage FROM csm.answer(''Why is my printer blinking?'') LIMIT 1'),
          'question:Why does my printer blink?:The toner of the <mark>printer</mark> is empty, replace it.', 'A30 a passage and its source: the accepted answer');
SELECT is(pg_temp.asks('nobody', 'SELECT string_agg(title, '','') FROM csm.answer(''printer print update'')', 'csm_guest') LIKE '%does not print%', true, 'A30 a bot for visitors');
SELECT is(pg_temp.asks('mother', 'SELECT count(*) FROM csm.answer(''printer recall'') WHERE passage ~ ''recall|nothing'''), '0', 'T17 says nothing of what is hidden');
SELECT is(pg_temp.asks('b2b agent', 'SELECT string_agg(field || ''='' || value || coalesce(''*'' || share, '''') || ''/'' || cases, '' '' ORDER BY field) FROM csm.predict_fields(''pump leaks'')', 'csm_agent'),
          'case_type=case*1.0000/2 hours_to_close_90=4.00/2 hours_to_close_median=4.00/2 priority=4*1.0000/2 resolution_code=sealed*1.0000/2', 'A30 fields of a new case, by plain statistics');
SELECT is(pg_temp.asks('north manager', 'SELECT max(cases) FROM csm.predict_fields(''pump leaks'')'), '1', 'A30 of what the caller sees');

-- ---- hits against the definition ----
CREATE TEMP TABLE people AS
SELECT n.name AS person, r AS role_name FROM small.named n, unnest('{csm_portal,csm_agent,csm_admin}'::text[]) r WHERE n.kind = 'user';
-- by words: what the naive statement finds under the same policies
CREATE FUNCTION pg_temp.differs(p people, q text) RETURNS boolean LANGUAGE sql AS $$
    SELECT pg_temp.asks(p.person, format('SELECT md5(string_agg(kind || id, '','' ORDER BY kind || id)) FROM csm.search(%L, ''{case,article,question}'', "limit" => 100) WHERE found_by = ''words''', q), p.role_name)
        IS DISTINCT FROM
        pg_temp.asks(p.person, format('SELECT md5(string_agg(k, '','' ORDER BY k)) FROM (
                SELECT ''case'' || id FROM csm.cases WHERE search @@ csm.search_query(%1$L)
                UNION ALL SELECT ''article'' || id FROM csm.articles WHERE state = ''published'' AND search @@ csm.search_query(%1$L)
                UNION ALL SELECT ''question'' || id FROM csm.questions WHERE search @@ csm.search_query(%1$L)) x(k)', q), p.role_name) $$;
SELECT is_empty(format('SELECT person, role_name FROM people p WHERE pg_temp.differs(p, %L)', q), format('T17 everybody finds by "%s" what he reads, no more and no less', q))
FROM unnest('{printer,north,laptop or pump}'::text[]) q;
SELECT cmp_ok((SELECT count(DISTINCT pg_temp.asks(person, 'SELECT md5(string_agg(kind || id, '','' ORDER BY kind || id)) FROM csm.search(''north or laptop or printer'', "limit" => 100)', role_name)) FROM people), '>', 10::bigint,
              'T17 and that differs from person to person');

-- ---- twin database: what is hidden has no part in an answer ----
CREATE FUNCTION pg_temp.answers(person text, role_name text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(coalesce(pg_temp.asks(person, s, role_name), 'none'), E'\n' ORDER BY n) FROM (VALUES
        (1, 'SELECT string_agg(concat_ws(''|'', kind, id, title, snippet, round(score, 4), found_by), E''\n'' ORDER BY score DESC, kind, id) FROM csm.search(''printer'')'),
        (2, 'SELECT string_agg(concat_ws(''|'', kind, id, title, snippet, round(score, 4), found_by), E''\n'' ORDER BY score DESC, kind, id) FROM csm.search(''north pump or zebra'')'),
        (3, 'SELECT string_agg(concat_ws(''|'', kind, id, title, snippet, round(score, 4), found_by), E''\n'' ORDER BY score DESC, kind, id) FROM csm.search(''printr updaet'')'),
        (4, 'SELECT string_agg(concat_ws(''|'', kind, id, title, snippet, round(score, 4), found_by), E''\n'' ORDER BY score DESC, kind, id) FROM csm.search(''north contact'')'),
        (5, 'SELECT string_agg(concat_ws(''|'', kind, facet, value, count, complete), E''\n'' ORDER BY kind, facet, value) FROM csm.search_facets(''printer or pump or north'')'),
        (6, 'SELECT string_agg(concat_ws(''|'', kind, id, title, round(score, 4)), E''\n'' ORDER BY score DESC, kind, id) FROM csm.suggest(''printer pri'')'),
        (7, 'SELECT string_agg(concat_ws(''|'', kind, id, title, round(score, 4)), E''\n'' ORDER BY score DESC, kind, id) FROM csm.suggest(''the printer of north is broken'')'),
        (8, 'SELECT string_agg(concat_ws(''|'', kind, id, title, passage, round(score, 4)), E''\n'' ORDER BY score DESC, kind, id) FROM csm.answer(''printer of the north'')'),
        (9, 'SELECT string_agg(concat_ws(''|'', field, value, share, cases), E''\n'' ORDER BY field) FROM csm.predict_fields(''pump leaks printer'')'),
        (10, format('SELECT string_agg(concat_ws(''|'', id, subject, round(score, 4)), E''\n'' ORDER BY score DESC, id) FROM csm.similar_cases(%s)', small.c('Pump leaks oil at the north gate'))),
        (11, 'SELECT string_agg(kind || id, '','') FROM csm.search(''printer'', "limit" => 2)'),
        (12, 'SELECT string_agg(kind || id, '','') FROM csm.search(''CS0000003'')'),
        (13, 'SELECT string_agg(kind || id, '','') FROM csm.search(''printer'', ''{nonsense}'')')) v(n, s) $$;
CREATE TEMP TABLE outsiders (person text, role_name text);
INSERT INTO outsiders VALUES ('mother', 'csm_portal'), ('north contact', 'csm_portal'), ('umbrella admin', 'csm_portal'), ('paragon admin', 'csm_portal'), ('nobody', 'csm_guest'),
    ('nobody', 'csm_portal'), ('student', 'csm_portal'), ('proxy', 'csm_portal'), ('viewer', 'csm_portal');
CREATE TEMP TABLE one AS SELECT person, role_name, pg_temp.answers(person, role_name) AS answer FROM outsiders;
SELECT cmp_ok(min(length(answer)), '>', 50, 'T17 everybody was told something') FROM one WHERE role_name = 'csm_portal' AND person <> 'nobody';
-- rows that none of them sees: another company and its people, staff's articles and questions, drafts, another tenant
SELECT small.new_account('hidden'), small.new_contact('hidden printer north contact', 'hidden', 'customer');
INSERT INTO csm.accounts (tenant_id, name) SELECT small.tenant(), 'Printer North Pump ' || i FROM generate_series(1, 300) i;
SELECT set_config('csm.importing', 'on', true);
INSERT INTO csm.cases (tenant_id, branch, state, state_class, subject, description, requester_id, opened_by, account_id, opened_at, submitted_at, closed_at, resolution_code)
SELECT small.tenant(), 'b2b', 'closed', 'closed', 'printer north pump leaks oil zebra ' || i, 'printer updaet', small.u('hidden printer north contact'), small.u('hidden printer north contact'),
       small.a('hidden'), clock_timestamp(), clock_timestamp(), clock_timestamp(), 'hidden' FROM generate_series(1, 1200) i;
SELECT set_config('csm.importing', 'off', true);
SELECT count(small.new_article('inside', 'Printer north pump ' || i, 'printer zebra update north')) FROM generate_series(1, 700) i WHERE i > 0;
SELECT count(small.new_question('backroom', 'b2b agent', 'Printer north ' || i || '?', 'printer zebra update north pump')) FROM generate_series(1, 700) i;
ANALYZE csm.cases, csm.articles, csm.questions, csm.accounts, csm.users;
CREATE TEMP TABLE other AS SELECT person, role_name, pg_temp.answers(person, role_name) AS answer FROM outsiders;
SELECT is(t.answer, o.answer, format('T17 twin: %s as %s gets the same rows, scores, counts, suggestions and errors', o.person, o.role_name))
FROM one o JOIN other t USING (person, role_name);
SELECT isnt(pg_temp.asks('b2b agent', 'SELECT string_agg(kind || id, '','') FROM csm.search(''printer'')', 'csm_agent'),
            (SELECT string_agg(kind || id, ',') FROM csm.search('printer') WHERE false), 'T17 staff see what was added');
SELECT is(pg_temp.asks('b2b agent', 'SELECT string_agg(kind || count || complete, '','' ORDER BY kind) FROM csm.search_facets(''printer zebra'', ''{case,question}'') WHERE facet = ''kind''', 'csm_agent'),
          'case1200true,question700true', 'A5 counts are exact');

-- ---- plans ----
-- as autovacuum leaves it
SELECT count(gin_clean_pending_list(i)) FROM unnest('{csm.articles_search_idx,csm.questions_search_idx,csm.cases_search_idx}'::regclass[]) i \g /dev/null
CREATE FUNCTION pg_temp.plan(person text, role_name text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text := '';
    l text;
BEGIN
    PERFORM set_config('csm.allow_explain', 'on', true), set_config('enable_seqscan', 'off', true);
    PERFORM set_config('csm.user_id', coalesce(CASE WHEN person <> 'nobody' THEN small.u(person) END::text, ''), true), set_config('role', role_name, true);
    FOR l IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP found := found || l || E'\n'; END LOOP;
    PERFORM set_config('role', 'none', true), set_config('csm.user_id', '', true), set_config('enable_seqscan', 'on', true);
    RETURN found;
END $$;
SELECT matches(pg_temp.plan(person, role_name, statement), index, format('B55 plan: %s (%s): %s', person, role_name, statement))
FROM (VALUES
    ('b2b agent', 'csm_agent', 'SELECT id FROM csm.articles WHERE csm.matches(search, ''toner'')', 'Bitmap Index Scan on articles_search_idx'),
    ('b2b agent', 'csm_agent', 'SELECT id FROM csm.questions WHERE csm.matches(search, ''blink'')', 'Bitmap Index Scan on questions_search_idx'),
    ('b2b agent', 'csm_agent', 'SELECT id FROM csm.cases WHERE csm.matches(search, ''valv'')', 'Bitmap Index Scan on cases_search_idx'),
    ('mother', 'csm_portal', 'SELECT id FROM csm.articles WHERE csm.matches(search, ''toner'')', 'Index Cond'),
    ('mother', 'csm_portal', 'SELECT id FROM csm.cases WHERE csm.matches(search, ''valv'')', 'Index Cond'),
    ('nobody', 'csm_guest', 'SELECT id FROM csm.articles WHERE csm.matches(search, ''toner'')', 'Index Cond'),
    ('nobody', 'csm_guest', 'SELECT id FROM csm.questions WHERE csm.matches(search, ''blink'')', 'Index Cond')) v(person, role_name, statement, index);

SELECT * FROM finish();
ROLLBACK;
