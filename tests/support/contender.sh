#!/bin/sh
# A run for early termination to judge: reports the same loss at steps 1, 2 and 3, at times of its own so
# that who came first is no matter of luck. Runs up to 5 are good and end. Run 8 goes on until it is told to
# stop, run 9 until run 8 was told.
# usage: contender.sh NUMBER
x=$1
told=$BNEXP_RUN_DIR/../told
trap 'echo >"$told"; exit 75' TERM
loss=$((x > 5 ? x : 1))
came=$((x == 8 ? 1010 : 1000 + x))
for step in 1 2 3; do
    echo "{\"step\":$step,\"wall_s\":$came,\"values\":{\"loss\":$loss}}" >>"$BNEXP_EVENTS"
done
[ "$x" -le 5 ] && exit 0
while [ "$x" = 8 ] || [ ! -e "$told" ]; do sleep 0.01; done
