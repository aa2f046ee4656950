#!/usr/bin/env bash
# Measures what time does, on a private server of its own that is removed afterwards:
#
#   csm.run_due()          over due timers, half of them reminders, half closings: one call, then as many sessions as
#                          there are cores, each calling it for 5,000 until nothing is left; then the notifications
#                          that both led to
#   csm.create_children()  a child for each recipient of a list, the same call again, and the closing of all children
#
#   TIME_ROWS=N            how many, 100,000 by default
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/server.sh"

rows=${TIME_ROWS:-100000}
dir=$(csm_work_folder bench-time)
trap 'csm_server_remove "$dir"' EXIT
csm_server_start "$dir" "session_preload_libraries = 'csm'" 'shared_buffers = 1GB' 'max_wal_size = 8GB' 'jit = off' \
    'synchronous_commit = off' 'checkpoint_timeout = 1h'
csm_psql "$dir" -d postgres -c 'CREATE DATABASE bench'
csm_psql "$dir" -d bench -c 'SET client_min_messages = error' -c 'CREATE EXTENSION csm CASCADE'
csm_psql "$dir" -d bench -v rows="$rows" -f "$here/time_data.sql" >/dev/null

value() { csm_psql "$dir" -d bench -At -c "$1" | tail -n 1; }
now() { date +%s.%N; }
report() # what, rows, begin
{
    awk -v what="$1" -v rows="$2" -v took="$(echo "$(now) - $3" | bc)" \
        'BEGIN { printf "%-58s %8d rows  %7.2f s  %8.0f rows/s\n", what, rows, took, rows / took }'
}

value 'SELECT bench.due()' >/dev/null
began=$(now)
done=$(value "SELECT sum(done) FROM csm.run_due(\"limit\" => 1000000)")
report 'run_due, one session, one call' "$done" "$began"

value 'SELECT bench.due()' >/dev/null
began=$(now)
for _ in $(seq "$(nproc)"); do
    (while [ "$(value 'SELECT count(*) FROM csm.run_due("limit" => 5000)')" != 0 ]; do :; done) &
done
wait
report "run_due, $(nproc) sessions, 5,000 a call" "$rows" "$began"
value "SELECT bench.check()"
began=$(now)
report 'notifications of these, one session' "$(value 'SELECT bench.notify()')" "$began"

began=$(now)
report 'create_children' "$(value 'SELECT bench.children()')" "$began"
began=$(now)
report 'create_children again (none is missing)' "$(value 'SELECT bench.children() + count(*) FROM csm.recipients')" "$began"
began=$(now)
value 'SELECT bench.close_major()' >/dev/null
report 'major case closed (a timer for each child)' "$rows" "$began"
began=$(now)
report 'children closed with the major case (run_due)' \
    "$(value "SELECT sum(done) FROM csm.run_due(\"limit\" => 1000000) WHERE kind = 'follow_parent'")" "$began"
