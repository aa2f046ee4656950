#!/usr/bin/env bash
# Measures csm.licence_usage() over many acts and csm.erase_person() of a person with many cases.
#
#   BENCH_DIR=DIR   where server and data live, /tmp/csm-bench-UID-privacy by default; removed at the end
#   ACTS=N          acts in the history, 5 million by default (2 GB); CASES=N cases of the person, 10,000 by default
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/server.sh"
dir=${BENCH_DIR:-/tmp/csm-bench-$(id -u)-privacy}

csm_server_remove "$dir"
csm_server_start "$dir" "session_preload_libraries = 'csm'" "shared_buffers = 1GB" "autovacuum = off" "jit = off" \
    "synchronous_commit = off" "wal_level = minimal" "max_wal_senders = 0" "max_wal_size = 4GB" "checkpoint_timeout = 1h"
trap 'csm_server_remove "$dir"' EXIT
for name in licence privacy; do
    csm_psql "$dir" -q -d postgres -c "CREATE DATABASE $name"
    csm_psql "$dir" -q -d "$name" -c 'SET client_min_messages = error' -c 'CREATE EXTENSION csm CASCADE'
done
csm_psql "$dir" -qAt -d licence -v acts="${ACTS:-5000000}" -f "$here/licence.sql"
csm_psql "$dir" -qAt -d privacy -v cases="${CASES:-10000}" -f "$here/erasure.sql"
