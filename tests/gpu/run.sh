#!/usr/bin/env bash
# run.sh [STAGE...] - everything that only a GPU can prove, on the first card that this process may use.
# Stages, in this order when none is named:
#   build        the program, the plug-in and the tests of the CUDA path
#   parity       those tests on the device
#   memcheck, racecheck  the tests of single ops again, under compute-sanitizer
#   learning     short runs on the card and on the processors end at the same loss
#   speed        bnexp bench, and 60 steps of bnexp train
#   peer         the same network in PyTorch, where PyTorch sees the card
#   ranks        two cards beside one, where there are two
#   pack FOLDER  (by itself; needs no GPU) builds, and puts into FOLDER all that the other stages need on
#                a machine without compilers and libraries: there, BN_GPU_BUILD=FOLDER
# A stage takes at most BN_GPU_STAGE_S seconds (540), so each fits a lease of ten minutes. After each one
# the results so far are written to BN_GPU_RESULTS (docs/gpu-results.json; docs/gpu.md tells what is in
# it); what they are made of is kept in BN_GPU_WORK (build/gpu-work) for the stages of a later call.
#
# build needs nvcc, and Debian's packages of cmake/packages.txt (build, gpu); the others python3.
# exit: 0 all that could be run passed, 1 something failed (the results say what), 2 cannot be built here,
# 77 there is no GPU.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
results=${BN_GPU_RESULTS:-$root/docs/gpu-results.json}
build=${BN_GPU_BUILD:-$root/build/gpu}
work=${BN_GPU_WORK:-$root/build/gpu-work}
stage_s=${BN_GPU_STAGE_S:-540}
# The size that is measured and how often: smaller for a look whether the script itself works.
preset=${BN_GPU_PRESET:-bitnet70m}
batch=${BN_GPU_BATCH:-32}
context=${BN_GPU_CONTEXT:-1024}
rounds=${BN_GPU_ROUNDS:-30}
PATH=$PATH:/usr/local/cuda/bin
all_stages=(build parity memcheck racecheck learning speed peer ranks)

stop() { echo "tests/gpu/run.sh: $2" >&2; exit "$1"; }
say() { printf '\n== %s (at %s s)\n' "$*" "$SECONDS"; }

# bounded SECONDS COMMAND...: 124 when it did not end in time, or the stage has none left.
bounded() {
    local most=$1 left=$((stage_end - SECONDS))
    shift
    [ "$left" -ge "$most" ] || most=$left
    [ "$most" -gt 0 ] || return 124
    timeout -k 5 "$most" "$@"
}

# outcome NAME pass|fail|skip [WHY]: one row of the stage's table of the results.
outcome() {
    printf '%s\t%s\t%s\n' "$1" "$2" "$(printf '%s' "${3:-}" | tr '\t\n' '  ')" >>"$work/$stage.tsv"
    echo "$2 $stage $1 ${3:-}"
}
# failed NAME CODE LOG: the row of a command that did not succeed.
failed() {
    tail -n 20 "$3"
    case $2 in
    124 | 137) outcome "$1" fail "did not end in time" ;;
    *) outcome "$1" fail "$(grep -m 1 -E 'ERROR|[Ee]rror|=====' "$3" || tail -n 1 "$3")" ;;
    esac
}

build() {
    [ ! -e "$build/libbnexp_cuda.so" ] || [ -z "${BN_GPU_BUILD:-}" ] || return 0
    for tool in nvcc cmake; do
        command -v $tool >/dev/null || stop 2 "$tool is needed to build; or build with 'run.sh pack' elsewhere"
    done
    bounded 300 "$root/cmake/install.sh" build gpu ||
        stop 2 "the packages above are needed to build; or build with 'run.sh pack' elsewhere"
    cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBN_CUDA=ON -DBN_MPI=OFF >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log"; stop 2 "cmake fails"; }
    # No more than what is run: the rest of the tests has no business here.
    local tests=()
    for source in "$root"/tests/test_cuda_*.c; do
        source=${source##*/}
        tests+=("${source%.c}")
    done
    # A compiler of kernels takes a gigabyte or two.
    local jobs
    jobs=$(nproc)
    bounded "$stage_s" cmake --build "$build" -j $((jobs < 16 ? jobs : 16)) --target bnexp bnexp_cuda "${tests[@]}" ||
        stop 2 "the build fails"
    [ -e "$build/libbnexp_cuda.so" ] || stop 2 "no libbnexp_cuda.so was built"
}

# pack FOLDER: CUDA's libraries and the C and C++ ones are the other machine's own.
pack() {
    mkdir -p "$1/tests" "$1/lib"
    cp "$build/bnexp" "$build/libbnexp_cuda.so" "$1"
    cp $(device_tests) "$1/tests"
    ldd "$build/bnexp" $(device_tests) | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
        grep -vE '/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s|cublas.*|cuda.*|nccl.*)\.so[^/]*)$' |
        xargs -r cp -L -t "$1/lib"
    cp "$work/commit.txt" "$work/nvcc.txt" "$1"
    echo "$1: $(du -sm "$1" | cut -f 1) MB; there: BN_GPU_BUILD=$1 tests/gpu/run.sh"
}

# The tests of the CUDA path; ctest runs them on the host twin, here they get the plug-in itself.
device_tests() {
    for test in "$build"/tests/test_cuda_*; do
        [ -x "$test" ] && [ "${test##*/}" != test_cuda_emu ] && echo "$test"
    done
}
# Where the plug-in finds CUDA's libraries: those that were packed, the toolkit's, and those that pip lays
# beside PyTorch.
places() {
    local place
    printf '%s' "${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$build/lib"
    for place in /usr/local/cuda*/lib64 /usr/local/cuda*/targets/*/lib \
        $(python3 -c 'import site; print(*site.getsitepackages(), site.getusersitepackages())' 2>/dev/null |
            tr ' ' '\n' | sed 's|$|/nvidia/*/lib|'); do
        [ ! -d "$place" ] || printf ':%s' "$place"
    done
}
# What a stage that runs something needs of this machine.
ready() {
    local missing
    libraries=$(places)
    [ -e "$build/libbnexp_cuda.so" ] || stop 2 "there is no $build/libbnexp_cuda.so; the stage 'build' makes it"
    missing=$(LD_LIBRARY_PATH=$libraries ldd "$build/bnexp" "$build/libbnexp_cuda.so" 2>&1 |
        grep -E 'not found' | sort -u | head -n 3 | tr -s '\t\n' ' ' || true)
    [ -z "$missing" ] || stop 2 "cannot run here: $missing(LD_LIBRARY_PATH may name their folder)"
}
# ours SECONDS COMMAND...: with those libraries.
ours() {
    local most=$1
    shift
    bounded "$most" env LD_LIBRARY_PATH="$libraries" BNEXP_CUDA_PLUGIN="$build/libbnexp_cuda.so" "$@"
}

# What is measured: the commit of this tree, or of the one that was packed. The results are none of it.
version() {
    local git=(git -c safe.directory='*' -C "$root")
    { nvcc --version 2>/dev/null || true; } | sed -n 's/.*release \([0-9.]*\).*/\1/p' >"$work/nvcc.txt"
    if ! "${git[@]}" rev-parse HEAD >"$work/commit.txt" 2>/dev/null; then
        : >"$work/commit.txt"
    elif [ -n "$("${git[@]}" status --porcelain -- . ':!docs/gpu-results.json' 2>/dev/null)" ]; then
        echo dirty >>"$work/commit.txt"
    fi
}
facts() {
    echo "$card" >"$work/cards.csv"
    version
    for file in commit.txt nvcc.txt; do
        [ ! -e "$build/$file" ] || cp "$build/$file" "$work/$file"
    done
    uname -srm >"$work/host.txt"
    date -u +%Y-%m-%dT%H:%M:%SZ >"$work/when.txt"
}

# Tests fill and read operands in place, so they get memory that both sides reach.
parity() {
    [ -n "$(device_tests)" ] || outcome suite fail "no test was built"
    for test in $(device_tests); do
        local code=0
        ours 240 env BNEXP_CUDA_MANAGED=1 "$test" >"$work/log" 2>&1 || code=$?
        if [ $code = 0 ]; then outcome "${test##*/}" pass; else failed "${test##*/}" $code "$work/log"; fi
    done
}

# only_library LOG: all that was found lies in kernels of cuBLAS, which are not ours to judge.
only_library() {
    local found
    found=$(grep -E '^=+ +(Error|Warning): .*(Race|hazard)' "$1") || return 1
    ! grep -vqE 'cutlass|cublas|(ampere|sm80|sm90|hopper)_|[sS]plit[kK]|nvjet|gemm_|gemv|xmma' <<<"$found"
}

# A sanitizer that is slow or absent proves nothing, which is no fault of what it looks at.
sanitize() { # TOOL
    if ! command -v compute-sanitizer >/dev/null; then
        outcome suite skip "compute-sanitizer is not installed"
        return
    fi
    for test in "$build"/tests/test_cuda_{attention,halves,ops}; do
        [ -x "$test" ] || continue
        local code=0
        ours 260 env BNEXP_CUDA_MANAGED=1 compute-sanitizer --tool "$1" --error-exitcode 99 "$test" \
            >"$work/log" 2>&1 || code=$?
        case $code in
        0) outcome "${test##*/}" pass ;;
        124 | 137) outcome "${test##*/}" skip "did not end in time" ;;
        99) if only_library "$work/log"; then
            outcome "${test##*/}" skip "hazards in cuBLAS's own kernels alone"
        else
            failed "${test##*/}" $code "$work/log"
        fi ;;
        *) failed "${test##*/}" $code "$work/log" ;;
        esac
    done
}
memcheck() { sanitize memcheck; }
racecheck() { sanitize racecheck; }

# train NAME PRESET ARGUMENT...: a run on the built-in corpus; what became of it in NAME.json.
train() {
    local name=$1 code=0
    shift
    rm -rf "$work/${name:?}"
    ours 120 "$build/bnexp" train "$@" --set data.path=synth --set data.tokenizer=bytes \
        --set train.eval_every=0 --set train.log_every=10 --home "$work/$name" --json \
        >"$work/$name.json" 2>"$work/log" || code=$?
    if [ $code = 0 ]; then
        outcome "$name" pass
    else
        rm -f "$work/$name.json"
        failed "$name" $code "$work/log"
    fi
}
# alike NAME RUN OTHER TOLERANCE: two of these runs ended at the same loss.
alike() {
    local why
    if why=$(python3 "$here/results.py" alike "$work/$2.json" "$work/$3.json" "$4"); then
        outcome "$1" pass "$why"
    else
        outcome "$1" fail "$why"
    fi
}

# The same runs on the device and on the processors: both learn, to the same loss.
learning() {
    for variant in ternary bf16; do
        for device in cuda cpu; do
            train "${variant}_$device" tiny --set quant.variant=$variant \
                --set train.device=$device --set train.steps=300
        done
        alike "$variant" "${variant}_cuda" "${variant}_cpu" 0.02
    done
}

speed() {
    # One micro-batch a step, as PyTorch's: else the optimizer would cost us a quarter of its time.
    for part in steps kernels; do
        local code=0
        ours 180 "$build/bnexp" bench --json --$part --device cuda --preset "$preset" --set train.accum=1 \
            --set train.batch="$batch" --set model.context="$context" --rounds "$rounds" \
            --variants ternary,ternary_int8bwd,bf16 >"$work/$part.json" 2>"$work/log" || code=$?
        if [ $code = 0 ]; then
            outcome "bench_$part" pass
        else
            rm -f "$work/$part.json"
            failed "bench_$part" $code "$work/log"
        fi
    done
    # A whole run as users start it: speed, mfu, memory and energy as its records say.
    for variant in ternary bf16; do
        train "run_$variant" "$preset" --set quant.variant=$variant --set train.device=cuda \
            --set train.accum=1 --set train.batch="$batch" --set model.context="$context" \
            --set train.steps=60
    done
}

peer() {
    if ! bounded 120 python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
        outcome torch skip "there is no PyTorch that sees the card"
        return
    fi
    local code=0
    bounded "$stage_s" python3 "$here/torch_gpu.py" --preset "$preset" --batch "$batch" --context "$context" \
        --rounds "$rounds" >"$work/torch.json" 2>"$work/log" || code=$?
    if [ $code = 0 ]; then
        outcome torch pass
    elif grep -qE 'Python\.h|C compiler|C\+\+ compiler' "$work/log"; then
        outcome torch skip "torch.compile needs a C compiler and Python's headers"
    else
        rm -f "$work/torch.json"
        failed torch $code "$work/log"
    fi
}

ranks() {
    local cards
    cards=$(wc -l <"$work/cards.csv")
    [ -z "${CUDA_VISIBLE_DEVICES+set}" ] || cards=$(tr ',' '\n' <<<"$CUDA_VISIBLE_DEVICES" | grep -c . || true)
    if [ "$cards" -lt 2 ]; then
        outcome two skip "one card"
        return
    fi
    for count in 1 2; do
        train "gpus_$count" tiny --gpus $count --set train.steps=100
    done
    alike two gpus_2 gpus_1 0.01
}

write_results() {
    [ -e "$work/cards.csv" ] || return 0
    python3 "$here/results.py" write "$work" "$results" --preset "$preset" --batch "$batch" \
        --context "$context" --rounds "$rounds"
}

stage_end=$((SECONDS + stage_s))
mkdir -p "$work"
if [ "${1:-}" = pack ]; then
    [ $# = 2 ] || stop 1 "pack FOLDER"
    build
    version
    pack "$2"
    exit 0
fi
for stage in "$@"; do
    case " ${all_stages[*]} " in *" $stage "*) ;; *) stop 1 "no stage '$stage'; they are: ${all_stages[*]}" ;; esac
done
command -v nvidia-smi >/dev/null || stop 77 "no NVIDIA GPU here: there is no nvidia-smi"
card=$(timeout 60 nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit,clocks.max.sm \
    --format=csv,noheader,nounits 2>/dev/null) || stop 77 "no NVIDIA GPU here: nvidia-smi finds none"
[ -n "$card" ] || stop 77 "no NVIDIA GPU here: nvidia-smi finds none"
command -v python3 >/dev/null || stop 2 "python3 is needed to write the results"

facts
[ $# -gt 0 ] || set -- "${all_stages[@]}"
trap 'write_results' EXIT
trap 'exit 1' INT TERM
failures=0
for stage in "$@"; do
    say "$stage"
    stage_end=$((SECONDS + stage_s))
    rm -f "$work/$stage.tsv"
    case $stage in build | peer) ;; *) ready ;; esac
    "$stage"
    [ ! -e "$work/$stage.tsv" ] || failures=$((failures + $(cut -f 2 "$work/$stage.tsv" | grep -c fail || true)))
    write_results
done
say "wrote $results; $failures failed"
[ "$failures" = 0 ]
