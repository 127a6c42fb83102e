#!/bin/sh
# What each variant costs in validation loss: six variants, four rates, three seeds, on every text
# given. Prints the table of docs/results.md. Run again it goes on where it was stopped.
#
#   tests/bench/learning.sh BNEXP HOME TEXT...     e.g. build/release/bnexp /tmp/learning a.txt b.txt
#   JOBS=4 in the environment: runs at a time, a thread each
set -eu
if [ $# -lt 3 ]; then
    echo "usage: $0 BNEXP HOME TEXT..." >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
bnexp=$1
home=$2
shift 2
mkdir -p "$home"
for text in "$@"; do
    name=learning-$(basename "$text" .txt | tr -c 'a-zA-Z0-9\n' '-')
    sed "s/^name .*/name = \"$name\"/" "$here/learning.toml" >"$home/$name.toml"
    "$bnexp" sweep "$home/$name.toml" --home "$home" --jobs "${JOBS:-4}" \
        --set "data.path=$(realpath "$text")" >&2
done
"$bnexp" ls --home "$home" --json | python3 "$here/learning_table.py"
