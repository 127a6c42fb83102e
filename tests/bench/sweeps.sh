#!/usr/bin/env bash
# sweeps.sh [--json] [--runs N] [--shorts N] [BNEXP] - how much running runs costs: no-op processes a second
# with durable start and end rows, beside xargs, which records nothing, GNU parallel with a job log and
# Optuna with SQLite where they are installed; many one-second runs on 16 slots against the ideal; and
# how long the commands take that are called most. Prints a table; figures are this machine's, now.
#   --runs N     no-op runs (4000)
#   --shorts N   one-second runs (640: 40 s; 10000 take 10 minutes)
set -euo pipefail
json='' runs=4000 shorts=640 bnexp=build/release/bnexp
while [ $# -gt 0 ]; do
    case $1 in
    --json) json=yes ;;
    --runs) runs=$2 && shift ;;
    --shorts) shorts=$2 && shift ;;
    -*) echo "usage: sweeps.sh [--json] [--runs N] [--shorts N] [BNEXP]" >&2 && exit 2 ;;
    *) bnexp=$1 ;;
    esac
    shift
done
[ -f "$bnexp" ] && [ -x "$bnexp" ] || { echo "sweeps.sh: $bnexp: expected the program, as build/release/bnexp" >&2 && exit 2; }
bnexp=$(realpath "$bnexp")
work=$(mktemp -d "${TMPDIR:-/tmp}/bnexp-bench-XXXXXX")
trap 'rm -rf "$work" "${memory:-}"' EXIT
cd "$work"
cores=$(nproc)
peers=200 # trials of Optuna, which would take minutes for as many as ours

seconds() { # of a command, which must succeed: else what it said, and no figure
    local start end
    start=$(date +%s.%N)
    "$@" >"$work/said" 2>&1 || { echo "sweeps.sh: '$*' failed: $(tail -n 3 "$work/said")" >&2 && return 1; }
    end=$(date +%s.%N)
    echo "$start $end" | awk '{printf "%.3f", $2 - $1}'
}
shortest() { # of 20 times a command, in ms: what it takes when nothing is in the way
    local i start took best=999999999
    for ((i = 0; i < 20; i++)); do
        start=$(date +%s%N)
        "$@" >/dev/null || return 1
        took=$(($(date +%s%N) - start))
        ((took < best)) && best=$took
    done
    awk -v ns=$best 'BEGIN {printf "%.1f", ns / 1e6}'
}
rate() { awk -v n="$1" -v s="$2" 'BEGIN {printf "%.0f", n / s}'; }
spec() { # NAME COMMAND RUNS
    printf 'name = "%s"\nmethod = "random"\nseed = 1\nrun_cap = %d\ncommand = [%s]\n' "$1" "$3" "$2"
    printf '[parameters]\nx = { min = 0.0, max = 1.0 }\n'
}
rows=0
row() { # WHAT FIGURE UNIT AT_LEAST; a figure of - was not measured
    rows=$((rows + 1))
    if [ -z "$json" ]; then
        printf '%-58s %10s %-6s %s\n' "$1" "$2" "$3" "$4"
    else
        local figure=$2
        [ "$2" = - ] && figure=null
        [ $rows -gt 1 ] && printf ',\n'
        printf ' {"what":"%s","figure":%s,"unit":"%s","target":"%s"}' "$1" "$figure" "$3" "$4"
    fi
}

spec noop '"true"' "$runs" >noop.toml
spec short '"sleep", "1"' "$shorts" >short.toml
with_xargs() { seq "$runs" | xargs -P "$cores" -n 1 true; }
with_parallel() { seq "$runs" | parallel -j "$cores" --joblog log true; }
with_optuna() {
    /usr/bin/python3 - "$peers" <<'PY'
import subprocess, sys
import optuna
study = optuna.create_study(storage="sqlite:///optuna.db", sampler=optuna.samplers.RandomSampler(seed=1))
def trial(t):
    t.suggest_float("x", 0, 1)
    subprocess.run(["true"], check=True)
    return 0
study.optimize(trial, n_trials=int(sys.argv[1]))
PY
}

load=$(cut -d' ' -f1 /proc/loadavg)
system=$(uname -sr)
if [ -n "$json" ]; then
    printf '{"schema_version":1,"cores":%d,"load_before":%s,"system":"%s","rows":[\n' "$cores" "$load" "$system"
else
    echo "load average before: $load on $cores cores, $system"
fi
s=$(seconds "$bnexp" sweep noop.toml --home noop --jobs "$cores")
row "no-op runs, $cores at a time, durable rows" "$(rate "$runs" "$s")" runs/s ">= 1000"
s=$(seconds "$bnexp" sweep noop.toml --home wide --jobs $((4 * cores)))
row "the same, $((4 * cores)) at a time" "$(rate "$runs" "$s")" runs/s ""
if [ -d /dev/shm ] && [ -w /dev/shm ]; then
    memory=$(mktemp -d /dev/shm/bnexp-bench-XXXXXX)
    s=$(seconds "$bnexp" sweep noop.toml --home "$memory" --jobs "$cores")
    row "the same, $cores at a time, home in memory" "$(rate "$runs" "$s")" runs/s ""
fi
s=$(seconds with_xargs)
row "xargs -P $cores, recording nothing" "$(rate "$runs" "$s")" runs/s ""
if command -v parallel >/dev/null; then
    s=$(seconds with_parallel)
    row "GNU parallel -j $cores --joblog" "$(rate "$runs" "$s")" runs/s ""
else
    row "GNU parallel -j $cores --joblog (not installed)" - runs/s ""
fi
if /usr/bin/python3 -c 'import optuna' 2>/dev/null; then
    s=$(seconds with_optuna)
    row "Optuna, one at a time, SQLite, its start included" "$(rate $peers "$s")" runs/s ""
else
    row "Optuna, one at a time, SQLite (not installed)" - runs/s ""
fi
s=$(seconds "$bnexp" sweep short.toml --home short --jobs 16)
over=$(awk -v n="$shorts" -v s="$s" 'BEGIN {printf "%.2f", 100 * (s / int((n + 15) / 16) - 1)}')
row "$shorts one-second runs on 16 slots, over the ideal" "$over" % "<= 1"
s=$(seconds "$bnexp" sweep noop.toml --home noop --jobs "$cores")
row "the finished sweep of $runs runs again" "$(awk -v s="$s" 'BEGIN {print 1000 * s}')" ms ""
s=$(shortest "$bnexp" --version)
row "bnexp --version, shortest of 20" "$s" ms "<= 5"
s=$(shortest "$bnexp" ls --home noop)
row "bnexp ls of $runs runs, shortest of 20" "$s" ms "<= 50"
s=$(shortest "$bnexp" ls --json --home noop)
row "bnexp ls --json of $runs runs, shortest of 20" "$s" ms ""
[ -z "$json" ] || printf '\n]}\n'
