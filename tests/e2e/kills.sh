#!/usr/bin/env bash
# kills.sh BNEXP KILLS - trains a sweep with the real engine while managers and runs are killed at
# random moments (SIGKILL), until KILLS of them are dead. Every sweep must end with the same losses,
# bit for bit and each once, as one that nothing happened to.
set -euo pipefail
bnexp=$(realpath "$1")
kills=$2
work=$(mktemp -d /tmp/bnexp-kills-XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work"
RANDOM=20

cat >sweep.toml <<'TOML'
name = "kills"
method = "grid"
metric = { name = "val/loss", goal = "minimize" }
[parameters]
"quant.variant" = { values = ["ternary", "fp32"] }
"optim.lr" = { values = [1e-3, 4e-3] }
[config]
"data.path" = "text.txt"
"model.width" = 16
"model.layers" = 1
"model.heads" = 1
"model.context" = 16
"train.steps" = 240
"train.batch" = 2
"train.log_every" = 2
"train.eval_every" = 30
"train.eval_tokens" = 256
"train.checkpoint_every" = 8
[resources]
retries = 1000
threads = 1
TOML
for i in $(seq 2000); do echo "line $i of $((i * 7919 % 1009)) and $((i * i % 613)) more"; done >text.txt

# What a sweep has measured, of what does not depend on the clock.
losses() {
    "$bnexp" export --home "$1" --format csv | grep -E ',(train/loss|val/loss|grad_norm),' |
        cut -d, -f2-4,6- | sort
}
# The identity of a run that lives, if there is one: its shepherd's pid.
living() {
    grep -h 'ended=0' "$1"/kills/*/process 2>/dev/null | sed -n 's/^pid=\([1-9][0-9]*\) .*/\1/p' |
        shuf -n 1 --random-source=<(yes)
}

"$bnexp" sweep sweep.toml --home calm --jobs 2 >calm.log
losses calm >calm.csv
[ -s calm.csv ] || { echo "the calm sweep measured nothing"; exit 1; }

dead=0
round=0
while [ "$dead" -lt "$kills" ]; do
    round=$((round + 1))
    home=storm$round
    finished=no
    for _ in $(seq 400); do
        "$bnexp" sweep sweep.toml --home "$home" --jobs 2 >>"$home.log" 2>&1 &
        manager=$!
        what=$((RANDOM % 4)) # 0: nothing more is killed
        [ "$dead" -ge $((kills + 12)) ] && what=0
        if [ "$what" -gt 0 ]; then
            sleep "0.$(printf %03d $((20 + RANDOM % 400)))"
            run=$(living "$home" || true)
            if [ "$what" -ne 1 ] && [ -n "$run" ]; then
                if kill -KILL -- "-$run" 2>/dev/null; then dead=$((dead + 1)); fi
            fi
            if [ "$what" -ne 2 ]; then
                if kill -KILL "$manager" 2>/dev/null; then dead=$((dead + 1)); fi
            fi
        fi
        code=0
        wait "$manager" 2>/dev/null || code=$?
        if [ "$code" -eq 0 ]; then
            finished=yes
            break
        fi
        if [ "$code" -ne 137 ]; then
            echo "a manager ended with $code:"
            tail -5 "$home.log"
            exit 1
        fi
    done
    [ "$finished" = yes ] || { echo "the sweep never ended"; exit 1; }
    losses "$home" >"$home.csv"
    if ! cmp -s calm.csv "$home.csv"; then
        echo "round $round differs from the calm sweep:"
        diff calm.csv "$home.csv" | head -20
        "$bnexp" ls --home "$home"
        exit 1
    fi
    if "$bnexp" ls --home "$home" | grep -q running; then
        echo "round $round left a run that says running"
        exit 1
    fi
done
echo "$dead kills in $round sweeps: every loss as in the calm one"
