/* cmd_logs.c - bnexp logs RUN: what a run wrote to its stdout and stderr. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/options.h"
#include "runner/fleet/rundir.h"
#include "store/run.h"

enum { BLOCK_BYTES = 65536, WAIT_MS = 200 };

/* Where the last `lines` lines begin; 0 when there are no more. */
static bn_status find_tail(int fd, const char *path, int64_t lines, off_t *out, bn_error *err)
{
    char block[BLOCK_BYTES];
    off_t end = lseek(fd, 0, SEEK_END);
    if (end < 0) return bn_fail_errno(err, "read %s", path);
    off_t at = end;
    int64_t seen = 0;
    *out = 0;
    while (at > 0) {
        size_t size = at < BLOCK_BYTES ? (size_t)at : BLOCK_BYTES;
        at -= (off_t)size;
        ssize_t got = pread(fd, block, size, at);
        if (got < 0) return bn_fail_errno(err, "read %s", path);
        for (ssize_t i = got; i-- > 0;) {
            /* The newline that ends the file begins no line. */
            if (block[i] != '\n' || at + i == end - 1) continue;
            if (++seen < lines) continue;
            *out = at + i + 1;
            return BN_OK;
        }
    }
    return BN_OK;
}

/* Everything from *at to the end as it is now. */
static bn_status copy(int fd, const char *path, off_t *at, bn_error *err)
{
    char block[BLOCK_BYTES];
    for (;;) {
        ssize_t got = pread(fd, block, sizeof block, *at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return bn_fail_errno(err, "read %s", path);
        if (got == 0) break;
        if (fwrite(block, 1, (size_t)got, stdout) != (size_t)got) {
            return bn_fail_errno(err, "write to stdout");
        }
        *at += got;
    }
    return fflush(stdout) == 0 ? BN_OK : bn_fail_errno(err, "write to stdout");
}

/* An empty log is an answer too; where the rest is, is said beside it. */
static void say_empty(const bn_run *run, const char *name)
{
    bool errors = strcmp(name, BN_RUNDIR_STDERR) == 0;
    (void)fprintf(stderr, "bnexp: %s of run %s is empty%s; 'bnexp show %s' has its numbers\n", name,
                  run->key, errors ? "" : ", see --stderr", run->key);
}

/* Until the run is over, and once more, so that its last words are not missed. */
static bn_status follow(bn_store *store, int64_t run, int fd, const char *path, off_t at,
                        bn_error *err)
{
    bn_run now;
    const struct timespec wait = {.tv_nsec = WAIT_MS * 1000000L};
    for (;;) {
        bn_status status = bn_run_get(store, run, &now, err);
        if (status == BN_OK) status = copy(fd, path, &at, err);
        if (status != BN_OK || bn_run_state_final(now.state)) return status;
        (void)nanosleep(&wait, NULL);
    }
}

static bn_status show(bn_store *store, const bn_run *run, const char *name, int64_t lines,
                      bool follows, bn_error *err)
{
    char folder[BN_PATH_MAX], path[BN_PATH_MAX];
    off_t at = 0;
    if (bn_path_join(folder, bn_store_home(store), run->dir, err) != BN_OK) return err->status;
    if (bn_path_join(path, folder, name, err) != BN_OK) return err->status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return bn_fail(err, BN_ENOENT, "run %s (%s) is %s and has no %s", run->key, run->name,
                       bn_run_state_name(run->state), name);
    }
    if (fd < 0) return bn_fail_errno(err, "open %s", path);
    bn_status status = lines >= 0 ? find_tail(fd, path, lines, &at, err) : BN_OK;
    if (status == BN_OK && lines == 0) at = lseek(fd, 0, SEEK_END);
    if (status == BN_OK) status = copy(fd, path, &at, err);
    if (status == BN_OK && !follows && lseek(fd, 0, SEEK_END) == 0) say_empty(run, name);
    if (status == BN_OK && follows) status = follow(store, run->id, fd, path, at, err);
    (void)close(fd);
    return status;
}

int bn_cmd_logs(int argc, char **argv)
{
    const char *home = NULL;
    bool follows = false, errors = false, help = false;
    int64_t lines = -1;
    const bn_option table[] = {
        {"--home", 0, BN_OPTION_TEXT, &home, "DIR", "the home (BNEXP_HOME, else ./runs)"},
        {"--follow", 'f', BN_OPTION_FLAG, &follows, NULL, "go on until the run is over"},
        {"--stderr", 0, BN_OPTION_FLAG, &errors, NULL, "stderr.log instead of stdout.log"},
        {"--lines", 'n', BN_OPTION_INT, &lines, "N", "only the last N lines"},
    };
    const bn_option_range ranges[] = {{&lines, 0, INFINITY, false}};
    const bn_options options = {
        .usage = "bnexp logs RUN [-f] [--stderr] [-n N]",
        .about = "Prints what a run wrote. RUN is its id, the beginning of it, its name, or\n"
                 "SWEEP/NAME.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .ranges = ranges,
        .range_count = sizeof ranges / sizeof ranges[0],
        .arguments_min = 1,
        .arguments_max = 1,
    };
    bn_option_list arguments;
    bn_store *store = NULL;
    bn_run run;
    bn_error err = {0};
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, &help, &err);
    if (status == BN_OK && !help) {
        status = bn_store_open(&store, bn_command_home(home), BN_STORE_READ, &err);
        if (status == BN_OK) status = bn_run_find(store, arguments.items[0], &run, &err);
        if (status == BN_OK) {
            const char *name = errors ? BN_RUNDIR_STDERR : BN_RUNDIR_STDOUT;
            status = show(store, &run, name, lines, follows, &err);
        }
        bn_store_close(store);
    }
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}
