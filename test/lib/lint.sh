#!/usr/bin/env bash
# Checks that need no test data: C symbols against SQL, install scripts, PL/pgSQL, README's reference. ANALYZE=1 adds gcc's analyzer.
set -eu -o pipefail
. "$(dirname "$0")/server.sh"
cd "$CSM_REPO"
problems=0

problem()
{
    echo "$1"
    problems=$((problems + 1))
}

# Every C function that SQL names must exist, every one that exists must be named (a retired one in an update script).
check_symbols()
{
    local in_c in_sql name
    in_c=$(cat src/*.c 2>/dev/null | sed -n 's/^PG_FUNCTION_INFO_V1(\([a-z0-9_]*\)).*/\1/p' | sort -u)
    in_sql=$(cat sql/install/*.sql sql/update/*.sql 2>/dev/null | tr '\n' ' ' |
        grep -oE "'MODULE_PATHNAME' *, *'[a-z0-9_]+'" | sed "s/.*, *'\(.*\)'/\1/" | sort -u || true)
    for name in $(comm -23 <(echo "$in_c") <(echo "$in_sql")); do
        problem "C function $name is named by no SQL"
    done
    for name in $(comm -13 <(echo "$in_c") <(echo "$in_sql")); do
        problem "SQL names C function $name, which does not exist"
    done
}

# A plain SET in an extension script stays in the session of the person who runs it.
check_scripts()
{
    local found
    # SET clauses of functions end without a semicolon, those of UPDATE are indented.
    found=$(grep -nE '^SET[[:space:]].*;' sql/install/*.sql sql/update/*.sql 2>/dev/null | grep -v 'SET LOCAL' || true)
    [ -z "$found" ] || problem "SET without LOCAL in an extension script:"$'\n'"$found"
}

check_plpgsql()
{
    local found
    csm_psql "$work" -d postgres >/dev/null -c 'CREATE EXTENSION csm CASCADE' -c 'CREATE EXTENSION plpgsql_check'
    found=$(csm_psql "$work" -d postgres -At <<'SQL'
SELECT f.oid::regprocedure || ' ' || c.line
FROM pg_proc f
JOIN pg_language l ON l.oid = f.prolang AND l.lanname = 'plpgsql'
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'csm'
-- a trigger function is checked with a table that uses it; one that no trigger uses is skipped
LEFT JOIN LATERAL (SELECT tgrelid, max(max(tgnewtable)) OVER () AS new_rows, max(max(tgoldtable)) OVER () AS old_rows
                   FROM pg_trigger t WHERE t.tgfoid = f.oid GROUP BY tgrelid) u ON true
CROSS JOIN LATERAL plpgsql_check_function(f.oid, coalesce(u.tgrelid, 0), extra_warnings => false,
                                          performance_warnings => false, newtable => u.new_rows, oldtable => u.old_rows) c(line)
WHERE f.prorettype <> 'event_trigger'::regtype
  AND (f.prorettype <> 'trigger'::regtype OR u.tgrelid IS NOT NULL)
  -- the design names parameters "limit"
  AND c.line !~ '("limit" is reserved keyword|The reserved keyword was used as parameter name)'
SQL
    )
    [ -z "$found" ] || problem "plpgsql_check:"$'\n'"$found"
}

# README's reference against the catalogue, its table of errors against what is raised.
check_reference()
{
    local found
    found=$(csm_psql "$work" -d postgres -At -f "$PWD/test/lib/reference.sql" |
        perl test/lib/reference.pl "$("$PG_CONFIG" --includedir-server)/utils/errcodes.h")
    [ -z "$found" ] || problem "$found"
}

check_with_analyzer()
{
    local found
    found=$(for source in src/*.c; do
        gcc -fanalyzer -O1 -c -Isrc -DCSM_VERSION='""' -I"$("$PG_CONFIG" --includedir-server)" \
            "$source" -o /dev/null 2>&1 || true
    done | grep -E 'src/.*(warning|error):' || true)
    [ -z "$found" ] || problem "gcc -fanalyzer:"$'\n'"$found"
}

check_symbols
check_scripts
[ -z "${ANALYZE:-}" ] || check_with_analyzer
if compgen -G 'sql/install/*.sql' >/dev/null; then
    work=$(csm_work_folder lint)
    trap 'csm_server_remove "$work"' EXIT
    csm_server_start "$work"
    check_plpgsql
    check_reference
fi
if [ "$problems" -gt 0 ]; then
    echo "lint: $problems problems"
    exit 1
fi
echo 'lint: nothing found'
