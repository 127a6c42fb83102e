#!/usr/bin/env bash
# streams.sh BNEXP - standard streams that are full or closed: what did not arrive is told and fails,
# and no file of a home ever stands in for a stream.
set -euo pipefail
bnexp=$(realpath "$1")
work=$(mktemp -d /tmp/bnexp-streams-XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work"
export BNEXP_HOME=$work/home
printf 'model.width = 16\nmodel.layers = 1\nmodel.heads = 1\nmodel.context = 8\ntrain.steps = 2\n' >small.toml
for i in $(seq 200); do echo "line $i of a text"; done >text.txt
echo 'data.path = "text.txt"' >>small.toml

fail() {
    echo "BROKEN $*"
    exit 1
}

# lost WHERE CODE COMMAND...: the command ends with CODE and one line that names stdout.
lost() {
    local where=$1 wanted=$2 code=0
    shift 2
    case $where in
    full) "$bnexp" "$@" >/dev/full 2>said || code=$? ;;
    closed) "$bnexp" "$@" >&- 2>said || code=$? ;;
    esac
    [ "$code" -eq "$wanted" ] || fail "$* with stdout $where: exit $code, wanted $wanted"
    grep -q '^bnexp: write to stdout: ' said || fail "$* with stdout $where: $(cat said)"
}

"$bnexp" train small.toml >/dev/null
for where in full closed; do
    for words in --help version 'train --help' 'train small.toml --dry-run --json' 'ls --json' \
        'data info text.txt' 'eval small-1 --json' 'generate small-1 -q -n 4' man 'completion bash'; do
        # shellcheck disable=SC2086
        lost $where 1 $words
    done
    echo "held: output that does not arrive is an error ($where)"
done

# A run trains on without streams, and nothing that is said lands in its files.
"$bnexp" train small.toml <&- >&- 2>&- || true
"$bnexp" train small.toml </dev/null >log 2>&1
[ "$("$bnexp" ls | grep -c finished)" -eq 3 ] || fail "a run without streams did not finish: $("$bnexp" ls)"
"$bnexp" doctor >/dev/null || fail "the home of a run without streams is not well: $("$bnexp" doctor)"
for run in 2 3; do
    grep -v '^{' "home/train/small-$run/events.jsonl" && fail "words in the events of run $run"
done
echo "held: a run without streams"

# How a run failed is told where errors are told, JSON or not; too large to be looked at beforehand.
head -c 2000000 /dev/zero >zeros.bin
for json in '' --json; do
    code=0
    # shellcheck disable=SC2086
    "$bnexp" train small.toml --set data.path=zeros.bin $json >out 2>said || code=$?
    [ "$code" -eq 2 ] || fail "a run on a damaged shard: exit $code"
    [ "$(wc -l <said)" -eq 1 ] && grep -q '^bnexp: small-[0-9]*: failed after .*zeros.bin: no token shard' said ||
        fail "a run that failed $json said: $(cat said)"
done

# A run that diverges says so, with the step, to whoever waits for it and in the home.
code=0
"$bnexp" train small.toml --set quant.variant=fp32 --set optim.lr=10 --set model.layers=4 --set train.steps=60 \
    --set model.activation=relu2 --set model.attn_norm=none --set model.attn_sub_norm=none \
    --set model.ffn_norm=none --set model.ffn_sub_norm=none >out 2>said || code=$?
[ "$code" -eq 1 ] || fail "a run that diverged: exit $code"
grep -q '^bnexp: small-[0-9]*: failed after .*: diverged at step [0-9]*; its folder' said || fail "$(cat said)"
"$bnexp" ls | grep -q 'failed .*diverged at step [0-9]*$' || fail "$("$bnexp" ls)"
echo "held: a failed run is told on stderr"

# `ulimit -f` makes a write fail, and only that.
code=0
(ulimit -f 8; "$bnexp" data synth --out small.txt --bytes 100000 >out 2>said) || code=$?
[ "$code" -eq 1 ] && grep -q '^bnexp: write .*: File too large$' said ||
    fail "a file beyond ulimit -f: exit $code, $(cat said)"
[ ! -e small.txt ] || fail "half a file was left behind"
echo "held: a file beyond ulimit -f"
