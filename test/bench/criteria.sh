#!/usr/bin/env bash
# Measures user criteria on a private server of its own that is removed afterwards: 1,000 audiences, 200 criteria, a million
# articles. Prints what it costs to compile a person's audiences and to ask one, and reading under the policy against the
# same query of the owner with a hand-written list of the person's audiences, both in one run: median of 21, milliseconds.
#
#   CRITERIA_ARTICLES=N    how many, 1,000,000 by default
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/server.sh"

dir=$(csm_work_folder bench-criteria)
trap 'csm_server_remove "$dir"' EXIT
csm_server_start "$dir" "session_preload_libraries = 'csm'" 'shared_buffers = 1GB' 'max_wal_size = 8GB' 'jit = off' 'work_mem = 64MB' \
    'synchronous_commit = off' 'checkpoint_timeout = 1h' 'random_page_cost = 1.1' 'max_parallel_workers_per_gather = 0' 'autovacuum = off'
csm_psql "$dir" -d postgres -c 'CREATE DATABASE bench'
csm_psql "$dir" -d bench -c 'SET client_min_messages = error' -c 'CREATE EXTENSION csm CASCADE'
csm_psql "$dir" -d bench -q -v articles="${CRITERIA_ARTICLES:-1000000}" -f "$here/criteria_data.sql" >/dev/null

value() { csm_psql "$dir" -d bench -qAt -c "$1" | tail -n 1; }
# The statements of stdin, each after its setup; prints the median of the times of those that follow \timing on.
median() { csm_psql "$dir" -d bench -qAt -f - | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | sort -n | awk '{ t[NR] = $1 } END { printf "%.3f", t[int((NR + 1) / 2)] }'; }
become() { printf "BEGIN; SET LOCAL csm.user_id = '%s'; SET LOCAL ROLE %s;\n" "$1" "$2"; }

# Twenty-one times: what is measured, each after a statement that is not.
after() # person, what the superuser does before, what the person does before, what is measured
{
    for _ in $(seq 21); do
        printf '\\timing off\n%s\n' "$2"
        become "$1" csm_portal
        printf '\\o /dev/null\n%s\n\\o\n\\timing on\n%s\n\\timing off\nCOMMIT;\n' "$3" "$4"
    done | median
}
ask="SELECT csm.audience_allows(1, 'read');"
echo "empty statement                                   $(after 1001 '' "$ask" 'SELECT 1;') ms"
echo "asked again                                       $(after 1001 '' "$ask" "$ask") ms"
echo "person compiled anew (product sold to his account) $(after 1001 \
    'UPDATE csm.sold_products SET valid_during = CASE WHEN valid_during IS NULL THEN tstzrange(NULL, NULL) END WHERE account_id = 2;' 'SELECT 1;' "$ask") ms"
echo "definitions and person read anew (grant changed)  $(after 1001 \
    "UPDATE csm.audience_grants SET denies = NOT denies WHERE audience_id = 1000;" 'SELECT 1;' "$ask") ms"
# The predicate: ten different calls a row, all of them false, or no row would need them all; less ten comparisons of the same
# numbers. Least of 11: a loop is disturbed, never helped. Timing ends before the transaction does, which is no such loop.
least() { csm_psql "$dir" -d bench -qAt -f - | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | sort -n | head -n 1; }
ten() { for k in 1 2 3 4 5 6 7 8 9 10; do [ "$k" = 1 ] || printf ' OR '; printf "$1" "$k"; done; }
loop()
{
    {
        become 10999 csm_portal
        printf '\\timing on\n'
        for _ in $(seq 11); do printf 'SELECT count(*) FROM generate_series(1, 200000) n WHERE %s;\n' "$(ten "$1")"; done
        printf '\\timing off\nCOMMIT;\n'
    } | least
}
awk -v with="$(loop "csm.audience_allows((n + %s) %% 1000, 'contribute')")" -v without="$(loop '((n + %s) %% 1000)::bigint > 2000')" \
    'BEGIN { printf "the predicate, more than a comparison             %.0f ns\n", (with - without) / 2 }'

echo
printf '%-34s %-22s %10s %10s %6s\n' 'person' 'query' 'ours' 'by hand' 'ratio'
for person in 1001 10998 10999; do
    ids=$(value "BEGIN; SET LOCAL csm.user_id = '$person'; SET LOCAL ROLE csm_portal; SELECT csm.audiences_allowing('read')")
    number=$(value "SELECT cardinality('$ids'::bigint[])")
    where="WHERE tenant_id = 1 AND state = 'published' AND (expires_at IS NULL OR expires_at > statement_timestamp()) AND audience_id = ANY ('$ids')"
    while IFS='|' read -r name head tail; do
        ours=$({ become "$person" csm_portal; printf '\\o /dev/null\n%s %s;\n\\o\n\\timing on\n' "$head" "$tail"
                 for _ in $(seq 21); do echo "$head $tail;"; done; printf '\\timing off\nCOMMIT;\n'; } | median)
        hand=$({ printf '\\o /dev/null\n%s %s %s;\n\\o\n\\timing on\n' "$head" "$where" "$tail"
                 for _ in $(seq 21); do echo "$head $where $tail;"; done; } | median)
        printf '%-34s %-22s %10s %10s %6s\n' "reads $number of 1,000 audiences" "$name" "$ours" "$hand" "$(echo "scale=2; $ours / $hand" | bc)"
    done <<'SQL'
newest 100|SELECT id, title FROM csm.articles|ORDER BY published_at DESC, id DESC LIMIT 100
any 100|SELECT id, title FROM csm.articles|LIMIT 100
count|SELECT count(*) FROM csm.articles|
SQL
done
