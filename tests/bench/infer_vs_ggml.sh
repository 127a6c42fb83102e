#!/bin/sh
# A ternary network of random weights read and written by bnexp and by llama.cpp (TQ2_0), in turn, on this machine:
#   tests/bench/infer_vs_ggml.sh --llama-bench PATH [--bnexp PATH] [--threads N] [--rounds N] [--json]
# PATH is llama-bench of a llama.cpp built here for this processor:
#   cmake -S llama.cpp -B build -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DLLAMA_CURL=OFF
#   cmake --build build --target llama-bench
# Needs python3 alone, and 250 MB in $TMPDIR for the network's file.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "${PYTHON:-python3}" "$here/infer_vs_ggml.py" "$@"
