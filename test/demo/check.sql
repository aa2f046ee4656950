-- The demo ends here if :seen is not :should; :what says what it is.
\set ECHO none
SELECT :'seen' = :'should' AS ok \gset
\if :ok
    \set line :what ': ' :seen
    \echo Checked: :line
    \echo
\else
    \set line :what ': ' :seen ', and not ' :should
    \warn NOT AS IT SHOULD BE: :line
    DO $$ BEGIN RAISE EXCEPTION 'the demo shows something else than it should'; END $$;
\endif
