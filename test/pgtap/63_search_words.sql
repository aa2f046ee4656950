-- Words of texts and queries: languages, accents, query syntax (issue of search: language-aware, unaccent, websearch).
\set ON_ERROR_STOP on
BEGIN;
\ir ../lib/small.sql
SELECT * FROM no_plan();

CREATE FUNCTION pg_temp.finds(language text, query text, document text, asked_in text DEFAULT NULL) RETURNS boolean LANGUAGE sql
RETURN csm.matches(csm_private.search_vector(language, document), csm.search_query(query, coalesce(asked_in, language)));

SELECT ok(pg_temp.finds(l, q, d), format('A5 accents: %s finds %s in %s', q, d, l)) FROM (VALUES
    ('de', 'muller', 'Herr Müller'), ('de', 'Müller', 'Herr Muller'), ('german', 'für Müller', 'Müller'), ('de', 'strasse', 'Straße'),
    ('de-AT', 'Straße', 'strasse'), ('DE_ch', 'drucker', 'Die Druckers'), ('fr', 'installee', 'la machine installée'), ('fr', 'installée', 'la machine installee'),
    ('french', 'resume', 'le résumé'), ('fr', 'résumé', 'le resume'), ('fr', 'oeuvre', 'Œuvre'), ('fr', 'l''ete', 'l’été'),
    ('tr', 'ısı', 'isi'), ('tr', 'isi', 'ısı'), ('tr', 'istanbul', 'İstanbul'), ('tr', 'İSTANBUL', 'istanbul'),
    ('es', 'ano', 'año'), ('el', 'αθηνα', 'Αθήνα'), ('ru', 'елка', 'ёлка'), ('pt-BR', 'informacao', 'informação'), ('da', 'orsted', 'Ørsted'),
    ('pl', 'lodz', 'Łódź'), ('vi', 'Nguyen', 'Nguyễn'), ('en', 'fine', 'ﬁne'), ('en', 'cafe', U&'cafe\0301')) v(l, q, d);
SELECT ok(NOT pg_temp.finds(l, q, d), format('A5 accents: %s is not %s in %s', q, d, l)) FROM (VALUES
    ('de', 'maller', 'Müller'), ('fr', 'resumons', 'présumé'), ('ja', 'か', 'が'), ('xx', 'क', 'की'), ('de', 'Müller -Herr', 'Herr Müller')) v(l, q, d);

-- stems of the row's language, stop words, tags
SELECT ok(pg_temp.finds('en', 'printing', 'printers printed'), 'A5 English stems');
SELECT ok(pg_temp.finds('de', 'Rechnung', 'Rechnungen'), 'A5 German stems');
SELECT ok(NOT pg_temp.finds('en', 'printing', 'printers printed', 'simple'), 'A5 a query of another language has other stems');
SELECT ok(pg_temp.finds('xx', 'printers', 'printers'), 'A5 an unknown language counts as simple');
SELECT is(csm_private.search_vector('klingon', 'The printers'), csm_private.search_vector('simple', 'The printers'), 'A5 an unknown configuration counts as simple');
SELECT is(csm_private.search_vector(NULL, 'The printers'), csm_private.search_vector('simple', 'The printers'), 'A5 no language counts as simple');
SELECT is(csm_private.search_vector(repeat('x', 100000), 'a'), csm_private.search_vector('simple', 'a'), 'A5 nor does its length matter');
SELECT is(csm_private.search_vector('en', 'one two', 'three', 'four'), '''four'':4 ''one'':1A ''three'':3B ''two'':2A', 'A5 weights A, B and D');
SELECT is(csm_private.search_vector('en', 'one', NULL, 'four'), '''four'':2 ''one'':1A', 'A5 a text that is NULL has no words');
SELECT is(csm_private.search_vector('en', NULL), '', 'A5 no text, no words');
SELECT is(csm_private.search_vector('english', 'plain ASCII words, once'), setweight(to_tsvector('english', 'plain ASCII words, once'), 'A'), 'A5 without accents what to_tsvector() gives');
SELECT lives_ok($$SELECT csm_private.search_vector('en', repeat('é word ', 20000))$$, 'A5 text beyond 100,000 characters is cut, not refused');

-- query syntax
SELECT is(csm.search_query('"paper jam" or toner -ink', 'en'), '''paper'' <-> ''jam'' | ''toner'' & !''ink''', 'A5 phrase, or, not');
SELECT is(csm.search_query('the', 'en'), '', 'A5 stop words alone ask for nothing');
SELECT is(csm.search_query('für', 'de'), '''fur''', 'A5 but not what somebody may have typed without its accent');
SELECT is(csm.search_query(NULL, 'en'), NULL, 'A5 NULL');
SELECT ok(csm.search_query('müller', 'de') @@ '''mull''', 'A5 the query is a well-formed tsquery');
SELECT is(csm.search_query('Émile "à la carte"', 'fr')::text::tsquery, csm.search_query('Émile "à la carte"', 'fr'), 'A5 and survives being written out and read');

-- No input raises.
SELECT setseed(0.5);
CREATE TEMP TABLE fuzz AS
SELECT string_agg(substr('abc  é"''\|&!()<->:*-0x/@.,%_ß' || chr(8217) || chr(769) || chr(127) || E'\n\t', 1 + (random() * 33)::integer, 1), '') AS q
FROM generate_series(1, 2000) i, generate_series(1, 1 + i % 30) GROUP BY i;
SELECT lives_ok($$SELECT csm.matches(csm_private.search_vector(l, q), csm.search_query(q, l)) FROM fuzz, unnest('{en,de,fr,simple,xx}'::text[]) l$$, 'A5 no query is an error');
SELECT lives_ok($$SELECT csm.search_query(x, 'de') FROM (VALUES (repeat('a', 5000)), (repeat('ä', 5000)), (repeat('(', 5000)), (repeat('-', 5000)), (repeat('- ', 500)), (repeat('-" ', 300)), (repeat('-(!&', 200)), (repeat('-the ', 200)), (repeat('-a -"b c" ', 100)), (repeat('"é ', 2000)), (repeat('a or ', 2000))) v(x)$$,
                'A5 nor is a long one');

-- cases use it
SELECT set_config('csm.importing', 'on', true);
UPDATE csm.cases SET language = 'de', subject = 'Rechnungen für Müller' WHERE id = small.c('north: pump');
SELECT set_config('csm.importing', 'off', true);
SELECT is(c.search, csm_private.search_vector(c.language, c.number || ' ' || c.subject, c.description), 'A5 cases: the same words') FROM csm.cases c WHERE c.id = small.c('north: pump');
SELECT is(small.run(small.u('north contact'), 'csm_portal', $$SELECT string_agg(subject, ',') FROM csm.cases WHERE csm.matches(search, csm.search_query('rechnung muller', 'de'))$$),
          'Rechnungen für Müller', 'A5 a contact finds his case without the accent');
SELECT is(small.run(small.u('mother'), 'csm_portal', $$SELECT count(*) FROM csm.cases WHERE csm.matches(search, csm.search_query('rechnung muller', 'de'))$$), '0', 'T17 somebody else does not');

SELECT * FROM finish();
ROLLBACK;
