#!/usr/bin/env bash
# Measures csm.sign_in() against OpenSSL's bare verification, csm.erase_person() of a person with many cases and
# csm.licence_usage() over many acts; see README.md in this folder.
#
#   BENCH_DIR=DIR   where server and data live, /tmp/csm-bench-UID-people by default; removed at the end
#   ROUNDS=N        rounds, 9 by default; TRIES=N sign-ins a round, 5,000 by default
#   ACTS=N          acts in the history, 5 million by default (2 GB); CASES=N cases of the person, 10,000 by default
#   RESULTS=FILE    where the table goes, results/people.md by default
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/server.sh"
dir=${BENCH_DIR:-/tmp/csm-bench-$(id -u)-people}

csm_server_remove "$dir"
csm_server_start "$dir" "session_preload_libraries = 'csm'" "shared_buffers = 1GB" "autovacuum = off" "jit = off" \
    "synchronous_commit = off" "wal_level = minimal" "max_wal_senders = 0" "max_wal_size = 4GB" "checkpoint_timeout = 1h"
trap 'csm_server_remove "$dir"' EXIT
echo 'building' >&2
# shellcheck disable=SC2046
gcc -O2 -Wall -Wextra -Wno-unused-parameter -shared -fPIC -Wl,-Bsymbolic -I"$CSM_REPO/src" -I"$("$PG_CONFIG" --includedir-server)" \
    "$here/token.c" "$CSM_REPO/src/csm_token.c" -o "$dir/token.so" $(pkg-config --libs cjose jansson) -lcrypto
chmod 755 "$dir/token.so"
for name in people erasure licence; do
    csm_psql "$dir" -d postgres -c "CREATE DATABASE $name"
    csm_psql "$dir" -d "$name" -c 'SET client_min_messages = error' -c 'CREATE EXTENSION csm CASCADE'
done
csm_psql "$dir" -d erasure -v cases="${CASES:-10000}" -f "$here/erasure.sql" >/dev/null
csm_psql "$dir" -d licence -v acts="${ACTS:-5000000}" -f "$here/licence.sql" >/dev/null
echo 'measuring' >&2
mkdir -p "$dir/scratch"
cd "$CSM_REPO"
BENCH_SOCKET=$dir/sock BENCH_PORT=$CSM_PORT BENCH_PSQL=$(csm_bindir "$dir")/psql BENCH_PGBENCH=$(csm_bindir "$dir")/pgbench \
    BENCH_LIB=$dir/token.so BENCH_SCRATCH=$dir/scratch BENCH_RESULTS=${RESULTS:-$here/results/people.md} perl "$here/people.pl"
