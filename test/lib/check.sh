#!/usr/bin/env bash
# Run the test suites against a private server. The last line of stdout is "N passed, N failed".
#
# SUITE     suites to run, of: regress pgtap isolation tap claims (default: all)
# ONLY      regular expression on the names of test files
# PRELOAD   session (default), shared or none: how the server loads csm before any test asks for it
# KEEP      not empty: keep the work folder also when all passed
# JOBS      test files that run at the same time (default 2)
# CSM_TREE  the built tree to test, as in server.sh; the tests are always those beside this file
set -eu -o pipefail
. "$(dirname "$0")/server.sh"
cd "$CSM_REPO"

SUITE=${SUITE:-regress pgtap isolation tap claims}
ONLY=${ONLY:-}
PRELOAD=${PRELOAD:-session}
JOBS=${JOBS:-2}
pgxs_test=$(dirname "$("$PG_CONFIG" --pgxs)")/../test
work=$(csm_work_folder check)
logs=$work/logs
passed=0
failed=0
completed=
# A crash, a failed assertion, a finding of a sanitizer (which a test may survive), something that C forgot to give back.
alarm='terminating any other active server processes|PANIC:|TRAP:|AddressSanitizer:|runtime error:|(reference|refcount) leak|resource was not closed'
csm_own_folder "$logs"

finish()
{
    if [ -z "$completed" ]; then
        echo 'the run ended early' >&2
        failed=$((failed + 1))
    fi
    if grep -sE "$alarm" "$work/log/server.log" >"$logs/alarm"; then
        echo "the server's log has alarming lines:"
        head -n 5 "$logs/alarm"
        failed=$((failed + 1))
    fi
    csm_server_stop "$work" || true
    if [ "$failed" -gt 0 ] || [ -n "${KEEP:-}" ]; then
        [ -n "${KEEP:-}" ] || rm -rf "$work/root" "$work/data" "$work/tree"
        echo "logs: $logs $work/log"
    else
        rm -rf "$work"
    fi
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ] || exit 1
}
trap finish EXIT

wanted() # suite
{
    case " $SUITE " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

# Test files of a folder, one a line, that ONLY admits.
files() # folder, suffix
{
    local file
    for file in "$1"/*."$2"; do
        [ -e "$file" ] && [[ $(basename "$file") =~ $ONLY ]] && echo "$file"
    done
    true
}

# Add a suite's figures to the total and print one line.
report() # suite, passed, failed, log
{
    passed=$((passed + $2))
    failed=$((failed + $3))
    printf '%-10s %5d passed, %d failed  (%d s)\n' "$1" "$2" "$3" $((SECONDS - started))
    [ "$3" -eq 0 ] || tail -n 60 "$4"
}

# Results of pg_regress and pg_isolation_regress: "test name ... ok" up to version 15, TAP from 16 on.
count_regress() # output, exit status
{
    awk -v status="$2" '
        /^(ok|not ok) / || /^(test| +)[^.]*\.\.\. (ok|FAILED)/ {
            if ($0 ~ /^not ok|FAILED/) failed++; else passed++
        }
        END { if (status && !failed) failed++; printf "%d %d\n", passed, failed }' "$1"
}

# Databases for tests are copies of one template, which is made when the first suite needs it. Without it the suite
# has failed.
make_template() # suite
{
    [ ! -e "$work/template" ] || return 0
    dropdb --if-exists csm_template 2>/dev/null
    createdb csm_template
    psql -Xq -v ON_ERROR_STOP=1 -d csm_template >"$logs/template.log" 2>&1 \
        -c 'CREATE EXTENSION csm CASCADE' -c 'CREATE EXTENSION pgtap' || {
        report "$1" 0 1 "$logs/template.log"
        return 1
    }
    touch "$work/template"
}

# One database for all scripts. sql/install.sql creates the extension, where there is one.
run_regress()
{
    local out=$logs/regress names=() file name status=0 first='' last=''
    for file in $(files sql sql); do
        name=$(basename "$file" .sql)
        case $name in install) ;; uninstall) last=$name ;; *) names+=("$name") ;; esac
    done
    [ -n "$last${names[*]:-}" ] || [ "install" = "$(basename "$(files sql sql)" .sql)" ] || return 0
    [ ! -e sql/install.sql ] || first=install
    # shellcheck disable=SC2206
    names=($first "${names[@]}" $last)
    mkdir -p "$out"
    if [ -n "$first" ]; then
        createdb csm_regress
    else
        make_template regress || return 0
        createdb -T csm_template csm_regress
    fi
    "$pgxs_test/regress/pg_regress" --bindir= --inputdir=. --outputdir="$out" --use-existing --dbname=csm_regress \
        --host="$PGHOST" --port="$PGPORT" --user="$PGUSER" "${names[@]}" >"$out/log" 2>&1 || status=$?
    [ ! -s "$out/regression.diffs" ] || head -n 200 "$out/regression.diffs" >>"$out/log"
    # shellcheck disable=SC2046
    report regress $(count_regress "$out/log" $status) "$out/log"
}

# Each file in a fresh copy of the template.
run_pgtap()
{
    local out=$logs/pgtap status=0 list
    mapfile -t list < <(files test/pgtap sql)
    [ ${#list[@]} -gt 0 ] || return 0
    mkdir -p "$out"
    make_template pgtap || return 0
    PERL_TEST_HARNESS_DUMP_TAP=$out/tap pg_prove -j "$JOBS" --psql-bin "$CSM_REPO/test/lib/psql_own_db.sh" \
        "${list[@]}" >"$out/log" 2>&1 || status=$?
    # shellcheck disable=SC2046
    report pgtap $(perl test/lib/count_tap.pl "$out/tap" $status) "$out/log"
}

# Each spec in a fresh copy of the template, because closed cases and history cannot be cleaned away.
run_isolation()
{
    local out=$logs/isolation status=0 list file name options=()
    mapfile -t list < <(files test/isolation/specs spec)
    [ ${#list[@]} -gt 0 ] || return 0
    mkdir -p "$out"
    make_template isolation || return 0
    if "$pgxs_test/isolation/pg_isolation_regress" --help | grep -q expecteddir; then
        options=(--expecteddir=test/isolation)
    fi
    for file in "${list[@]}"; do
        name=$(basename "$file" .spec)
        createdb -T csm_template "csm_isolation_$name"
        mkdir -p "$out/$name"
        "$pgxs_test/isolation/pg_isolation_regress" --bindir= --inputdir=test/isolation --outputdir="$out/$name" \
            "${options[@]}" --use-existing --dbname="csm_isolation_$name" \
            --host="$PGHOST" --port="$PGPORT" --user="$PGUSER" "$name" >>"$out/log" 2>&1 || {
            status=$?
            cat "$out/$name"/*.diffs >>"$out/log" 2>/dev/null || true
        }
        dropdb --force "csm_isolation_$name"
    done
    # shellcheck disable=SC2046
    report isolation $(count_regress "$out/log" $status) "$out/log"
}

# These start servers themselves, so they run as the unprivileged user, in a copy of the tree that is his.
run_tap()
{
    local out=$logs/tap tree=$work/tree status=0 list
    mapfile -t list < <(files test/t pl)
    [ ${#list[@]} -gt 0 ] || return 0
    csm_own_folder "$out"
    csm_own_folder "$tree"
    # install scripts of earlier versions, to update from
    cp test/upgrade/csm--*.sql "$work/root$("$PG_CONFIG" --sharedir)/extension/"
    tar -c --exclude=.git . | csm_as_user tar -x -C "$tree"
    csm_as_user env -C "$tree" -u PGHOST -u PGPORT -u PGUSER \
        PERL5LIB="$pgxs_test/perl:$tree/test/lib:$tree/test/t" PG_REGRESS="$pgxs_test/regress/pg_regress" \
        TESTDIR="$out" TESTDATADIR="$out/tmp_check" TESTLOGDIR="$out/tmp_check/log" top_builddir="$out" \
        PERL_TEST_HARNESS_DUMP_TAP="$out/tap" prove -j "$JOBS" "${list[@]}" >"$out/log" 2>&1 || status=$?
    # shellcheck disable=SC2046
    report tap $(perl test/lib/count_tap.pl "$out/tap" $status) "$out/log"
}

# An id that the project claims must be carried by a test. Met claims add nothing: their tests are counted already.
run_claims()
{
    local out=$logs/claims missing
    [ -e test/claims.txt ] && [ -z "$ONLY" ] || return 0
    perl test/lib/claims.pl test/claims.txt >"$out"
    missing=$(wc -l <"$out")
    report claims 0 "$missing" "$out"
}

# Loading csm before the server knows that it was built would keep everybody out.
preload=()
if compgen -G "$CSM_TREE/src/*.c" >/dev/null; then
    case $PRELOAD in
    session) preload=("session_preload_libraries = 'csm'") ;;
    shared) preload=("shared_preload_libraries = 'csm'") ;;
    esac
fi
csm_server_start "$work" "${preload[@]}" 'max_prepared_transactions = 10'
csm_server_env "$work"

for suite in regress pgtap isolation tap claims; do
    started=$SECONDS
    ! wanted $suite || run_$suite
done
completed=yes
