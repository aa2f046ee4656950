-- Head of a screen: :n, :title, :look.
\set ECHO none
\if :pause
    \prompt 'Enter: next screen ' answer
\endif
\echo
\set head :n '. ' :title
\echo :bold:head:plain
\echo :look
\echo
