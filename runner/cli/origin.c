#include "runner/cli/origin.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/sha256.h"

enum { TEXT_MAX = 256 * 1024 };

extern char **environ;

void bn_origin_add(bn_origin *origin, const char *name, const char *value)
{
    if (!value || !*value || origin->count == BN_ORIGIN_FACTS_MAX) return;
    char *kept = origin->values[origin->count];
    (void)snprintf(kept, sizeof origin->values[0], "%s", value);
    origin->facts[origin->count++] = (bn_run_fact){.name = name, .value = kept};
}

/* The first line that a program prints; false when it cannot be run or fails. */
static bool first_line(const char *const *argv, char *out, size_t size)
{
    int ends[2], status = -1;
    pid_t pid = -1;
    size_t length = 0;
    char *words[8] = {NULL};
    posix_spawn_file_actions_t actions;
    if (pipe(ends) != 0) return false;
    for (size_t i = 0; argv[i] && i < 7; i++) words[i] = strdup(argv[i]);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    (void)posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_addclose(&actions, ends[0]);
    bool ok = posix_spawnp(&pid, argv[0], &actions, NULL, words, environ) == 0;
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    for (;;) {
        char more[4096];
        ssize_t got = read(ends[0], more, sizeof more);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        size_t room = size - 1 - length;
        size_t taken = (size_t)got < room ? (size_t)got : room;
        memcpy(out + length, more, taken);
        length += taken;
    }
    (void)close(ends[0]);
    out[length] = '\0';
    out[strcspn(out, "\n")] = '\0';
    if (ok) ok = waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    for (size_t i = 0; i < 8; i++) free(words[i]);
    return ok;
}

static void add_git(bn_origin *origin)
{
    static const char *const commit[] = {"git", "rev-parse", "HEAD", NULL};
    static const char *const changed[] = {"git", "status", "--porcelain", "--untracked-files=no",
                                          NULL};
    char line[256];
    if (!first_line(commit, line, sizeof line)) return;
    bn_origin_add(origin, "git.commit", line);
    if (first_line(changed, line, sizeof line)) {
        bn_origin_add(origin, "git.dirty", *line ? "true" : "false");
    }
}

/* The rest of the first line of a file that begins with `key`, behind its colon. */
static void add_from_file(bn_origin *origin, const char *name, const char *path, const char *key)
{
    char *text = NULL;
    size_t size = 0;
    bn_error ignored = {0};
    if (bn_file_read(path, TEXT_MAX, &text, &size, &ignored) != BN_OK) return;
    char *line = strstr(text, key);
    if (line) line += strlen(key);
    if (line) line += strspn(line, " \t:");
    if (line) line[strcspn(line, "\n")] = '\0';
    bn_origin_add(origin, name, line);
    free(text);
}

/* Our own words, a blank between them. */
static void add_argv(bn_origin *origin)
{
    char *text = NULL;
    size_t size = 0;
    bn_error ignored = {0};
    if (bn_file_read("/proc/self/cmdline", TEXT_MAX, &text, &size, &ignored) != BN_OK) return;
    for (size_t i = 0; i + 1 < size; i++) {
        if (text[i] == '\0') text[i] = ' ';
    }
    bn_origin_add(origin, "argv", text);
    free(text);
}

void bn_origin_gather(bn_origin *origin)
{
    char hash[BN_SHA256_HEX], words[512];
    struct utsname machine;
    bn_error ignored = {0};
    origin->count = 0;
    bn_origin_add(origin, "bnexp.version", BN_VERSION);
    if (bn_sha256_file("/proc/self/exe", hash, &ignored) == BN_OK) {
        bn_origin_add(origin, "binary.sha256", hash);
    }
    add_git(origin);
    add_argv(origin);
    if (getcwd(words, sizeof words)) bn_origin_add(origin, "cwd", words);
    if (uname(&machine) == 0) {
        (void)snprintf(words, sizeof words, "%s %s %s", machine.sysname, machine.release,
                       machine.machine);
        bn_origin_add(origin, "host", machine.nodename);
        bn_origin_add(origin, "kernel", words);
    }
    add_from_file(origin, "cpu", "/proc/cpuinfo", "model name");
    add_from_file(origin, "gpu.driver", "/proc/driver/nvidia/version", "NVRM version");
}
