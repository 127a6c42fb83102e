#!/bin/sh
# A run of six records that goes on where its events end: what an external program should be.
# usage: trainer.sh PARAMETER [PAUSE]
n=0
[ -f "$BNEXP_EVENTS" ] && n=$(grep -c '^{.*}$' "$BNEXP_EVENTS")
while [ "$n" -lt 6 ]; do
    printf '{"seq":%d,"step":%d,"values":{"val/loss":%s.%d}}\n' "$n" "$n" "$1" $((6 - n)) >>"$BNEXP_EVENTS"
    n=$((n + 1))
    [ -n "$2" ] && sleep "$2"
done
exit 0
