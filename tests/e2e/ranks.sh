#!/usr/bin/env bash
# ranks.sh BNEXP - one run by one process, by `--ranks 2`, and where Open MPI is by mpirun with 2 and
# 4 ranks: the losses agree; sockets and MPI agree to the last bit; a rank that is killed or stopped
# takes the others with it.
set -euo pipefail
bnexp=$(realpath "$1")
plugin=$(dirname "$bnexp")/libbnexp_mpi.so
work=$(mktemp -d /tmp/bnexp-ranks-XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work"
# Open MPI keeps what it allocated until the process ends.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 OMPI_MCA_btl_vader_single_copy_mechanism=none
# Its own locks and its shared memory, which the thread sanitizer cannot see through, are not ours to judge.
printf '%s\n' deadlock:mca_ deadlock:libopen- mutex:libopen- mutex:mca_ race:mca_ race:libopen- race:libmpi called_from_lib:libmpi.so \
    >mpi.supp
export TSAN_OPTIONS=${TSAN_OPTIONS:-}:suppressions=$work/mpi.supp
export BNEXP_HOME=$work/home

fail() { echo "$*" >&2; exit 1; }
for i in $(seq 1500); do echo "line $i of $((i * 7919 % 1009)) and $((i * i % 613)) more"; done >text.txt
knobs=(tiny)
for knob in data.path=text.txt model.width=32 model.heads=2 model.layers=2 model.context=16 \
            train.batch=8 train.accum=2 train.log_every=1 train.eval_every=5 train.eval_tokens=512 \
            train.checkpoint_every=10; do
    knobs+=(--set "$knob")
done
steps() { echo --set train.steps="$1"; }
mpi() { timeout 120 mpirun --allow-run-as-root --oversubscribe --bind-to none "$@"; }
events() { echo "home/train/tiny-$1/events.jsonl"; }

# Every loss of run $1, one a line.
losses() { grep -o '"\(train\|val\)/loss":[^,}]*' "$(events "$1")"; }
alike() { # RUN RUN TOLERANCE
    paste <(losses "$1") <(losses "$2") | awk -F'[:\t]' -v most="$3" '
        $1 != $3 { exit 1 }
        { d = $2 - $4; if (d < 0) d = -d; if (d > worst) worst = d; rows++ }
        END { if (!rows || worst > most) { print "worst difference", worst, "in", rows; exit 1 } }' ||
        fail "runs $1 and $2 say different losses"
}

"$bnexp" train "${knobs[@]}" $(steps 20) >one.log
"$bnexp" train --ranks 2 "${knobs[@]}" $(steps 20) >two.log
alike 1 2 2e-3
grep -q '"ranks":2' "$(events 2)" || fail "the begin line does not tell of two ranks"
if "$bnexp" train --ranks 3 "${knobs[@]}" $(steps 20) >bad.log 2>&1; then fail "8 rows by 3 ranks"; fi
grep -q "'train.batch'.*9 would do" bad.log || fail "$(cat bad.log)"
if "$bnexp" train --gpus 2 "${knobs[@]}" $(steps 20) >bad.log 2>&1; then
    nvidia-smi >/dev/null 2>&1 || fail "--gpus 2 without GPUs"
else
    grep -q -- "--gpus 2: this machine has" bad.log || fail "$(cat bad.log)"
fi
command -v mpirun >/dev/null && [ -e "$plugin" ] || { echo "without MPI: ok"; exit 0; }

# A number that was refused has its run all the same: the next is the fourth.
next=$(($(ls home/train | wc -l) + 1))
mpi -n 2 "$bnexp" train "${knobs[@]}" $(steps 20) >mpi.log
alike 2 "$next" 0
mpi -n 4 "$bnexp" train "${knobs[@]}" $(steps 20) >mpi.log
alike 1 $((next + 1)) 2e-3
BNEXP_MPI_PLUGIN=$work/none.so mpi -n 2 "$bnexp" train "${knobs[@]}" $(steps 20) >mpi.log
alike 2 $((next + 2)) 0
grep -q "over sockets instead" "home/train/tiny-$((next + 2))/stderr.log" || fail "nobody was told"

# The process of rank $1 that trains: its own, or for rank 0 the child that its command watches.
pid_of() {
    for env in /proc/[0-9]*/environ; do
        pid=${env//[^0-9]/}
        tr '\0' '\n' <"$env" | grep -qx "OMPI_COMM_WORLD_RANK=$1" || continue
        tr '\0' '\n' <"$env" | grep -qx "BNEXP_HOME=$BNEXP_HOME" || continue
        [ "$(readlink "/proc/$pid/exe")" = "$bnexp" ] && echo "$pid"
    done 2>/dev/null | sort -n | tail -n 1
}
begun() { # RUN: has said records
    for _ in $(seq 600); do
        [ "$(grep -c '"record"' "$(events "$1")" 2>/dev/null || true)" -ge 3 ] 2>/dev/null && return
        sleep 0.1
    done
    fail "run $1 says nothing"
}

said() { # PATTERN FILE: rank 0's process is not mpirun's child and may outlive it for some seconds
    for _ in $(seq 600); do
        grep -q "$1" "$2" 2>/dev/null && return
        sleep 0.1
    done
    return 1
}

# A second after a rank has died mpirun kills the others: too soon for their words on a busy machine.
run=$((next + 3))
mpi --mca odls_base_sigkill_timeout 10 -n 3 "$bnexp" train "${knobs[@]}" $(steps 1000000) \
    --set train.batch=6 >killed.log 2>&1 &
waiting=$!
begun $run
kill -9 "$(pid_of 2)"
if wait $waiting; then fail "a run that lost a rank ended well"; fi
said "rank 2 (.*) is gone" "home/train/tiny-$run/stderr.log" || fail "rank 0 does not say why"
said "bnexp: rank 1: rank 2 (.*) is gone" killed.log || fail "rank 1 does not say why"

run=$((run + 1))
mpi -n 2 "$bnexp" train "${knobs[@]}" $(steps 600) >stopped.log 2>&1 &
waiting=$!
begun $run
kill -TERM "$(pid_of 1)"
if wait $waiting; then fail "a stopped run says that it finished"; fi
tail -n 1 "$(events $run)" | grep -q '"how":"stopped"' || fail "rank 0 did not stop with rank 1"
"$bnexp" train "home/train/tiny-$run" || fail "one rank cannot go on with what two began"
tail -n 1 "$(events $run)" | grep -q '"how":"finished"' || fail "it did not finish"
echo ok
