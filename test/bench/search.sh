#!/usr/bin/env bash
# Measures csm.search() and csm.suggest() over many articles and the cases of run.sh, and how often they find the right
# article; see README.md in this folder.
#
#   BENCH_CASES=N, BENCH_DIR=DIR   as for run.sh, whose data are used, and built where they are missing
#   SEARCH_ARTICLES=N              articles, 1,000,000 by default; a fifth as many questions
#   RUNS=N                         runs of a figure, 5 by default
#   RESULTS=FILE                   where the tables go, results/search.md by default
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/server.sh"
cases=${BENCH_CASES:-5000000}
articles=${SEARCH_ARTICLES:-1000000}
dir=${BENCH_DIR:-/tmp/csm-bench-$(id -u)}
[ "$cases" = 5000000 ] || dir=${BENCH_DIR:-/tmp/csm-bench-$(id -u)-$cases}
results=${RESULTS:-$here/results/search.md}

seconds() { printf '%5d s  %s\n' "$SECONDS" "$*" >&2; }

BENCH_CASES=$cases BENCH_DIR=$dir REACH=none SHAPE=none "$here/run.sh" >/dev/null
bindir=$(csm_bindir "$dir")
if [ "$(csm_psql "$dir" -d bench -At -c 'SELECT count(*) FROM (SELECT FROM csm.articles LIMIT 1) x')" = 0 ]; then
    seconds "building $articles articles"
    csm_psql "$dir" -d bench -v articles="$articles" -v questions=$((articles / 5)) -f "$here/search_data.sql" >/dev/null
    seconds 'rows are there; indexes'
    csm_psql "$dir" -d bench -At -c "SELECT format('REINDEX INDEX %s;', indexrelid::regclass) FROM pg_index WHERE NOT indisready
        ORDER BY indexrelid::regclass::text ~ '(trgm|search)' DESC, indrelid" |
        xargs -d '\n' -P 2 -n 1 "$bindir/psql" -X -q -v ON_ERROR_STOP=1 -h "$dir/sock" -p "$CSM_PORT" -U postgres -d bench -c
    csm_psql "$dir" -d bench -c 'VACUUM (ANALYZE, FREEZE) csm.articles, csm.questions' -c CHECKPOINT
fi
seconds 'measuring'
{
    echo '# Search'
    echo
    csm_psql "$dir" -d bench -v runs="${RUNS:-5}" -f "$here/search.sql"
    csm_psql "$dir" -d postgres -c 'DROP DATABASE IF EXISTS quality' -c 'CREATE DATABASE quality' >/dev/null
    csm_psql "$dir" -d quality -c 'SET client_min_messages = error' -c 'CREATE EXTENSION csm CASCADE' >/dev/null
    printf '\n**Finding the right article** (questions of test/demo/data/knowledge_questions.csv over its articles)\n\n'
    printf '| way | questions | mean reciprocal rank | first | among the first 3 |\n|---|--:|--:|--:|--:|\n'
    csm_psql "$dir" -d quality -v demo="$here/../demo/data" -f "$here/search_quality.sql" | grep '^|'
} >"$results.tmp"
mv "$results.tmp" "$results"
seconds "results: $results"
