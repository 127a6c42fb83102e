#!/usr/bin/env bash
# run.sh [RESULTS] - everything that only a GPU can prove, on the first card that this process may
# use: builds, the parity suite on the device, the same under compute-sanitizer's memcheck and
# racecheck, the learning test, speed beside PyTorch on the same card where PyTorch is, and two ranks
# where there are two cards. Writes RESULTS (docs/gpu-results.json; docs/gpu.md tells what is in it).
#
# Needs nvcc, Debian's packages of cmake/packages.txt (build, test) and this repository.
# exit: 0 all that could be run passed, 1 something failed (RESULTS says what), 77 there is no GPU.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
results=${1:-$root/docs/gpu-results.json}
build=${BN_GPU_BUILD:-$root/build/gpu}
# The size that is measured and how often: smaller for a look whether the script itself works.
preset=${BN_GPU_PRESET:-bitnet70m}
batch=${BN_GPU_BATCH:-32}
context=${BN_GPU_CONTEXT:-1024}
rounds=${BN_GPU_ROUNDS:-30}
PATH=$PATH:/usr/local/cuda/bin

without() { echo "tests/gpu/run.sh: $*"; exit 77; }
command -v nvidia-smi >/dev/null || without "no NVIDIA GPU here: there is no nvidia-smi"
card=$(nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit,clocks.max.sm \
    --format=csv,noheader,nounits 2>/dev/null) || without "no NVIDIA GPU here: nvidia-smi finds none"
[ -n "$card" ] || without "no NVIDIA GPU here: nvidia-smi finds none"
command -v nvcc >/dev/null || { echo "tests/gpu/run.sh: nvcc is needed to build" >&2; exit 1; }

work=$(mktemp -d /tmp/bnexp-gpu-XXXXXX)
trap 'rm -rf "$work"' EXIT
failures=0
say() { printf '\n== %s (at %s s)\n' "$*" "$SECONDS"; }
# outcome TABLE NAME pass|fail|skip [WHY]: one row of a table of the results.
outcome() {
    printf '%s\t%s\t%s\n' "$2" "$3" "${4:-}" >>"$work/$1.tsv"
    echo "$3 $1 $2 ${4:-}"
    [ "$3" != fail ] || failures=$((failures + 1))
}

facts() {
    echo "$card" >"$work/cards.csv"
    nvcc --version | sed -n 's/.*release \([0-9.]*\).*/\1/p' >"$work/nvcc.txt"
    git -C "$root" rev-parse HEAD >"$work/commit.txt" 2>/dev/null || true
    [ -z "$(git -C "$root" status --porcelain 2>/dev/null)" ] || echo dirty >>"$work/commit.txt"
    uname -srm >"$work/host.txt"
    date -u +%Y-%m-%dT%H:%M:%SZ >"$work/when.txt"
}

build_all() {
    say "build"
    [ -z "${BN_GPU_BUILD:-}" ] || return 0
    "$root/cmake/install.sh" build test
    cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBN_CUDA=ON
    cmake --build "$build" -j "$(nproc)"
    [ -e "$build/libbnexp_cuda.so" ] || { echo "no libbnexp_cuda.so was built" >&2; exit 1; }
}

# The tests of the CUDA path; ctest runs them on the host twin, here they get the plug-in itself.
device_tests() {
    for test in "$build"/tests/test_cuda_*; do
        [ -x "$test" ] && [ "${test##*/}" != test_cuda_emu ] && echo "$test"
    done
}
export BNEXP_CUDA_PLUGIN=$build/libbnexp_cuda.so
# Tests fill and read operands in place, so they get memory that both sides reach.
on_device() { BNEXP_CUDA_MANAGED=1 "$@"; }

parity() {
    say "parity on the device"
    [ -n "$(device_tests)" ] || outcome parity suite fail "no test was built"
    for test in $(device_tests); do
        if on_device "$test" >"$work/log" 2>&1; then
            outcome parity "${test##*/}" pass
        else
            tail -n 20 "$work/log"
            outcome parity "${test##*/}" fail "$(grep -m 1 -E 'ERROR|error' "$work/log" || echo "see the log")"
        fi
    done
}

sanitize() { # TOOL
    say "compute-sanitizer $1"
    if ! command -v compute-sanitizer >/dev/null; then
        outcome "$1" suite skip "compute-sanitizer is not installed"
        return
    fi
    for test in $(device_tests); do
        if on_device compute-sanitizer --tool "$1" --error-exitcode 99 "$test" >"$work/log" 2>&1; then
            outcome "$1" "${test##*/}" pass
        else
            tail -n 20 "$work/log"
            outcome "$1" "${test##*/}" fail "$(grep -m 1 '=========' "$work/log" || echo "see the log")"
        fi
    done
}

# train TABLE NAME PRESET ARGUMENT...: a run on the built-in corpus; what became of it in NAME.json.
train() {
    local table=$1 name=$2
    shift 2
    if "$build/bnexp" train "$@" --set data.path=synth --set data.tokenizer=bytes \
            --set train.eval_every=0 --set train.log_every=10 --home "$work/$name" --json \
            >"$work/$name.json" 2>"$work/log"; then
        outcome "$table" "$name" pass
    else
        tail -n 3 "$work/log"
        rm -f "$work/$name.json"
        outcome "$table" "$name" fail "$(tail -n 1 "$work/log")"
    fi
}
# alike TABLE NAME RUN OTHER TOLERANCE: two of these runs ended at the same loss.
alike() {
    local why
    if why=$(python3 "$here/results.py" alike "$work/$3.json" "$work/$4.json" "$5"); then
        outcome "$1" "$2" pass "$why"
    else
        outcome "$1" "$2" fail "$why"
    fi
}

# The same runs on the device and on the processors: both learn, to the same loss.
learning() {
    say "learning"
    for variant in ternary bf16; do
        for device in cuda cpu; do
            train learning "${variant}_$device" tiny --set quant.variant=$variant \
                --set train.device=$device --set train.steps=300
        done
        alike learning "$variant" "${variant}_cuda" "${variant}_cpu" 0.02
    done
}

speed() {
    say "speed"
    # One micro-batch a step, as PyTorch's: else the optimizer would cost us a quarter of its time.
    for part in steps kernels; do
        if "$build/bnexp" bench --json --$part --device cuda --preset "$preset" --set train.accum=1 \
                --set train.batch="$batch" --set model.context="$context" --rounds "$rounds" \
                --variants ternary,ternary_int8bwd,bf16 >"$work/$part.json" 2>"$work/log"; then
            outcome speed "bench_$part" pass
        else
            rm -f "$work/$part.json"
            outcome speed "bench_$part" fail "$(tail -n 1 "$work/log")"
        fi
    done
    # A whole run as users start it: speed, mfu, memory and energy as its records say.
    for variant in ternary bf16; do
        train speed "run_$variant" "$preset" --set quant.variant=$variant --set train.device=cuda \
            --set train.accum=1 --set train.batch="$batch" --set model.context="$context" \
            --set train.steps=60
    done
}

peer() {
    say "PyTorch on the same card"
    if ! python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
        outcome peer torch skip "there is no PyTorch that sees the card"
        return
    fi
    if python3 "$here/torch_gpu.py" --preset "$preset" --batch "$batch" --context "$context" \
            --rounds "$rounds" >"$work/torch.json" 2>"$work/log"; then
        outcome peer torch pass
    else
        rm -f "$work/torch.json"
        outcome peer torch fail "$(tail -n 1 "$work/log")"
    fi
}

ranks() {
    say "two ranks"
    if [ "$(wc -l <"$work/cards.csv")" -lt 2 ]; then
        outcome ranks two skip "one card"
        return
    fi
    for count in 1 2; do
        train ranks "gpus_$count" tiny --gpus $count --set train.steps=100
    done
    alike ranks two gpus_2 gpus_1 0.01
}

facts
build_all
parity
sanitize memcheck
sanitize racecheck
learning
speed
peer
ranks
python3 "$here/results.py" write "$work" "$results" --preset "$preset" --batch "$batch" --context "$context" \
    --rounds "$rounds"
say "wrote $results; $failures failed"
[ "$failures" = 0 ]
