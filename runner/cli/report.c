#include "runner/cli/report.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "reporters/wandb_settings.h"

extern char **environ; /* POSIX asks the program to declare it */

static const char *variable(const char *name)
{
    return getenv(name); /* NOLINT(concurrency-mt-unsafe): no thread yet, and none writes */
}

bn_status bn_report_check(const char *name, bn_error *err)
{
    bn_wandb_settings settings;
    bn_wandb_flags flags = {0};
    bn_secret key;
    if (strcmp(name, "wandb") != 0) {
        return bn_fail(err, BN_EINVAL,
                       "there is no reporter '%.40s' for --report; did you mean "
                       "'wandb'?",
                       name);
    }
    bn_error why = {0};
    bn_status status = bn_wandb_settings_read(&settings, &flags, variable, &why);
    if (status == BN_OK && settings.mode == BN_WANDB_ONLINE) {
        status = bn_credentials_find(&key, settings.base_url, variable, &why);
        bn_secret_forget(&key);
    }
    if (status == BN_OK && settings.mode == BN_WANDB_DISABLED) {
        status = bn_fail(&why, BN_EIO, "WANDB_MODE=disabled, wandb hears nothing of this sweep");
    }
    if (status == BN_OK) return BN_OK;
    return bn_fail(err, BN_EIO, "%s", why.text);
}

/* A group of its own, so that Ctrl-C stays with the sweep; and no signal that our own thread holds
 * back or ignores is held back there. */
static int set_up(posix_spawnattr_t *attributes, posix_spawn_file_actions_t *files, const char *log)
{
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    short flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    int code = posix_spawnattr_setflags(attributes, flags);
    if (!code) code = posix_spawnattr_setpgroup(attributes, 0);
    if (!code) code = posix_spawnattr_setsigmask(attributes, &none);
    if (!code) code = posix_spawnattr_setsigdefault(attributes, &all);
    if (!code) code = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);
    if (!code) {
        code = posix_spawn_file_actions_addopen(files, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    }
    return code ? code : posix_spawn_file_actions_adddup2(files, 1, 2);
}

bn_status bn_report_start(bn_report *out, const char *name, const char *home, const char *sweep,
                          bn_error *err)
{
    char parent[24];
    char file[64];
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t files;
    *out = (bn_report){.name = name};
    (void)snprintf(file, sizeof file, "%.40s.log", name);
    if (bn_path_join(out->log, home, file, err) != BN_OK) return err->status;
    (void)snprintf(parent, sizeof parent, "%ld", (long)getpid());
    const char *const words[] = {"bnexp",    "sync", name, "--home", home, "--watch",
                                 "--parent", parent, "--", sweep,    NULL};
    if (posix_spawnattr_init(&attributes) != 0) return bn_fail_errno(err, "start %s", name);
    if (posix_spawn_file_actions_init(&files) != 0) {
        (void)posix_spawnattr_destroy(&attributes);
        return bn_fail_errno(err, "start %s", name);
    }
    char *arguments[sizeof words / sizeof words[0]]; /* execve writes to none of them */
    memcpy(arguments, words, sizeof words);
    int code = set_up(&attributes, &files, out->log);
    if (!code) {
        code = posix_spawn(&out->pid, "/proc/self/exe", &files, &attributes, arguments, environ);
    }
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attributes);
    if (!code) return BN_OK;
    out->pid = 0;
    errno = code;
    return bn_fail_errno(err, "start the %s reporter", name);
}

const char *bn_report_end(bn_report *report, double wait_s)
{
    if (report->pid <= 0) return "";
    int status = 0;
    double end_s = bn_clock_mono_s() + wait_s;
    pid_t ended = waitpid(report->pid, &status, WNOHANG);
    if (ended == 0) (void)kill(report->pid, SIGTERM);
    while (ended == 0 && bn_clock_mono_s() < end_s) {
        struct timespec nap = {.tv_nsec = 20000000};
        (void)nanosleep(&nap, NULL);
        ended = waitpid(report->pid, &status, WNOHANG);
    }
    if (ended == 0) return "still delivering in the background";
    report->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "all is delivered";
    return "not all is delivered";
}
