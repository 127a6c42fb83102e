#!/usr/bin/env bash
# doctor.sh BNEXP FAKE_NVML [CUDA_TWIN] - what `bnexp doctor` says of cards: with no driver, with a
# driver whose library is a fake, and with the CUDA plug-in's host twin.
set -euo pipefail
bnexp=$(realpath "$1")
fake=$(realpath "$2")
twin=${3:-}
work=$(mktemp -d /tmp/bnexp-doctor-XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset CUDA_VISIBLE_DEVICES BNEXP_CUDA_PLUGIN

# says WORDS NAME=VALUE...: a line of doctor holds WORDS, and JSON is JSON.
says() {
    env "${@:2}" "$bnexp" doctor --home "$work/home" >lines
    env "${@:2}" "$bnexp" doctor --home "$work/home" --json >json
    grep -qE -- "$1" lines || { echo "doctor with ${*:2} does not say '$1' but:" >&2; cat lines >&2; exit 1; }
    python3 -c 'import json, sys; json.load(open("json"))["cuda"]["cards"]'
}
none=(BNEXP_NVML=$work/none.so BNEXP_CUDA_PLUGIN=$work/none.so)
says '^ok +cuda +not usable: ' "${none[@]}"
without=(BNEXP_NVML="$fake" BNEXP_CUDA_PLUGIN="$work/none.so")
says '^look +cuda +not usable: .*none.so.*; driver 580.65.06 \(CUDA 13.0\)' "${without[@]}"
says '^look +card 1 +Fake H100 80GB HBM3, sm_90, 78.0 of 80.0 GB free' "${without[@]}"
says 'card 1 .*GPU is lost' FAKE_NVML=lost "${without[@]}"
says 'card 0 .*compute capability 7.0, bnexp needs 8.0' FAKE_NVML=old-card "${without[@]}"
says '^look +cuda +not usable' FAKE_NVML=broken "${without[@]}"
if "$bnexp" doctor --home "$work/lines" >said; then
    echo "a file is no home, and doctor exits with 0" >&2
    exit 1
fi
grep -qE '^wrong +home .* is not a folder' said
[ -n "$twin" ] || exit 0
says '^ok +cuda +usable: 1 card; driver 580' BNEXP_NVML="$fake" BNEXP_CUDA_PLUGIN="$(realpath "$twin")"
says '^ok +card 0 +host emulation, sm_80' BNEXP_NVML="$fake" BNEXP_CUDA_PLUGIN="$(realpath "$twin")"
