#!/usr/bin/env bash
# Run tests on a csm that was built or started to be watched: instrumented.sh asan|valgrind|coverage
#
# The sources are copied and built apart, so that the ordinary build stays as it is. SUITE and ONLY choose tests as in
# check.sh; servers that TAP tests start themselves are watched for coverage only. Fails when a test fails or when a
# finding touches csm.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/server.sh"

tool=$1
work=$(csm_work_folder "$tool")
tree=$work/tree
reports=$work/reports
CSM_TREE=$tree
export CSM_TREE EXTRA_CFLAGS CSM_SERVER_ENV CSM_SERVER_WRAPPER
EXTRA_CFLAGS=''
CSM_SERVER_ENV=''
CSM_SERVER_WRAPPER=''

csm_own_folder "$reports"
csm_own_folder "$tree"
tar -C "$CSM_REPO" -c Makefile csm.control sql src | csm_as_user tar -x -C "$tree"
find "$tree" -name '*.o' -delete

# Reports that have csm in a stack; the rest is the server's affair.
findings_of_valgrind()
{
    cat "$reports"/* 2>/dev/null | awk '
        /=== finding begins/ { block = ""; inside = 1 }
        inside { block = block $0 "\n" }
        /=== finding ends/ { if (block ~ /csm\.so|\(csm_[a-z_]*\.c:/) printf "%s", block; inside = 0 }'
}

print_coverage()
{
    local object
    for object in "$tree"/src/*.gcda; do
        [ -e "$object" ] || continue
        (cd "$tree" && gcov -n -s "$tree" -r "$object") 2>/dev/null
    done | awk -F"'" '
        /^File / { file = $2 }
        /^Lines executed:/ && file ~ /^src\// {
            split($0, part, /[:%]| of /)
            # part[2] is the share, part[4] or the last one the number of lines
            lines = part[length(part)]
            printf "%-32s %6.2f %% of %d lines\n", file, part[2], lines
            all += lines; reached += lines * part[2] / 100
            file = ""
        }
        END { if (all) printf "%-32s %6.2f %% of %d lines\n", "together", 100 * reached / all, all }'
}

case $tool in
asan)
    SUITE=${SUITE:-regress pgtap isolation}
    EXTRA_CFLAGS='-O1 -fsanitize=address,undefined -fno-omit-frame-pointer -Wno-error'
    # With libasan before it, glibc 2.36 leaves the lock of its message catalogues broken and a server built with
    # translations waits for it for ever. Messages are English here anyway.
    gcc -shared -fPIC -fno-builtin -o "$work/untranslated.so" "$here/untranslated.c"
    CSM_SERVER_ENV="LD_PRELOAD=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so):$work/untranslated.so
        ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0 UBSAN_OPTIONS=print_stacktrace=1"
    ;;
valgrind)
    # A server under valgrind is some thirty times slower.
    SUITE=${SUITE:-regress pgtap}
    CSM_SERVER_WRAPPER=$work/postgres
    cp "$here/valgrind.supp" "$work" # where the server's user may read it
    cat >"$CSM_SERVER_WRAPPER" <<END
#!/bin/sh
# stands in for postgres; the server finds its files by the path of its program, which lies beside its data folder
server=\$(echo "\$*" | sed 's,.*-D \([^ ]*\)/data.*,\1,')
exec valgrind --quiet --leak-check=no --trace-children=yes --num-callers=30 \\
    --suppressions="$work/valgrind.supp" --log-file="$reports/%p" \\
    --error-markers='=== finding begins,=== finding ends' \\
    "\$server/root$("$PG_CONFIG" --bindir)/postgres" "\$@"
END
    chmod 755 "$CSM_SERVER_WRAPPER"
    ;;
coverage)
    SUITE=${SUITE:-regress pgtap isolation tap}
    EXTRA_CFLAGS='-Og --coverage -fprofile-update=atomic -Wno-error'
    ;;
*)
    echo "usage: $0 asan|valgrind|coverage" >&2
    exit 2
    ;;
esac

status=0
JOBS=1 SUITE=$SUITE ONLY=${ONLY:-} PRELOAD=${PRELOAD:-session} "$here/check.sh" || status=1

case $tool in
coverage)
    print_coverage
    ;;
valgrind)
    findings_of_valgrind >"$work/findings"
    if [ -s "$work/findings" ]; then
        head -n 100 "$work/findings"
        echo "valgrind: findings in csm, all reports in $work"
        exit 1
    fi
    ;;
esac
rm -rf "$work"
[ $status -ne 0 ] || echo "$tool: done, nothing found"
exit $status
