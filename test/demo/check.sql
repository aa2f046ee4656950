-- The demo ends here if :seen is not :should.
\set ECHO none
SELECT :'seen' = :'should' AS ok \gset
\if :ok
    \echo Checked: :what = :seen
    \echo
\else
    \warn NOT AS IT SHOULD BE: :what is :seen, should be :should
    DO $$ BEGIN RAISE EXCEPTION 'the demo shows something else than it should'; END $$;
\endif
