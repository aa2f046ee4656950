#!/usr/bin/env bash
# psql for pg_prove: every test file gets a database of its own, a copy of the template, gone afterwards.
set -u
database=csm_pgtap_$$
createdb -T csm_template $database || exit 2
PGDATABASE=$database psql "$@"
status=$?
dropdb --force $database
exit $status
