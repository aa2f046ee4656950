-- Head of a screen: :title, :look. Screens are counted in :n.
\set ECHO none
SELECT :n + 1 AS n \gset
\if :pause
    \prompt 'Enter: next screen ' answer
\endif
\echo
\set head :n '. ' :title
\echo :bold:head:plain
\echo :look
\echo
