/* prctl is Linux's own. */
#define _GNU_SOURCE /* NOLINT(*): glibc's name */
#include "runner/rank_head.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "runner/worker.h"

enum { EXIT_TROUBLE = 1, EXIT_STOPPED = 75, TOKEN_BYTES = 16 };
/* What the others may take to end after one has failed: a step, and some words over the wire. */
static const double GRACE_S = 30;

typedef struct child {
    pid_t pid; /* 0: it has ended */
    int code;
} child;

/* Of no other start: the clock and the pid alone might come again. */
static void make_token(char token[BN_RANKS_TOKEN_MAX])
{
    unsigned char bytes[TOKEN_BYTES] = {0};
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, bytes, sizeof bytes);
    if (fd >= 0) (void)close(fd);
    int length = snprintf(token, BN_RANKS_TOKEN_MAX, "%d.%zd.", (int)getpid(), got);
    for (int i = 0; i < TOKEN_BYTES; i++) {
        (void)snprintf(token + length + (ptrdiff_t)2 * i, 3, "%02x", bytes[i]);
    }
}

/* In the rank's process; never returns. */
static void become_rank(const bn_rank_head *head, const bn_ranks *ranks, pid_t parent,
                        const sigset_t *mask)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(EXIT_TROUBLE);
    (void)pthread_sigmask(SIG_SETMASK, mask, NULL);
    if (head->gpus) {
        (void)setenv("CUDA_VISIBLE_DEVICES", head->gpus[ranks->rank], 1); /* NOLINT(*-mt-unsafe) */
    }
    bn_worker_job job = {.dir = head->dir, .ranks = ranks, .device = head->gpus ? "cuda" : NULL};
    exit(bn_worker_train(&job)); /* NOLINT(concurrency-mt-unsafe): one thread */
}

static void signal_all(const child *ranks, int count, int signo)
{
    for (int i = 0; i < count; i++) {
        if (ranks[i].pid > 0) (void)kill(ranks[i].pid, signo);
    }
}

/* Takes in who has ended; returns how many still live. */
static int reap(child *ranks, int count)
{
    int status = 0, alive = 0;
    for (int i = 0; i < count; i++) {
        if (ranks[i].pid > 0 && waitpid(ranks[i].pid, &status, WNOHANG) == ranks[i].pid) {
            ranks[i].pid = 0;
            ranks[i].code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_TROUBLE;
            if (WIFSIGNALED(status)) {
                (void)fprintf(stderr, "bnexp: rank %d was killed by signal %d\n", i,
                              WTERMSIG(status));
            }
        }
        alive += ranks[i].pid > 0;
    }
    return alive;
}

static int worst_code(const child *ranks, int count)
{
    int worst = 0;
    for (int i = 0; i < count; i++) {
        bool failed = ranks[i].code != 0 && ranks[i].code != EXIT_STOPPED;
        if (failed) return ranks[i].code;
        if (ranks[i].code != 0) worst = ranks[i].code;
    }
    return worst;
}

static int wait_for_all(child *ranks, int count, const sigset_t *heard)
{
    double until_s = 0; /* 0: nobody has failed */
    while (reap(ranks, count) > 0) {
        int code = worst_code(ranks, count);
        bool failed = code != 0 && code != EXIT_STOPPED;
        if (failed && until_s == 0) until_s = bn_clock_mono_s() + GRACE_S;
        if (failed && bn_clock_mono_s() > until_s) signal_all(ranks, count, SIGKILL);
        int signo = sigtimedwait(heard, NULL, &(struct timespec){.tv_sec = 1});
        if (signo == SIGTERM || signo == SIGINT) signal_all(ranks, count, SIGTERM);
    }
    return worst_code(ranks, count);
}

int bn_rank_head_run(const bn_rank_head *head)
{
    sigset_t heard, before;
    bn_error err = {0};
    pid_t self = getpid();
    child *ranks = calloc((size_t)head->count, sizeof *ranks);
    if (!ranks) return EXIT_TROUBLE;
    (void)sigemptyset(&heard);
    (void)sigaddset(&heard, SIGTERM);
    (void)sigaddset(&heard, SIGINT);
    (void)sigaddset(&heard, SIGCHLD);
    (void)pthread_sigmask(SIG_BLOCK, &heard, &before);
    bn_ranks place = {.world = head->count, .local_world = head->count};
    make_token(place.token);
    (void)fflush(NULL);
    bool all = true;
    for (int i = 0; i < head->count && all; i++) {
        place.rank = place.local_rank = i;
        pid_t pid = fork();
        if (pid == 0) become_rank(head, &place, self, &before);
        all = pid > 0;
        ranks[i].pid = pid > 0 ? pid : 0;
    }
    if (!all) {
        (void)bn_fail_errno(&err, "start %d ranks", head->count);
        (void)fprintf(stderr, "bnexp: %s\n", err.text);
        signal_all(ranks, head->count, SIGKILL);
    }
    int code = wait_for_all(ranks, head->count, &heard);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    free(ranks);
    return all ? code : EXIT_TROUBLE;
}
