#!/usr/bin/env bash
# quickstart.sh [options of bnexp sweep] - from a fresh Debian 12 to the answer: installs what is missing, builds, trains the
# ternary and the FP16 twins of sweeps/lr.toml, writes the dashboard and prints the comparison.
# Run again, it continues where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
started=$SECONDS
cmake/install.sh build

cmake --preset release -DBUILD_TESTING=OFF
cmake --build --preset release -j "$(nproc)" --target bnexp
bnexp=build/release/bnexp

"$bnexp" sweep sweeps/lr.toml "$@" # ends with the table, ternary against FP16
"$bnexp" dashboard --out runs/dashboard >/dev/null
echo "Dashboard: file://$PWD/runs/dashboard/index.html"
echo "Took $((SECONDS - started)) s. Next: $bnexp help, sweeps/*.toml, README.md"
