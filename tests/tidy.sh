#!/usr/bin/env bash
# tidy.sh [BASE] - clang-tidy over the rooms (folders) that changed since BASE; over all without BASE.
# Needs a configured build/dev (tests/run.sh makes it).
set -euo pipefail
cd "$(dirname "$0")/.."
base=${1:-}
files=$(git ls-files 'engine/*.c' 'store/*.c' 'reporters/*.c' 'runner/*.c' 'tests/*.c' 'examples/*.c' 'engine/corpus/*.cpp' 'runner/*.cpp')
if [ -n "$base" ]; then
    rooms=$(git diff --name-only "$base" -- '*.c' '*.cpp' '*.h' | xargs -r -n1 dirname | sort -u)
    files=$(for file in $files; do grep -qx "$(dirname "$file")" <<<"$rooms" && echo "$file"; done || true)
fi
[ -n "$files" ] || { echo "tidy: nothing changed"; exit 0; }
# A file that CMake does not build here (another ISA, an optional part) has no compile command.
known=$(for file in $files; do grep -q "\"file\": \".*/$file\"" build/dev/compile_commands.json && echo "$file"; done || true)
echo "$known" | xargs -P "$(nproc)" -n 4 clang-tidy -p build/dev --quiet
echo "tidy: $(wc -w <<<"$known") files clean"
