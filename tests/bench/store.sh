#!/usr/bin/env bash
# What the store and the reading commands cost on this machine; figures for docs/performance.md.
#   tests/bench/store.sh [BUILD]    BUILD: a Release build folder (build/release)
set -euo pipefail
build=${1:-build/release}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

"$build/tests/store_bench" "$place/append"

# The shortest of 20: what the work itself takes when nothing else is in the way.
shortest() {
    local best=999999999 start took i
    for ((i = 0; i < 20; i++)); do
        start=$(date +%s%N)
        "$@" >/dev/null
        took=$(($(date +%s%N) - start))
        ((took < best)) && best=$took
    done
    printf '%s.%s ms' $((best / 1000000)) $((best / 100000 % 10))
}

"$build/tests/make_home" "$place/small" small 1 13 20 20
"$build/tests/make_home" "$place/large" large 4 312 5 30
echo "bnexp --version: $(shortest "$build/bnexp" --version)"
echo "bnexp ls, 104 runs: $(shortest "$build/bnexp" ls --home "$place/small")"
echo "bnexp ls, 9984 runs: $(shortest "$build/bnexp" ls --home "$place/large")"
echo "bnexp ls --json, 104 runs: $(shortest "$build/bnexp" ls --json --home "$place/small")"
echo "bnexp compare, 104 runs: $(shortest "$build/bnexp" compare --home "$place/small")"
