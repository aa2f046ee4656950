# shellcheck shell=bash
# A private PostgreSQL server with csm in it, for tests, demo and bench. To be sourced by bash:
#
#   . test/lib/server.sh
#   csm_server_start DIR [LINE ...]   build csm if needed, start a server that lives in DIR; each LINE goes into its
#                                     configuration, e.g. "session_preload_libraries = 'csm'". A data folder that is
#                                     there already is used again.
#   csm_server_env DIR                set PATH, PGHOST, PGPORT, PGUSER, so that plain psql, createdb … reach it
#   csm_psql DIR [ARG ...]            psql as superuser, no .psqlrc, stops at the first error
#   csm_psql_line DIR USER DATABASE   print the command by which a person connects
#   csm_server_stop DIR               stop it, keep DIR
#   csm_server_remove DIR             stop it, delete DIR
#   csm_as_user COMMAND ...           run as the user that owns the server
#
# DIR holds everything: root/ (PostgreSQL's programs with this csm beside them), data/, sock/, log. It listens on a
# Unix socket inside DIR only, so no other server of the machine is met, and csm is not installed anywhere else:
# two source trees can be tested at the same time.
#
# Settings, all optional: PG_CONFIG; CSM_TREE (source tree to build and stage, default: the one of this file);
# CSM_SERVER_WRAPPER (a program that starts the server in place of postgres); CSM_SERVER_ENV (VAR=value words for
# the server's environment); EXTRA_CFLAGS (for the compiler).

CSM_REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CSM_TREE=${CSM_TREE:-$CSM_REPO}
# As a full path: csm_server_env puts another pg_config into PATH.
PG_CONFIG=$(command -v "${PG_CONFIG:-pg_config}") || {
    echo 'pg_config is not found: run "make deps" or set PG_CONFIG' >&2
    exit 1
}
CSM_PORT=54330 # part of the socket's name, nothing more
PATH=$PATH:/usr/sbin:/sbin
export PG_CONFIG
# Nothing of the caller's own connection settings may lead a test to another server.
unset PGDATABASE PGHOSTADDR PGSERVICE PGSERVICEFILE PGPASSFILE PGOPTIONS PGSSLMODE PGDATA PGCLUSTER PGUSER PGPORT PGHOST

# PostgreSQL refuses to run as root; Debian's packages bring the user postgres.
csm_user()
{
    if [ "$(id -u)" != 0 ]; then
        id -un
    elif id postgres >/dev/null 2>&1; then
        echo postgres
    else
        echo nobody
    fi
}

csm_as_user()
{
    if [ "$(id -u)" = 0 ]; then
        (cd / && HOME=/tmp runuser -u "$(csm_user)" -- "$@")
    else
        "$@"
    fi
}

# Make a folder that the server's user owns.
csm_own_folder() # folder
{
    mkdir -p "$1"
    [ "$(id -u)" != 0 ] || chown "$(csm_user)" "$1"
    chmod 755 "$1"
}

# A folder for one run, with a short path: a socket's path must stay below 107 bytes.
csm_work_folder() # word for its name
{
    local folder
    folder=$(mktemp -d "/tmp/csm-$1.XXXXXX")
    csm_own_folder "$folder"
    echo "$folder"
}

csm_bindir() # dir
{
    echo "$1/root$("$PG_CONFIG" --bindir)"
}

# Lay out PostgreSQL in DIR/root, then install csm there. Programs are copied, because a server finds its libraries
# and extensions by its own place; all else is links.
csm_stage() # dir
{
    local root=$1/root bindir libdir sharedir
    bindir=$("$PG_CONFIG" --bindir)
    libdir=$("$PG_CONFIG" --pkglibdir)
    sharedir=$("$PG_CONFIG" --sharedir)
    rm -rf "$root"
    mkdir -p "$root$bindir" "$root$libdir" "$root$sharedir"
    cp -rs "$libdir/." "$root$libdir"
    cp -rs "$sharedir/." "$root$sharedir"
    cp -L --remove-destination "$bindir"/* "$root$bindir"
    rm -f "$root$libdir"/csm.so "$root$sharedir"/extension/csm.control "$root$sharedir"/extension/csm--*.sql
    # One build at a time in a tree. Quiet unless it fails.
    (cd "$CSM_TREE" && flock Makefile make -s --no-print-directory -j2 PASS=build install DESTDIR="$root" \
        >"$1/build.log" 2>&1) || {
        cat "$1/build.log" >&2
        return 1
    }
}

csm_server_start() # dir, configuration lines
{
    local dir=$1 bindir wrapper=()
    shift
    csm_own_folder "$dir"
    dir=$(cd "$dir" && pwd)
    csm_server_stop "$dir"
    csm_stage "$dir" || return 1
    bindir=$(csm_bindir "$dir")
    csm_own_folder "$dir/sock"
    csm_own_folder "$dir/log"
    if [ ${#dir} -gt 80 ]; then
        echo "the path $dir is too long for a socket" >&2
        return 1
    fi
    if [ ! -e "$dir/data/PG_VERSION" ]; then
        csm_own_folder "$dir/data"
        csm_as_user "$bindir/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
            >"$dir/initdb.log" 2>&1 || {
            cat "$dir/initdb.log" >&2
            return 1
        }
        echo "include 'csm.conf'" >>"$dir/data/postgresql.conf"
    fi
    {
        echo "listen_addresses = ''"
        echo "unix_socket_directories = '$dir/sock'"
        echo "port = $CSM_PORT"
        echo "fsync = off"
        echo "lc_messages = 'C'"
        echo "timezone = 'UTC'"
        printf '%s\n' "$@"
    } >"$dir/data/csm.conf"
    [ -z "${CSM_SERVER_WRAPPER:-}" ] || wrapper=(-p "$CSM_SERVER_WRAPPER")
    # shellcheck disable=SC2086
    csm_as_user env ${CSM_SERVER_ENV:-} "$bindir/pg_ctl" -D "$dir/data" -l "$dir/log/server.log" -w -t 120 -s \
        "${wrapper[@]}" start || {
        tail -20 "$dir/log/server.log" >&2
        return 1
    }
}

csm_server_stop() # dir
{
    if [ -e "$1/data/postmaster.pid" ]; then
        csm_as_user "$("$PG_CONFIG" --bindir)/pg_ctl" -D "$1/data" -m fast -w -t 120 -s stop || true
    fi
}

csm_server_remove() # dir
{
    csm_server_stop "$1"
    rm -rf "$1"
}

csm_server_env() # dir
{
    PATH=$(csm_bindir "$1"):$PATH
    export PATH PGHOST=$1/sock PGPORT=$CSM_PORT PGUSER=postgres
}

csm_psql() # dir, arguments of psql
{
    local dir=$1
    shift
    "$(csm_bindir "$dir")/psql" -X -q -v ON_ERROR_STOP=1 -h "$dir/sock" -p $CSM_PORT -U postgres "$@"
}

csm_psql_line() # dir, user, database
{
    echo "psql -h $1/sock -p $CSM_PORT -U $2 $3"
}
