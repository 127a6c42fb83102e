#include "runner/cli/train_ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "runner/cli/command.h"
#include "runner/worker.h"

extern char **environ;

/* Rank 0 has a corpus to check and a database to open before it calls. */
static const double WAIT_S = 300;
static const char *const LAUNCHERS[] = {"OMPI_", "PMIX_",      "PMI_",        "SLURM_",
                                        "PRTE_", "BNEXP_RANK", "BNEXP_WORLD", "BNEXP_LOCAL_"};
enum { LAUNCHER_COUNT = sizeof LAUNCHERS / sizeof LAUNCHERS[0], CALL_MAX = BN_PATH_MAX };

static const char *look_up(const char *name)
{
    return getenv(name); /* NOLINT(concurrency-mt-unsafe): one thread */
}

bn_status bn_train_ranks_read(bn_ranks *out, bn_error *err)
{
    return bn_ranks_read(out, look_up, err);
}

static bool is_launchers(const char *variable)
{
    for (int i = 0; i < LAUNCHER_COUNT; i++) {
        if (strncmp(variable, LAUNCHERS[i], strlen(LAUNCHERS[i])) == 0) return true;
    }
    return false;
}

const char *const *bn_train_ranks_environment(const bn_ranks *ranks,
                                              const char *list[BN_TRAIN_RANKS_ENV])
{
    size_t count = 0;
    if (ranks->world == 1) return NULL;
    for (char **v = environ; *v && count < BN_TRAIN_RANKS_ENV - 1; v++) {
        if (is_launchers(*v)) list[count++] = *v;
    }
    list[count] = NULL;
    return list;
}

static bn_status path_of(const bn_ranks *ranks, const char *home, char out[BN_PATH_MAX],
                         bn_error *err)
{
    char name[32];
    (void)snprintf(name, sizeof name, ".ranks-%.16s", ranks->token);
    return bn_path_join(out, home, name, err);
}

bn_status bn_train_ranks_call(const bn_ranks *ranks, const char *home, const char *dir,
                              bn_error *err)
{
    char path[BN_PATH_MAX];
    if (ranks->world == 1) return BN_OK;
    if (path_of(ranks, home, path, err) != BN_OK) return err->status;
    return bn_file_write(path, dir, strlen(dir), 0600, err);
}

void bn_train_ranks_hush(const bn_ranks *ranks, const char *home)
{
    char path[BN_PATH_MAX];
    bn_error ignored = {0};
    if (ranks->world == 1) return;
    if (path_of(ranks, home, path, &ignored) == BN_OK) (void)unlink(path);
}

static bn_status hear(const bn_ranks *ranks, const char *home, char **dir, bn_error *err)
{
    char path[BN_PATH_MAX], whole[BN_PATH_MAX];
    size_t size = 0;
    double until_s = bn_clock_mono_s() + WAIT_S;
    if (bn_path_absolute(whole, home, err) != BN_OK) return err->status;
    if (path_of(ranks, whole, path, err) != BN_OK) return err->status;
    while (bn_clock_mono_s() < until_s) {
        bn_error not_yet = {0};
        if (bn_file_read(path, CALL_MAX, dir, &size, &not_yet) == BN_OK) return BN_OK;
        (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return bn_fail(err, BN_EAGAIN, "rank %d: rank 0 began no run in %s within %.0f s", ranks->rank,
                   whole, WAIT_S);
}

int bn_train_ranks_follow(const bn_ranks *ranks, const char *home)
{
    char *dir = NULL;
    bn_error err = {0};
    if (hear(ranks, home, &dir, &err) != BN_OK) return bn_command_fail(&err);
    int code = bn_worker_train(&(bn_worker_job){.dir = dir, .ranks = ranks});
    free(dir);
    return code;
}
