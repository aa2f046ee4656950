#!/usr/bin/env bash
# Measures csm against hand-written SQL and common-practice policies; see README.md in this folder.
#
#   FRESH=1            build the data anew (it is kept otherwise)
#   BENCH_CASES=N      number of cases, 5,000,000 by default; 200,000 for a quick look
#   BENCH_DIR=DIR      where server and data live, /tmp/csm-bench-UID by default
#   REACH=re SHAPE=re  only what matches these regular expressions
#   REPEAT=N           runs of a figure, 7 by default; five times as many of one below 20 ms
#   KEEP_DATA=1        use the data although the install script has changed
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/server.sh"

cases=${BENCH_CASES:-5000000}
dir=${BENCH_DIR:-/tmp/csm-bench-$(id -u)}
[ "$cases" = 5000000 ] || dir=${BENCH_DIR:-/tmp/csm-bench-$(id -u)-$cases}

seconds() { printf '%5d s  %s\n' "$SECONDS" "$*" >&2; }

# A quarter of the memory for buffers, up to what the data needs.
memory=$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
buffers=$((memory / 4 < 6144 ? memory / 4 : 6144))
settings=(
    "session_preload_libraries = 'csm'"
    "shared_buffers = ${buffers}MB"
    "effective_cache_size = $((buffers * 2))MB"
    "work_mem = 64MB"
    "maintenance_work_mem = $((memory > 12000 ? 1536 : 256))MB"
    "random_page_cost = 1.1"
    "jit = off"
    "max_parallel_workers_per_gather = 0"
    "autovacuum = off"
    "wal_level = minimal"
    "max_wal_senders = 0"
    "max_wal_size = 2GB"
    "checkpoint_timeout = 1h"
    "full_page_writes = off"
    "synchronous_commit = off"
    "csm.allow_explain = on"
)

[ -z "${FRESH:-}" ] || csm_server_remove "$dir"
csm_server_start "$dir" "${settings[@]}"
bindir=$(csm_bindir "$dir")
root_share=$dir/root$("$PG_CONFIG" --sharedir)
installed=$(cat "$root_share"/extension/csm--*.sql "$here"/data.sql "$here"/load_*.sql | md5sum | cut -d" " -f1)

if [ -e "$dir/built" ] && [ "$(cat "$dir/built")" != "$installed $cases" ] && [ -z "${KEEP_DATA:-}" ]; then
    seconds 'the install script has changed: the data is built anew (KEEP_DATA=1 keeps it)'
    rm "$dir/built"
fi
if [ ! -e "$dir/built" ]; then
    seconds "building $cases cases in $dir"
    csm_psql "$dir" -d postgres -c 'DROP DATABASE IF EXISTS bench' -c 'CREATE DATABASE bench'
    csm_psql "$dir" -d bench -c 'CREATE EXTENSION csm CASCADE'
    csm_psql "$dir" -d bench -v cases="$cases" -v accounts=200000 -f "$here/data.sql"
    seconds 'accounts and people are there; cases and entries'
    csm_psql "$dir" -d bench -v cases="$cases" -f "$here/load_entries.sql" &
    csm_psql "$dir" -d bench -v cases="$cases" -f "$here/load_cases.sql"
    wait $!
    seconds 'rows are there; indexes'
    # Two sessions share the work; the text indexes are the longest and come first.
    csm_psql "$dir" -d bench -At -c "SELECT format('REINDEX INDEX %s;', indexrelid::regclass)
        FROM pg_index WHERE NOT indisready
        ORDER BY indexrelid::regclass::text ~ '(trgm|search)' DESC, indrelid DESC" |
        xargs -d '\n' -P 2 -n 1 "$bindir/psql" -X -q -v ON_ERROR_STOP=1 -h "$dir/sock" -p "$CSM_PORT" -U postgres -d bench -c
    seconds 'vacuum'
    csm_psql "$dir" -d bench -c 'VACUUM (ANALYZE, FREEZE) csm.cases' &
    csm_psql "$dir" -d bench -c 'VACUUM (ANALYZE, FREEZE) csm.case_entries' -c 'VACUUM ANALYZE'
    wait $!
    csm_psql "$dir" -d bench -f "$here/finish.sql" -c 'ANALYZE bench.person_accounts' -c CHECKPOINT
    echo "$installed $cases" >"$dir/built"
    seconds "built: $(du -sh "$dir/data" | cut -f1)"
fi
csm_psql "$dir" -d bench -At -f "$here/warm.sql" >/dev/null
seconds 'measuring'
BENCH_SOCKET="$dir/sock" BENCH_PORT=$CSM_PORT BENCH_PSQL="$bindir/psql" BENCH_RESULTS="$here/results" \
    perl "$here/measure.pl"
seconds "the server stays up: $(csm_psql_line "$dir" postgres bench)"
