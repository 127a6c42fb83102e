#define _GNU_SOURCE /* NOLINT(*): sched_getaffinity */
#include "runner/cli/manager.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

static const char LOCK_NAME[] = "manager.lock";

/* One line, without its newline. */
static void read_holder(int fd, char out[160])
{
    ssize_t got = pread(fd, out, 159, 0);
    out[got > 0 ? got : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    if (!*out) (void)snprintf(out, 160, "another process");
}

bn_status bn_manager_lock(const char *home, const char *what, int *fd, bn_error *err)
{
    char path[BN_PATH_MAX], line[160];
    *fd = -1;
    if (bn_dir_make(home, 0700, err) != BN_OK) return err->status;
    if (bn_path_join(path, home, LOCK_NAME, err) != BN_OK) return err->status;
    int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (opened < 0) return bn_fail_errno(err, "open %s", path);
    if (flock(opened, LOCK_EX | LOCK_NB) != 0) {
        bool taken = errno == EWOULDBLOCK;
        if (!taken) (void)bn_fail_errno(err, "lock %s", path);
        read_holder(opened, line);
        (void)close(opened);
        if (!taken) return err->status;
        return bn_fail(err, BN_EAGAIN,
                       "the home %s is managed by %s; wait for it, or give another --home", home,
                       line);
    }
    int length = snprintf(line, sizeof line, "pid %ld (%.120s)\n", (long)getpid(), what);
    if (length >= (int)sizeof line) length = (int)sizeof line - 1;
    if (ftruncate(opened, 0) != 0 || pwrite(opened, line, (size_t)length, 0) != length) {
        (void)bn_fail_errno(err, "write %s", path);
        (void)close(opened);
        return err->status;
    }
    *fd = opened;
    return BN_OK;
}

bool bn_manager_holder(const char *home, char out[160])
{
    char path[BN_PATH_MAX];
    bn_error ignored = {0};
    out[0] = '\0';
    if (bn_path_join(path, home, LOCK_NAME, &ignored) != BN_OK) return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0;
    if (held) read_holder(fd, out);
    (void)close(fd);
    return held;
}

static void awaited(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGHUP);
    (void)sigaddset(set, SIGCHLD);
}

void bn_signals_hold(void)
{
    sigset_t set;
    awaited(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* a closed terminal must not end the manager mid-way */
}

int bn_signals_wait(double wait_s)
{
    sigset_t set;
    double whole = floor(wait_s);
    struct timespec limit = {.tv_sec = (time_t)whole, .tv_nsec = (long)((wait_s - whole) * 1e9)};
    awaited(&set);
    int signo = sigtimedwait(&set, NULL, &limit);
    return signo == SIGCHLD || signo < 0 ? 0 : signo;
}

int bn_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? count : 1;
}
