#!/usr/bin/env bash
# Stop the server that `make demo` left running. Its folder, with data and log, stays until the next demo.
set -eu
. "$(dirname "$0")/server.sh"

dir=${CSM_DEMO_DIR:-/tmp/csm-demo-$(id -u)}
if [ -e "$dir/data/postmaster.pid" ]; then
    csm_server_stop "$dir"
    echo "stopped the server in $dir"
else
    echo "no demo server runs in $dir"
fi
