#!/usr/bin/env bash
# sweeps.sh [BNEXP] - how much running runs costs: no-op processes a second with durable start and end
# rows, beside xargs, which records nothing, and GNU parallel with a job log where it is installed;
# and many short runs on 16 slots against the ideal. Prints a table; figures are this machine's, now.
set -euo pipefail
bnexp=$(realpath "${1:-build/release/bnexp}")
work=$(mktemp -d "${TMPDIR:-/tmp}/bnexp-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
cores=$(nproc)
runs=4000
shorts=640

seconds() { # of a command, its output thrown away
    local start end
    start=$(date +%s.%N)
    "$@" >/dev/null 2>&1
    end=$(date +%s.%N)
    echo "$start $end" | awk '{printf "%.3f", $2 - $1}'
}
rate() { awk -v n="$1" -v s="$2" 'BEGIN {printf "%.0f", n / s}'; }
spec() { # NAME COMMAND RUNS
    printf 'name = "%s"\nmethod = "random"\nseed = 1\nrun_cap = %d\ncommand = [%s]\n' "$1" "$3" "$2"
    printf '[parameters]\nx = { min = 0.0, max = 1.0 }\n'
}

spec noop '"true"' $runs >noop.toml
spec short '"sleep", "1"' $shorts >short.toml
with_xargs() { seq $runs | xargs -P "$cores" -n 1 true; }
with_parallel() { seq $runs | parallel -j "$cores" --joblog log true; }

echo "load average before: $(cut -d' ' -f1 /proc/loadavg) on $cores cores, $(uname -sr)"
printf '%-58s %12s\n' "no-op process runs, $cores at a time" "runs/s"
s=$(seconds "$bnexp" sweep noop.toml --home noop --jobs "$cores")
printf '%-58s %12s\n' "bnexp sweep, durable rows" "$(rate $runs "$s")"
if [ -d /dev/shm ] && [ -w /dev/shm ]; then
    memory=$(mktemp -d /dev/shm/bnexp-bench-XXXXXX)
    s=$(seconds "$bnexp" sweep noop.toml --home "$memory" --jobs "$cores")
    rm -rf "$memory"
    printf '%-58s %12s\n' "bnexp sweep, home in memory" "$(rate $runs "$s")"
fi
s=$(seconds with_xargs)
printf '%-58s %12s\n' "xargs -P $cores, recording nothing" "$(rate $runs "$s")"
if command -v parallel >/dev/null; then
    s=$(seconds with_parallel)
    printf '%-58s %12s\n' "GNU parallel -j $cores --joblog" "$(rate $runs "$s")"
else
    printf '%-58s %12s\n' "GNU parallel -j $cores --joblog" "not installed"
fi
s=$(seconds "$bnexp" sweep short.toml --home short --jobs 16)
awk -v n=$shorts -v s="$s" 'BEGIN {
    ideal = n / 16
    printf "%-58s %12s\n", n " one-second runs on 16 slots, over the ideal",
        sprintf("%.1f %%", 100 * (s / ideal - 1))
}'
s=$(seconds "$bnexp" sweep noop.toml --home noop --jobs "$cores")
printf '%-58s %12s\n' "the finished sweep of $runs runs again" "$s s"
