#!/usr/bin/env bash
# wandb.sh SCRIPT.mjs: runs one of the wandb tests against the fake server of tests/support.
# Expects BNEXP and LIVE_HOME; exit 77 says that something it needs is not there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v node >/dev/null; then
    echo "SKIP: node is not installed"
    exit 77
fi
# npm's graphql and wandb's public schema make the server check every operation; without them it
# knows operations by their names.
export WANDB_SCHEMA=${WANDB_SCHEMA:-$here/../../../shared/wandb}
modules=${WANDB_MODULES:?where npm packages are kept}
mkdir -p "$modules"
# Tests start side by side: one installs, the others wait. npm writes its own list last.
exec 9>"$modules/lock"
flock 9
if [ ! -f "$modules/node_modules/.package-lock.json" ]; then
    cp "$here/../support/package.json" "$here/../support/package-lock.json" "$modules/"
    (cd "$modules" && timeout 60 npm ci --silent --no-audit --no-fund >/dev/null 2>&1) || {
        rm -rf "$modules/node_modules"
        echo "note: npm is not reachable, operations are not validated against the schema"
    }
fi
exec 9>&-
if [ -d "$modules/node_modules/graphql" ] && [ -f "$WANDB_SCHEMA/schema.graphql" ]; then
    export GRAPHQL_FOLDER=$modules/node_modules
else
    echo "note: no wandb schema here, operations are known by name only"
fi
exec node "$here/$1" "${@:2}"
