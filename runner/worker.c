#include "runner/worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/train.h"
#include "runner/fleet/rundir.h"

enum { EXIT_DONE = 0, EXIT_TROUBLE = 1, EXIT_INPUT = 2, EXIT_TAKEN = 5, EXIT_AGAIN = 75 };

/* The one thing a signal may touch; read by the loop between steps. */
static volatile sig_atomic_t stop_asked;

static void on_stop(int signo)
{
    (void)signo;
    stop_asked = 1;
}

static void listen_for_stop(void)
{
    struct sigaction action = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
}

/* Ranks share a stderr: all but the first say who they are. */
static int fail(const bn_ranks *ranks, const bn_error *err)
{
    const char *oom = err->status == BN_ENOMEM ? "oom: " : ""; /* read by judge.c */
    if (ranks->rank > 0) {
        (void)fprintf(stderr, "bnexp: %srank %d: %s\n", oom, ranks->rank, err->text);
    } else {
        (void)fprintf(stderr, "bnexp: %s%s\n", oom, err->text);
    }
    switch (err->status) {
    case BN_OK:
        return EXIT_DONE;
    case BN_EINVAL:
    case BN_ENOENT:
    case BN_EAMBIGUOUS:
        return EXIT_INPUT;
    case BN_EAGAIN:
        return EXIT_TAKEN;
    case BN_EIO:
    case BN_ENOMEM:
    case BN_ESTALE:
    case BN_ECORRUPT:
        return EXIT_TROUBLE;
    }
    return EXIT_TROUBLE;
}

/* Whoever started us for this folder holds its lock already. */
static bool locked_for_us(const char *dir)
{
    const char *given = getenv("BNEXP_RUN_DIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    return given && strcmp(given, dir) == 0;
}

/* What the run got over, e.g. a damaged checkpoint that was passed over. */
static void say(void *self, const char *line)
{
    (void)self;
    (void)fprintf(stderr, "bnexp: %s\n", line);
}

static int train(const bn_worker_job *work)
{
    bn_error err = {0};
    bn_rundir run;
    bn_train_end end = BN_TRAIN_FINISHED;
    bn_config *config = &run.config;
    if (bn_rundir_read(work->dir, &run, &err) != BN_OK) return fail(work->ranks, &err);
    if (work->device) {
        (void)snprintf(config->train.device, sizeof config->train.device, "%s", work->device);
    }
    bn_train_job job = {.config = config,
                        .dir = work->dir,
                        .attempt = run.attempt,
                        .stop = &stop_asked,
                        .ranks = work->ranks,
                        .say = say};
    if (bn_train(&job, &end, &err) != BN_OK) return fail(work->ranks, &err);
    switch (end) {
    case BN_TRAIN_FINISHED:
        return EXIT_DONE;
    case BN_TRAIN_STOPPED:
        return EXIT_AGAIN;
    case BN_TRAIN_DIVERGED:
        if (work->ranks->rank > 0) return EXIT_TROUBLE;
        (void)fprintf(stderr, "bnexp: diverged; the end line of %s/%s says where\n", work->dir,
                      BN_RUNDIR_EVENTS);
        return EXIT_TROUBLE;
    }
    return EXIT_TROUBLE;
}

int bn_worker_train(const bn_worker_job *job)
{
    bn_error err = {0};
    int lock = -1;
    listen_for_stop(); /* first: a stop that comes while data is read must not kill us */
    bool locks = job->ranks->rank == 0 && !locked_for_us(job->dir);
    if (locks && bn_rundir_lock(job->dir, &lock, &err) != BN_OK) return fail(job->ranks, &err);
    int code = train(job);
    if (lock >= 0) (void)close(lock);
    return code;
}

static const char *look_up(const char *name)
{
    return getenv(name); /* NOLINT(concurrency-mt-unsafe): one thread */
}

int bn_worker_run(const char *dir)
{
    bn_error err = {0};
    bn_ranks ranks = bn_ranks_alone();
    if (bn_ranks_read(&ranks, look_up, &err) != BN_OK) return fail(&ranks, &err);
    return bn_worker_train(&(bn_worker_job){.dir = dir, .ranks = &ranks});
}
