#!/usr/bin/env bash
# seed70m.sh - the published 70M training as one command, for who has the network and a GPU: fetches
# 100,000 stories, tokenizes them, trains the ternary model and its FP16 twin (sweeps/seed70m.toml).
#   TOKENIZER=llama2.model examples/seed70m.sh   with Llama 2's tokenizer, as published
#   examples/seed70m.sh                          trains a tokenizer of 32,000 pieces on the text
# Every step goes on where it was stopped. Further arguments go to bnexp sweep.
set -euo pipefail
cd "$(dirname "$0")/.."
bnexp=${BNEXP:-build/release/bnexp}
[ -x "$bnexp" ] || { echo "seed70m: $bnexp is not there; examples/quickstart.sh builds it" >&2; exit 2; }

"$bnexp" data fetch HuggingFaceTB/cosmopedia --config stories --rows "${ROWS:-100000}" --out cosmopedia/rows
tokenizer=${TOKENIZER:-cosmopedia/tokenizer.model}
if [ -z "${TOKENIZER:-}" ] && [ ! -e "$tokenizer" ]; then
    "$bnexp" data tokenizer --vocab 32000 --out "$tokenizer" cosmopedia/rows
fi
if [ ! -e cosmopedia/shards ]; then
    "$bnexp" data prepare cosmopedia/rows --tokenizer "$tokenizer" --out cosmopedia/shards
fi
"$bnexp" sweep sweeps/seed70m.toml --set data.path="$PWD/cosmopedia/shards" "$@"
