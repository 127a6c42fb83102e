#!/usr/bin/env bash
# run.sh [ctest options] - installs what the tests need, builds with the address and undefined-behaviour
# sanitizers and runs every test. `tests/run.sh -R store` runs those whose name matches.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake/install.sh build test
cores=$(nproc)
cmake --preset dev
cmake --build --preset dev -j "$cores"
ctest --preset dev -j "$cores" "$@"
