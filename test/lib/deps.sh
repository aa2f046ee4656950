#!/usr/bin/env bash
# Install the Debian packages that csm needs and that are missing: deps.sh [valgrind|format]
#
# Nothing is asked of apt where all is there. Not root, or not Debian: the missing packages are listed, exit status 1.
# The server's version is the one of PG_CONFIG, or the distribution's own.
set -eu -o pipefail

PG_CONFIG=${PG_CONFIG:-pg_config}
purpose=${1:-}
missing=()

need_command() # command, package
{
    command -v "$1" >/dev/null || PATH=$PATH:/sbin:/usr/sbin command -v "$1" >/dev/null || missing+=("$2")
}

need_file() # file, package
{
    [ -e "$1" ] || missing+=("$2")
}

# Major version: from the path of PG_CONFIG (also when nothing is there yet), from the program, from the distribution.
server_version()
{
    local version
    case $PG_CONFIG in
    /usr/lib/postgresql/*/bin/pg_config)
        version=${PG_CONFIG#/usr/lib/postgresql/}
        echo "${version%%/*}"
        return
        ;;
    esac
    if command -v "$PG_CONFIG" >/dev/null; then
        "$PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/'
        return
    fi
    command -v apt-cache >/dev/null || return 0
    { apt-cache show postgresql 2>/dev/null || true; } |
        awk -F'[ +]' '/^Version: / && !version { version = $2 } END { print version }'
}

# Folders of the server: asked from pg_config where it works, else where Debian puts them.
server_folder() # pg_config option, Debian's folder
{
    local folder=
    if command -v "$PG_CONFIG" >/dev/null; then
        folder=$("$PG_CONFIG" "$1" 2>/dev/null) || folder=
    fi
    echo "${folder:-$2}"
}

find_missing()
{
    local version=$1 bindir sharedir pgxs extension
    missing=()
    bindir=$(server_folder --bindir "/usr/lib/postgresql/$version/bin")
    sharedir=$(server_folder --sharedir "/usr/share/postgresql/$version")
    pgxs=$(server_folder --pgxs "/usr/lib/postgresql/$version/lib/pgxs/src/makefiles/pgxs.mk")

    need_command gcc gcc
    need_command make make
    need_command prove perl
    need_command pg_prove libtap-parser-sourcehandler-pgtap-perl
    need_command runuser util-linux
    need_command pgbouncer pgbouncer
    need_command node nodejs
    need_command npm npm
    perl -MIPC::Run -e 1 2>/dev/null || missing+=(libipc-run-perl)
    need_file /usr/include/string.h libc6-dev
    need_command pkg-config pkg-config
    need_file /usr/include/cjose/cjose.h libcjose-dev
    need_file /usr/include/jansson.h libjansson-dev
    need_file /usr/include/unicode/ucol.h libicu-dev
    need_file /usr/include/sodium.h libsodium-dev
    need_file /usr/include/openssl/evp.h libssl-dev
    need_command jose jose
    need_file "$bindir/initdb" "postgresql-$version"
    need_file "$bindir/psql" "postgresql-client-$version"
    need_file "$pgxs" "postgresql-server-dev-$version"
    for extension in ltree pg_trgm btree_gist unaccent pg_stat_statements; do
        need_file "$sharedir/extension/$extension.control" "postgresql-$version"
    done
    need_file "$sharedir/extension/pgtap.control" "postgresql-$version-pgtap"
    need_file "$sharedir/extension/plpgsql_check.control" "postgresql-$version-plpgsql-check"

    case $purpose in
    valgrind) need_command valgrind valgrind ;;
    format) need_command clang-format clang-format ;;
    esac
    [ ${#missing[@]} -eq 0 ] || mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
}

# Packages that bring a server start it, or create a cluster: neither is wanted, the tests have a server of their own.
no_services()
{
    createcluster=/etc/postgresql-common/createcluster.d/csm-no-main-cluster.conf
    policy=/usr/sbin/policy-rc.d
    trap services_again EXIT
    case " ${missing[*]} " in
    *" postgresql-"[0-9]*)
        mkdir -p "${createcluster%/*}"
        echo 'create_main_cluster = false' >"$createcluster"
        ;;
    esac
    [ ! -e $policy ] || mv $policy $policy.csm-saved
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
}

services_again()
{
    rm -f "$createcluster" $policy
    rmdir "${createcluster%/*}" 2>/dev/null || true
    [ ! -e $policy.csm-saved ] || mv $policy.csm-saved $policy
}

refuse()
{
    echo "$1; missing packages (names as in Debian):" >&2
    printf '  %s\n' "${missing[@]}" >&2
    exit 1
}

version=$(server_version)
find_missing "${version:-NN}"
[ ${#missing[@]} -gt 0 ] || exit 0
if [ ! -e /etc/debian_version ] || ! command -v apt-get >/dev/null; then
    refuse 'This is not Debian'
fi
[ "$(id -u)" = 0 ] || refuse 'Only root may install packages'

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
if [ -z "$version" ]; then
    # a bare machine had no package lists until now
    version=$(server_version)
    find_missing "$version"
fi
echo "installing: ${missing[*]}"
no_services
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
case " ${missing[*]} " in
*" pgbouncer "*) update-rc.d pgbouncer disable >/dev/null 2>&1 || true ;;
esac

installed=${missing[*]}
find_missing "$version"
[ ${#missing[@]} -eq 0 ] || refuse "Installed ($installed), but something is still not found"
