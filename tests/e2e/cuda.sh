#!/usr/bin/env bash
# cuda.sh BNEXP CUDA_TWIN FAKE_NVML - runs on device cuda, with the plug-in's host twin: one that
# finishes, one whose card is known and watched, one whose card has too little memory, and what is said
# where CUDA cannot be used.
set -euo pipefail
bnexp=$(realpath "$1")
twin=$(realpath "$2")
nvml=$(realpath "$3")
work=$(mktemp -d /tmp/bnexp-cuda-XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset BNEXP_CUDA_PLUGIN CUDA_VISIBLE_DEVICES

# train DEVICE NAME=VALUE...: a run of three steps in the environment given; its exit code in $code.
train() {
    local knobs=(model.width=16 model.layers=1 model.heads=2 model.ffn=32 model.context=16
                 train.batch=2 train.steps=3 train.eval_every=3 train.eval_tokens=32
                 "train.device=$1")
    code=0
    env "${@:2}" "$bnexp" train tiny "${knobs[@]/#/--set=}" >out 2>&1 || code=$?
}

# holds WORDS FILE...: one of the files' lines does.
holds() {
    grep -qE -- "$1" "${@:2}" || { echo "'$1' is not in ${*:2}:" >&2; tail -n 3 "${@:2}" out >&2; exit 1; }
}

train cuda "BNEXP_CUDA_PLUGIN=$twin"
[ "$code" = 0 ]
holds '"device":"cuda: host emulation' runs/train/tiny-1/events.jsonl
holds '"how":"finished"' runs/train/tiny-1/events.jsonl

# A card whose maker tells its peak, between that of bf16 and that of int8 for a ternary step; the fake
# driver's card uses 1 GB and a joule more each time that it is asked.
train cuda "BNEXP_CUDA_PLUGIN=$twin" CUDA_EMU_NAME="Fake H100 80GB HBM3" "BNEXP_NVML=$nvml"
[ "$code" = 0 ]
python3 - runs/train/tiny-2/events.jsonl <<'END'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
begin, last = lines[0], [line for line in lines if line["type"] == "record"][-1]["values"]
assert 9e14 < begin["machine/peak_flops"] < 2e15, begin
assert 0 < last["mfu"] < 1e-3 and last["tokens_per_s"] > 0 and last["step_ms"] > 0, last
assert last["mem/device_bytes"] == 1e9 and last["energy_j"] >= 1, last
assert last["gpu/power_w"] == 350 and last["gpu/sm_clock_mhz"] == 1755, last
END

# The workspace of the products fits, the network does not.
train cuda "BNEXP_CUDA_PLUGIN=$twin" CUDA_EMU_MEMORY_MB=64
[ "$code" = 1 ]
holds 'oom: .* no memory for [0-9]+ bytes: .* are missing' out
"$bnexp" ls --json >runs.json
holds '"state": ?"failed","reason": ?"oom: ' runs.json

train cuda "BNEXP_CUDA_PLUGIN=$work/none.so"
[ "$code" = 2 ]
holds "'train.device' cuda cannot be used: .*none.so" out

train auto "BNEXP_CUDA_PLUGIN=$work/none.so"
[ "$code" = 0 ]
holds '"device":"cpu: .*; no cuda: .*none.so' runs/train/tiny-5/events.jsonl

train cuda:x
[ "$code" = 2 ]
holds "must be auto, cpu, cuda, cuda:N or reference, is 'cuda:x'" out
