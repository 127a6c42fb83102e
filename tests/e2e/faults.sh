#!/usr/bin/env bash
# faults.sh BNEXP TRAINER [CALLS...] - sweeps under faults: a full disk, failing writes and syncs, a second
# manager, a program that floods, one that is garbage. What needs rights or tools that are missing
# is skipped and says so. CALLS: which of
# each system call fails first (default: many).
set -euo pipefail
bnexp=$(realpath "$1")
trainer=$(realpath "$2")
shift 2
[ $# -gt 0 ] || set -- 3 8 13 21 34 55
work=$(mktemp -d /tmp/bnexp-faults-XXXXXX)
full=
group=
cleanup() {
    [ -n "$full" ] && umount "$full" 2>/dev/null
    [ -n "$group" ] && rmdir "$group" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
cd "$work"

cat >sweep.toml <<TOML
name = "faults"
method = "grid"
command = ["sh", "$trainer", "\${param:x}", "0.02"]
[parameters]
x = { values = [1, 2, 3, 4, 5, 6] }
[resources]
jobs = 2
retries = 5
TOML

fail() {
    echo "BROKEN $*"
    exit 1
}

# All six runs finished, six records each, every one once.
whole() {
    local rows
    rows=$("$bnexp" export --home "$1" --format csv | grep -c 'val/loss' || true)
    [ "$rows" -eq 36 ] || fail "$2: $rows records, wanted 36"
    local finished
    finished=$("$bnexp" ls --home "$1" | grep -c finished || true)
    [ "$finished" -eq 6 ] || fail "$2: $finished runs finished, wanted 6"
    echo "held: $2"
}

second_manager() {
    "$bnexp" sweep sweep.toml --home two >first.log 2>&1 &
    local first=$!
    until [ -e two/faults ]; do kill -0 $first || fail "the first manager is gone"; done
    local code=0
    "$bnexp" sweep sweep.toml --home two >second.log 2>&1 || code=$?
    [ "$code" -eq 5 ] || fail "the second manager ended with $code, wanted 5"
    grep -q "managed by pid $first" second.log || fail "the second manager was not told who has it"
    wait $first
    whole two "a second manager is told who has the home, and changes nothing"
}

full_disk() {
    full=$work/small
    mkdir "$full"
    if ! mount -t tmpfs -o size=2m none "$full" 2>/dev/null; then
        full=
        echo "SKIP full disk: mounting a small tmpfs is not permitted"
        return
    fi
    "$bnexp" sweep sweep.toml --home "$full/home" >full.log 2>&1 &
    local manager=$!
    until [ -e "$full/home/faults" ]; do kill -0 $manager || fail "the manager is gone"; done
    dd if=/dev/zero of="$full/filler" bs=4k 2>/dev/null || true
    sleep 1
    rm "$full/filler"
    local code=0
    wait $manager || code=$?
    for _ in 1 2 3; do
        [ "$code" -eq 0 ] && break
        "$bnexp" retry faults --home "$full/home" >/dev/null || true
        code=0
        "$bnexp" sweep sweep.toml --home "$full/home" >>full.log 2>&1 || code=$?
    done
    [ "$code" -eq 0 ] || { tail -5 full.log; fail "the sweep ended with $code after a full disk"; }
    local finished
    finished=$("$bnexp" ls --home "$full/home" | grep -c finished || true)
    [ "$finished" -eq 6 ] || fail "after a full disk $finished runs finished, wanted 6"
    echo "held: a disk that was full for a second loses no run"
    umount "$full"
    full=
}

failing_calls() {
    if ! strace -o /dev/null true 2>/dev/null; then
        echo "SKIP failing calls: strace is missing or not permitted"
        return
    fi
    local call when n=0
    for call in fdatasync pwrite64 openat; do
        for when in "$@"; do
            [ "$call" = fdatasync ] && [ "$when" -gt 21 ] && continue # fewer are made
            [ "$call" = openat ] && when=$((when + 40))               # past the libraries
            n=$((n + 1))
            ASAN_OPTIONS=detect_leaks=0 strace -o "fail$n.trace" -e "trace=$call" \
                -e "inject=$call:error=ENOSPC:when=$when..$((when + 3))" \
                "$bnexp" sweep sweep.toml --home "fail$n" >"fail$n.log" 2>&1 || true
            grep -q INJECTED "fail$n.trace" || fail "$call $when: no call was made to fail"
            "$bnexp" retry faults --home "fail$n" >/dev/null 2>&1 || true
            "$bnexp" sweep sweep.toml --home "fail$n" >>"fail$n.log" 2>&1 ||
                { tail -5 "fail$n.log"; fail "the sweep did not recover from $call $when"; }
            whole "fail$n" "$call fails from call $when on, and later works"
        done
    done
}

noise() {
    cat >noise.toml <<'TOML'
name = "noise"
method = "grid"
command = ["sh", "-c", "${param:do}"]
[parameters]
do = { values = ["head -c 3000000 /dev/urandom >> $BNEXP_EVENTS; echo >> $BNEXP_EVENTS; echo '{\"a\":1}' >> $BNEXP_EVENTS", "printf '{\"a\":1}\\n{\"a\":' >> $BNEXP_EVENTS; exit 9", "true", "mkfifo pipe; rm -f $BNEXP_EVENTS; mkfifo $BNEXP_EVENTS"] }
TOML
    local code=0
    "$bnexp" sweep noise.toml --home noise >noise.log 2>&1 || code=$?
    [ "$code" -eq 6 ] || { cat noise.log; fail "noise ended with $code, wanted 6"; }
    [ "$("$bnexp" ls --home noise | grep -c finished)" -eq 3 ] || fail "three noisy runs finish"
    [ "$("$bnexp" export --home noise --format csv | grep -c ',a,')" -eq 2 ] ||
        fail "the two records among the noise are kept"
    echo "held: garbage, half lines, silence and a pipe for events harm nobody"
}

# A group of processes that may have 400 MB together: its name, or nothing.
small_group() {
    local root=/sys/fs/cgroup/memory limit=memory.limit_in_bytes
    [ -d $root ] || root=/sys/fs/cgroup limit=memory.max
    group=$root/bnexp-faults-$$
    if mkdir "$group" 2>/dev/null && echo 419430400 >"$group/$limit" 2>/dev/null; then return 0; fi
    rmdir "$group" 2>/dev/null || true
    group=
    return 1
}

out_of_memory() {
    if ! small_group; then
        echo "SKIP out of memory: making a control group is not permitted"
        return
    fi
    cat >oom.toml <<'TOML'
name = "oom"
method = "grid"
command = ["sh", "-c", "${param:do}"]
[parameters]
do = { values = ["exec tail -n 1 /dev/zero", "tail -n 1 /dev/zero; exit $?", "kill -9 $$", "exit 0"] }
[resources]
jobs = 1
TOML
    local code=0
    # The group is the manager's too, as in a container: the kernel ends the biggest, a run.
    sh -c 'echo $$ >"$1/cgroup.procs" && exec "$2" sweep oom.toml --home oom' - "$group" "$bnexp" \
        >oom.log 2>&1 || code=$?
    [ "$code" -eq 6 ] || { cat oom.log; fail "runs out of memory: ended with $code, wanted 6"; }
    local killed
    killed=$("$bnexp" sql --home oom --json \
        "SELECT count(*) AS n FROM run WHERE state = 'crashed' AND reason LIKE 'oom: %'")
    grep -qF '[[2]]' <<<"$killed" || { cat oom.log; fail "not two runs died of memory: $killed"; }
    killed=$("$bnexp" sql --home oom --json \
        "SELECT count(*) AS n FROM run WHERE state = 'crashed' AND reason LIKE 'signal 9%'")
    grep -qF '[[1]]' <<<"$killed" || { cat oom.log; fail "SIGKILL alone is not memory: $killed"; }
    rmdir "$group"
    group=
    echo "held: a run that is killed for memory says so, one that is only killed does not"
}

second_manager
noise
out_of_memory
full_disk
failing_calls "$@"
