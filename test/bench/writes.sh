#!/usr/bin/env bash
# Measures the writing of cases: csm against the same features as PL/pgSQL triggers, against one bare statement that
# writes the same rows, and against an insert into csm.cases alone; see README.md in this folder.
#
#   BENCH_DIR=DIR   where server and data live, /tmp/csm-bench-UID-writes by default
#   ROUNDS=N        rounds, 25 by default; LIVES=N cases a round, 120 by default
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/server.sh"
dir=${BENCH_DIR:-/tmp/csm-bench-$(id -u)-writes}

csm_server_remove "$dir"
csm_server_start "$dir" "session_preload_libraries = 'csm'" "shared_buffers = 1GB" "autovacuum = off" "jit = off" \
    "synchronous_commit = off" "full_page_writes = off" "wal_level = minimal" "max_wal_senders = 0" "max_wal_size = 4GB" \
    "checkpoint_timeout = 1h" "random_page_cost = 1.1"
trap 'csm_server_remove "$dir"' EXIT
sql() { csm_psql "$dir" "$@"; }
copy() { sql -d postgres -c "CREATE DATABASE $2 TEMPLATE $1"; }

echo 'building' >&2
sql -d postgres -c 'CREATE DATABASE ours'
sql -d ours -c 'SET client_min_messages = error' -c 'CREATE EXTENSION csm CASCADE'
sql -d ours -v cases=100000 -f "$here/writes_data.sql" >/dev/null
for name in plpgsql bare due slas; do copy ours $name; done
sql -d plpgsql -f "$here/writes_plpgsql.sql"
sql -d slas -f "$here/writes_slas.sql" >/dev/null
sql -d bare -c 'CREATE SEQUENCE bench.numbers' -c 'ALTER TABLE csm.cases DISABLE TRIGGER USER'
# the decision: the guard alone, or no trigger at all
for name in ours plpgsql bare; do
    copy $name ${name}_decision
    sql -d ${name}_decision -v keep=$name -f "$here/writes_decision.sql"
done
sql -d due -f "$here/writes_due.sql"
echo 'measuring' >&2
mkdir -p "$dir/scratch"
BENCH_SOCKET=$dir/sock BENCH_PORT=$CSM_PORT BENCH_PSQL=$(csm_bindir "$dir")/psql BENCH_PGBENCH=$(csm_bindir "$dir")/pgbench \
    BENCH_SCRATCH=$dir/scratch BENCH_RESULTS=$here/results/writes.md perl "$here/writes.pl"
