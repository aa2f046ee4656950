#!/usr/bin/env bash
# The demo: a private server with 28,156 real complaints and a made-up business world, and a walk through what each kind
# of person sees. Every step checks what it shows; the first that differs ends the demo with an error.
#
#   CSM_DEMO_DIR   folder of the server (default /tmp/csm-demo-UID); a run starts afresh in it
#   PAUSE=1        wait for Enter after each screen
set -euo pipefail
# shellcheck source=test/lib/server.sh
. "$(dirname "$0")/../lib/server.sh"

here=$(cd "$(dirname "$0")" && pwd)
dir=${CSM_DEMO_DIR:-/tmp/csm-demo-$(id -u)}
database=meridian

# Afresh, but nothing is deleted that is not an earlier demo.
if [ -e "$dir/csm-demo" ]; then
    csm_server_remove "$dir"
elif [ -d "$dir" ] && [ -n "$(ls -A "$dir")" ]; then
    echo "$dir is not empty and holds no earlier demo: choose another folder with CSM_DEMO_DIR" >&2
    exit 1
fi
mkdir -p "$dir"
touch "$dir/csm-demo"

run() # arguments of psql
{
    csm_psql "$dir" -d "$database" -P pager=off "$@"
}

trap 'echo "The demo has failed. Its server, if it runs, is left for a look: $dir/log/server.log; make demo-stop" >&2' ERR
SECONDS=0
echo "Starting a private server in $dir"
csm_server_start "$dir" "session_preload_libraries = 'csm'" "shared_buffers = '128MB'" "max_wal_size = '2GB'" "jit = off"
csm_psql "$dir" -d postgres -c "CREATE DATABASE $database"

echo 'Loading (all people are made up, the complaints are real)'
export PGOPTIONS='-c client_min_messages=warning'
run -f "$here/company.sql"
gzip -dc "$here/data/cfpb_complaints_2015.csv.gz" | run -c 'COPY demo.complaints (complaint_id, product, sub_product, issue,
    sub_issue, state, zip_code, received_on, sent_to_company_on, company_response, timely_response, consumer_disputed)
    FROM STDIN (FORMAT csv, HEADER)'
run -f "$here/load_b2c.sql"
run -f "$here/load_b2b.sql"
run -c 'COPY demo.knowledge FROM STDIN (FORMAT csv, HEADER)' <"$here/data/knowledge.csv"
run -f "$here/load_knowledge.sql"
run -f "$here/personas.sql"
run -c 'VACUUM (ANALYZE)'
unset PGOPTIONS
echo "Loaded in $SECONDS seconds"

bold='' plain=''
if [ -t 1 ]; then
    bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi
# For what another session does while one is open.
CSM_DEMO_PSQL="$(csm_bindir "$dir")/psql -X -q -v ON_ERROR_STOP=1 -h $dir/sock -p $CSM_PORT -U postgres -d $database"
export CSM_DEMO_PSQL
# From standard input: errors that are part of the show then come without file and line.
cd "$here"
cat tour.sql tour_dispute.sql tour_work.sql tour_people.sql tour_knowledge.sql | run -v bold="$bold" -v plain="$plain" -v pause="${PAUSE:-0}" 2>&1

echo "${bold}All steps showed what they should, $SECONDS seconds in all. The server stays up; be any of them:${plain}"
echo
width=$(csm_psql_line "$dir" demo_parent_manager "$database" | wc -c)
run -At -F '|' -c 'SELECT login, who FROM demo.personas ORDER BY place' | while IFS='|' read -r login who; do
    printf '  %-*s %s\n' "$width" "$(csm_psql_line "$dir" "$login" "$database")" "$who"
done
printf '  %-*s %s\n' "$width" "$(csm_psql_line "$dir" postgres "$database")" 'the DBA: no row-level security'
echo
echo 'Stop it with: make demo-stop'
