#include "runner/cli/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* One byte: begun. The end of the pipe without it: the child is gone. */
static int wait_for_child(pid_t pid, int end)
{
    char byte = 0;
    int status = 0;
    ssize_t got = 0;
    do {
        got = read(end, &byte, 1);
    } while (got < 0 && errno == EINTR);
    if (got == 1) return 0;
    if (waitpid(pid, &status, 0) == pid && WIFEXITED(status)) return WEXITSTATUS(status);
    return 1;
}

bn_status bn_detach(bool *parent, int *code, int *begun, bn_error *err)
{
    int ends[2];
    *parent = false;
    *code = 0;
    *begun = -1;
    if (pipe(ends) != 0) return bn_fail_errno(err, "make a pipe");
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        (void)close(ends[0]);
        (void)close(ends[1]);
        return bn_fail_errno(err, "start a process");
    }
    *parent = pid > 0;
    if (*parent) {
        (void)close(ends[1]);
        *code = wait_for_child(pid, ends[0]);
        (void)close(ends[0]);
        return BN_OK;
    }
    (void)close(ends[0]);
    (void)setsid(); /* the terminal's Ctrl-C and its closing are not for us */
    *begun = ends[1];
    if (fcntl(*begun, F_SETFD, FD_CLOEXEC) != 0) return bn_fail_errno(err, "keep a pipe");
    return BN_OK;
}

bn_status bn_detach_begun(int begun, const char *log, bn_error *err)
{
    char byte = 1;
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bool ok = in >= 0 && out >= 0;
    if (!ok) (void)bn_fail_errno(err, "open %s", log);
    (void)fflush(NULL);
    ok = ok && dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(out, 2) == 2;
    if (!ok && err->status == BN_OK) (void)bn_fail_errno(err, "write %s", log);
    if (in > 2) (void)close(in);
    if (out > 2) (void)close(out);
    if (ok) ok = write(begun, &byte, 1) == 1;
    (void)close(begun);
    return ok ? BN_OK : bn_fail(err, BN_EIO, "the caller is gone");
}
