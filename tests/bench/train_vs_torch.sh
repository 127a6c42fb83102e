#!/bin/sh
# The same model, batch and thread count trained by bnexp and by PyTorch, in turn, on this machine:
#   tests/bench/train_vs_torch.sh [--bnexp PATH] [--threads N] [--rounds N] [--shape d512] [--json]
# Needs python3-torch and libopenblas0-openmp. The environment is the fastest known for it on processors with AVX-512.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-/usr/bin/python3}
if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "train_vs_torch: $python has no torch; install python3-torch or set PYTHON" >&2
    exit 2
fi
# With the plain reference BLAS PyTorch takes twenty times as long: nothing to compare with.
if ! "$python" -c 'import sys, torch; maps = open("/proc/self/maps").read()
sys.exit(not any(name in maps for name in ("openblas", "mkl")))'; then
    echo "train_vs_torch: PyTorch has no fast BLAS here; install libopenblas0-openmp" >&2
    exit 2
fi
if grep -q avx512f /proc/cpuinfo; then
    export OPENBLAS_CORETYPE=SkylakeX ATEN_CPU_CAPABILITY=avx512
fi
for malloc in /usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4 /usr/lib/x86_64-linux-gnu/libtcmalloc.so.4; do
    if [ -e "$malloc" ]; then
        export TORCH_PRELOAD="$malloc"
        break
    fi
done
exec "$python" "$here/train_vs_torch.py" "$@"
