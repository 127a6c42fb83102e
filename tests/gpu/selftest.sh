#!/usr/bin/env bash
# selftest.sh - the logic of run.sh where there is no GPU: programs that only pretend stand in for the
# card's, the build's and bnexp's, and what run.sh then writes is looked at.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d /tmp/bnexp-gpuself-XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work/build/tests" "$work/empty"
fail() { echo "$*" >&2; exit 1; }

# pretend FILE: an executable of what comes on standard input.
pretend() { { echo '#!/bin/sh'; cat; } >"$1"; chmod +x "$1"; }
pretend "$work/bin/nvcc" <<<'echo "Cuda compilation tools, release 13.0, V13.0.88"'
pretend "$work/bin/compute-sanitizer" <<<'[ "$2" = memcheck ] && exec "$5"; echo "========= ERROR: a race"; exit 99'
pretend "$work/build/tests/test_cuda_ops" <<<'[ -e "$BNEXP_CUDA_PLUGIN" ]'
pretend "$work/build/tests/test_cuda_emu" <<<'exit 1'
touch "$work/build/libbnexp_cuda.so"
pretend "$work/build/bnexp" <<'SH'
case "$*" in
*bench*--kernels*) echo '{"kernels":[
    {"format":"bf16","ins":768,"outs":768,"forward_gflops":400,"forward_share":0.4,"backward_gflops":500,"backward_share":0.5},
    {"format":"bf16","ins":768,"outs":2304,"forward_gflops":600,"forward_share":0.6,"backward_gflops":500,"backward_share":0.5},
    {"format":"bf16","ins":2304,"outs":768,"forward_gflops":600,"forward_share":0.6,"backward_gflops":500,"backward_share":0.5}]}' ;;
*bench*) echo '{"steps":[{"variant":"ternary","tokens_per_s":300},{"variant":"ternary_int8bwd","tokens_per_s":500},
                {"variant":"bf16","tokens_per_s":200}]}' ;;
*train.device=cpu*) echo '{"state":"finished","latest":{"train/loss":2.00,"tokens_per_s":5}}' ;;
*bitnet70m*) echo '{"state":"finished","latest":{"train/loss":9,"tokens_per_s":190,"mfu":0.5,"energy_j":7}}' ;;
*) echo '{"state":"finished","latest":{"train/loss":2.01,"tokens_per_s":50}}' ;;
esac
SH
# ask EXPRESSION: of the results, as Python's r.
ask() { python3 -c "import json, sys; r = json.load(open('$work/out.json')); sys.exit(not ($1))" || fail "not so: $1"; }
# run PATH STAGE...
run() {
    local path=$1
    shift
    env PATH="$path:/usr/bin:/bin" BN_GPU_BUILD="$work/build" BN_GPU_WORK="$work/state" BN_GPU_RESULTS="$work/out.json" \
        PYTHONPATH="$work/python" "${bounds[@]}" bash "$here/run.sh" "$@" >"$work/log" 2>&1
}
bounds=()

code=0
run "$work/empty" || code=$?
if ! command -v nvidia-smi >/dev/null; then
    [ $code = 77 ] || fail "without a GPU run.sh exits $code"
    [ "$(wc -l <"$work/log")" = 1 ] || fail "without a GPU run.sh says more than a line"
fi
pretend "$work/bin/nvidia-smi" <<<'exit 9'
code=0
run "$work/bin" || code=$?
[ $code = 77 ] || fail "with a driver that finds nothing run.sh exits $code"
[ ! -e "$work/out.json" ] || fail "without a GPU there are results"
code=0
run "$work/bin" speeed || code=$?
[ $code = 1 ] && grep -q "no stage 'speeed'; they are: build parity" "$work/log" || fail "a stage that is none passes"

pretend "$work/bin/nvidia-smi" <<<'echo "NVIDIA H100 80GB HBM3, 580.65.06, 81559, 700.00, 1980"'
mkdir "$work/python"
echo 'raise ImportError("no torch here")' >"$work/python/torch.py"
code=0
run "$work/bin" || code=$?
[ $code = 1 ] || { cat "$work/log"; fail "with a race run.sh exits $code"; }
ask 'r["schema_version"] == 1 and r["cards"][0]["name"] == "NVIDIA H100 80GB HBM3"'
ask 'r["cards"][0]["memory_mib"] == 81559 and r["nvcc"] == "13.0" and r["size"]["context"] == 1024'
ask 'r["checks"]["parity"] == [{"name": "test_cuda_ops", "outcome": "pass", "why": ""}]'
ask 'r["checks"]["memcheck"][0]["outcome"] == "pass" and r["checks"]["racecheck"][0]["outcome"] == "fail"'
ask '"a race" in r["checks"]["racecheck"][0]["why"]'
ask '[c["outcome"] for c in r["checks"]["learning"]] == ["pass"] * 6'
ask 'r["checks"]["peer"][0]["outcome"] == "skip" and r["checks"]["ranks"][0]["outcome"] == "skip"'
ask 'r["runs"]["bf16"]["mfu"] == 0.5 and r["runs"]["bf16"]["mem/device_bytes"] is None'
ask '{c["name"]: c["met"] for c in r["claims"]} == {"ternary_vs_bf16": True, "ternary_int8bwd_vs_bf16": True,
     "bf16_vs_torch_compiled_bf16": None, "ternary_vs_torch_compiled_fakequant": None,
     "bf16_products_mfu": True}'
ask 'abs(next(c["measured"] for c in r["claims"] if c["name"] == "bf16_products_mfu") - 0.5065) < 1e-4'
ask '"torch_bf16" in next(c["why"] for c in r["claims"] if c["name"] == "bf16_vs_torch_compiled_bf16")'

# All is well with two cards; and a run that does not learn as the processors' does is told.
pretend "$work/bin/compute-sanitizer" <<<'exec "$5"'
pretend "$work/bin/nvidia-smi" <<<'for i in 0 1; do echo "NVIDIA H100 80GB HBM3, 580.65.06, 81559, [N/A], 1980"; done'
run "$work/bin" || { cat "$work/log"; fail "when all is well run.sh fails"; }
ask 'r["cards"][1]["power_limit_w"] is None and r["checks"]["ranks"][-1]["outcome"] == "pass"'
CUDA_VISIBLE_DEVICES=1 run "$work/bin" ranks || { cat "$work/log"; fail "ranks with one visible card fails"; }
ask 'r["checks"]["ranks"] == [{"name": "two", "outcome": "skip", "why": "one card"}]'

# What is no fault of ours: hazards in cuBLAS's kernels, a machine on which PyTorch cannot compile.
pretend "$work/bin/compute-sanitizer" <<'SH'
echo "========= Error: Race reported between Write access at sm80_xmma_gemm_f32f32_tn() and Read access"; exit 99
SH
mkdir -p "$work/python/torch/nn"
echo 'class cuda: is_available = staticmethod(lambda: True)' >"$work/python/torch/__init__.py"
touch "$work/python/torch/nn/__init__.py"
echo 'raise RuntimeError("Failed to find C compiler")' >"$work/python/torch/nn/functional.py"
run "$work/bin" racecheck peer || { cat "$work/log"; fail "the fault of others fails"; }
ask 'r["checks"]["racecheck"][0]["outcome"] == "skip" and r["checks"]["peer"][0]["outcome"] == "skip"'
ask '"C compiler" in r["checks"]["peer"][0]["why"]'
rm -r "$work/python/torch"

# A library that is missing is told once, before the tests.
pretend "$work/bin/ldd" <<<'printf "\tlibcublasLt.so.13 => not found\n"'
code=0
run "$work/bin" parity || code=$?
[ $code = 2 ] && grep -q 'cannot run here: .*libcublasLt.so.13 => not found' "$work/log" || { cat "$work/log"; fail "without cuBLASLt run.sh exits $code"; }
rm "$work/bin/ldd"

sed -i 's/"train.loss":2.00/"train\/loss":2.50/' "$work/build/bnexp"
if run "$work/bin"; then fail "a loss that is 20 % off passes"; fi
ask '"apart" in r["checks"]["learning"][2]["why"] and r["checks"]["learning"][2]["outcome"] == "fail"'

# A stage alone keeps what the others found; one that hangs ends, and its results are there.
run "$work/bin" parity || { cat "$work/log"; fail "parity alone fails"; }
ask 'len(r["checks"]["learning"]) == 6 and r["tokens_per_s"]["bf16"] == 200'
pretend "$work/build/tests/test_cuda_ops" <<<'exec sleep 100'
bounds=(BN_GPU_STAGE_S=1)
if run "$work/bin" parity memcheck; then fail "a test that hangs passes"; fi
ask 'r["checks"]["parity"][0]["why"] == "did not end in time" and r["checks"]["memcheck"][0]["outcome"] == "skip"'
ask 'r["tokens_per_s"]["bf16"] == 200'
echo ok
