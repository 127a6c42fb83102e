/* close_range and prctl are Linux's own; the rest of this file is POSIX. */
#define _GNU_SOURCE /* NOLINT(*): glibc's name */
#include "runner/fleet/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "runner/fleet/oom.h"
#include "runner/fleet/rundir.h"

/* One line of fixed length, overwritten in place: telling how a run ended takes no space, so it
 * works on a full disk too. */
#define NOTE_FORMAT                                                                                \
    "pid=%-10" PRId64 " start=%-20" PRIu64 " boot=%-36s attempt=%-6d "                             \
    "ended=%d code=%-4d signal=%-3d oom=%d\n"
enum { NOTE_MAX = 192, ENV_MAX = 256, EXIT_CANNOT_START = 127, SHEPHERD_LOCK_FD = 3 };

/* Variables that a run may see; a name ending in '_' stands for all that begin so. */
static const char *const ALLOWED[] = {
    "PATH",          "HOME",        "USER",         "LOGNAME",      "SHELL",      "LANG",
    "LC_",           "TZ",          "TMPDIR",       "TERM",         "LD_",        "XDG_",
    "OMP_",          "CUDA_",       "NVIDIA_",      "NCCL_",        "BNEXP_ISA",  "BNEXP_NVML",
    "PYTHON",        "CONDA",       "VIRTUAL_ENV",  "HF_",          "TORCH_",     "ASAN_OPTIONS",
    "UBSAN_OPTIONS", "JAX_",        "LSAN_OPTIONS", "TSAN_OPTIONS", "HTTP_PROXY", "HTTPS_PROXY",
    "NO_PROXY",      "BNEXP_CUDA_", "BNEXP_MPI_",
};
enum { ALLOWED_COUNT = sizeof ALLOWED / sizeof ALLOWED[0] };

static const char *boot_id(char out[40])
{
    char *text = NULL;
    size_t size = 0;
    bn_error ignored = {0};
    (void)snprintf(out, 40, "-"); /* a kernel without one: pid and start time must do */
    if (bn_file_read("/proc/sys/kernel/random/boot_id", 256, &text, &size, &ignored) == BN_OK) {
        text[strcspn(text, "\n")] = '\0';
        if (*text) (void)snprintf(out, 40, "%s", text);
    }
    free(text);
    return out;
}

/* Start time and state of a process from /proc/PID/stat: fields 22 and 3. The name, field 2, may
 * hold anything, so fields are counted from the last ')'. */
static bool stat_of(int64_t pid, uint64_t *start_ticks, char *state)
{
    char path[64], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t got = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (got <= 0) return false;
    text[got] = '\0';
    const char *field = strrchr(text, ')');
    if (!field || field[1] != ' ') return false;
    field += 2;
    *state = *field;
    for (int number = 3; number < 22; number++) {
        field = strchr(field, ' ');
        if (!field) return false;
        field++;
    }
    *start_ticks = strtoull(field, NULL, 10);
    return true;
}

static bn_status identify(int64_t pid, bn_identity *out, bn_error *err)
{
    char state = 0;
    *out = (bn_identity){.pid = pid};
    if (!stat_of(pid, &out->start_ticks, &state)) {
        return bn_fail(err, BN_EIO, "/proc tells nothing of process %" PRId64, pid);
    }
    (void)boot_id(out->boot);
    return BN_OK;
}

bn_status bn_identity_self(bn_identity *out, bn_error *err)
{
    return identify(getpid(), out, err);
}

bool bn_identity_alive(const bn_identity *identity)
{
    uint64_t start = 0;
    char state = 0, boot[40];
    if (identity->pid <= 1 || !stat_of(identity->pid, &start, &state)) return false;
    if (start != identity->start_ticks || state == 'Z' || state == 'X') return false;
    return strcmp(identity->boot, boot_id(boot)) == 0;
}

bn_status bn_identity_signal(const bn_identity *identity, int signo, bn_error *err)
{
    enum { TRIES = 1000 }; /* of a millisecond: a shepherd being born has no group yet */
    for (int i = 0; i < TRIES && bn_identity_alive(identity); i++) {
        if (kill(-(pid_t)identity->pid, signo) == 0) return BN_OK;
        if (errno != ESRCH) {
            return bn_fail_errno(err, "signal %d to process %" PRId64, signo, identity->pid);
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return BN_OK;
}

void bn_identity_text(const bn_identity *identity, bn_token *out)
{
    (void)snprintf(out->text, sizeof out->text, "%" PRId64 " %" PRIu64 " %s", identity->pid,
                   identity->start_ticks, identity->boot);
}

bn_status bn_identity_parse(const char *text, bn_identity *out, bn_error *err)
{
    *out = (bn_identity){0};
    char *end = NULL;
    out->pid = strtoll(text, &end, 10);
    bool ok = out->pid > 0 && *end == ' ';
    const char *second = end;
    if (ok) out->start_ticks = strtoull(second, &end, 10);
    ok = ok && end > second && *end == ' ' && strlen(end + 1) < sizeof out->boot;
    if (ok) (void)snprintf(out->boot, sizeof out->boot, "%s", end + 1);
    if (ok) return BN_OK;
    return bn_fail(err, BN_EINVAL, "'%.60s' is no process identity", text);
}

static bool allowed(const char *variable)
{
    for (size_t i = 0; i < ALLOWED_COUNT; i++) {
        size_t length = strlen(ALLOWED[i]);
        if (strncasecmp(variable, ALLOWED[i], length) != 0) continue;
        bool prefix = ALLOWED[i][length - 1] == '_' || strcmp(ALLOWED[i], "PYTHON") == 0 ||
                      strcmp(ALLOWED[i], "CONDA") == 0;
        if (prefix || variable[length] == '=') return true;
    }
    return false;
}

static bool given(const char *const *extra, const char *variable)
{
    size_t length = strcspn(variable, "=") + 1;
    for (const char *const *e = extra; e && *e; e++) {
        if (strncmp(*e, variable, length) == 0) return true;
    }
    return false;
}

/* What we pass on and what the launch adds; the launch wins. The strings stay where they are. */
static void fill_environment(const char *const *extra, const char *out[ENV_MAX])
{
    size_t count = 0;
    for (const char *const *e = extra; e && *e && count < ENV_MAX - 1; e++) out[count++] = *e;
    for (char **v = environ; *v && count < ENV_MAX - 1; v++) {
        if (allowed(*v) && !given(extra, *v)) out[count++] = *v;
    }
    out[count] = NULL;
}

static void write_note(int fd, const bn_process_note *note)
{
    char line[NOTE_MAX];
    const bn_identity *who = &note->identity;
    int length = snprintf(line, sizeof line, NOTE_FORMAT, who->pid, who->start_ticks,
                          *who->boot ? who->boot : "-", note->attempt, note->how.known,
                          note->how.code, note->how.signal, note->how.oom);
    /* A note that cannot be written is a death without witness: bn_process_look says "unknown". */
    ssize_t ignored = pwrite(fd, line, (size_t)length, 0);
    (void)ignored;
}

/* The number behind "name=" in a note; -1: there is none. */
static int64_t field(const char *line, const char *name)
{
    const char *place = strstr(line, name);
    return place ? strtoll(place + strlen(name), NULL, 10) : -1;
}

static void read_note(int fd, bn_process_note *out)
{
    char line[NOTE_MAX];
    *out = (bn_process_note){.how.code = -1};
    ssize_t got = pread(fd, line, sizeof line - 1, 0);
    if (got <= 0 || line[got - 1] != '\n') return;
    line[got] = '\0';
    const char *boot = strstr(line, " boot=");
    if (!boot || field(line, "pid=") < 0 || field(line, " oom=") < 0) return;
    boot += strlen(" boot=");
    out->identity.pid = field(line, "pid=");
    out->identity.start_ticks = (uint64_t)field(line, " start=");
    (void)snprintf(out->identity.boot, sizeof out->identity.boot, "%.*s", (int)strcspn(boot, " "),
                   boot);
    out->attempt = (int)field(line, " attempt=");
    out->how = (bn_exit){.known = field(line, " ended=") == 1,
                         .code = (int)field(line, " code="),
                         .signal = (int)field(line, " signal="),
                         .oom = field(line, " oom=") == 1};
}

static int open_log(const char *dir, const char *name)
{
    char path[BN_PATH_MAX];
    bn_error ignored = {0};
    if (bn_path_join(path, dir, name, &ignored) != BN_OK) return -1;
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
}

static void reset_signals(void)
{
    sigset_t none;
    (void)sigemptyset(&none);
    for (int signo = 1; signo < NSIG; signo++) (void)signal(signo, SIG_DFL);
    (void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

/* exec takes pointers to what it never writes. */
static char *const *plain(const char *const *words)
{
    char *const *out = NULL;
    memcpy(&out, &words, sizeof out);
    return out;
}

/* In the program's process, between fork and exec; never returns. */
static void become_program(const bn_launch *launch, const char *const *env, pid_t shepherd)
{
    reset_signals();
    /* Without its shepherd nobody would see it end, and its folder would look free. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != shepherd) _exit(EXIT_CANNOT_START);
    const char *where = launch->cwd ? launch->cwd : launch->dir;
    const char *program = launch->program ? launch->program : launch->argv[0];
    int out = open_log(launch->dir, BN_RUNDIR_STDOUT);
    int log = open_log(launch->dir, BN_RUNDIR_STDERR);
    int in = open("/dev/null", O_RDONLY);
    bool ok = in >= 0 && out >= 0 && log >= 0 && dup2(in, 0) == 0 && dup2(log, 2) == 2 &&
              dup2(out, 1) == 1 && chdir(where) == 0;
    if (ok) {
        (void)close_range(3, ~0U, 0);
        (void)execvpe(program, plain(launch->argv), plain(env));
    }
    (void)dprintf(2, "cannot start '%s' in %s: %s\n", program, where, strerrordesc_np(errno));
    _exit(EXIT_CANNOT_START);
}

/* A request to stop that came before there was a program to hear it. */
static void pass_on(pid_t program)
{
    sigset_t pending;
    if (sigpending(&pending) == 0 && sigismember(&pending, SIGTERM) == 1) {
        (void)kill(program, SIGTERM);
    }
}

/* The shepherd's whole life; never returns. */
static void become_shepherd(const bn_launch *launch, const char *const *env, int lock)
{
    bn_error ignored = {0};
    bn_process_note note = {.attempt = launch->attempt, .how.code = -1};
    int status = 0;
    (void)setsid(); /* all signals stay blocked: what is sent to the group is for the program */
    (void)dup2(lock, SHEPHERD_LOCK_FD);
    (void)close_range(SHEPHERD_LOCK_FD + 1, ~0U, 0);
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++) (void)dup2(null, fd);
    if (identify(getpid(), &note.identity, &ignored) == BN_OK) write_note(SHEPHERD_LOCK_FD, &note);
    int64_t oom_before = bn_oom_kills();
    pid_t self = getpid();
    /* vfork: the program needs nothing of our memory, and copying its page tables costs more than
     * all the rest of a short run. */
    pid_t program = vfork();                             /* NOLINT(*): it only execs or exits */
    if (program == 0) become_program(launch, env, self); /* NOLINT(*) */
    if (program > 0) pass_on(program);
    while (program > 0 && waitpid(program, &status, 0) < 0 && errno == EINTR) continue;
    bool signaled = program > 0 && WIFSIGNALED(status);
    note.how = (bn_exit){.known = true,
                         .code = program < 0 ? EXIT_CANNOT_START
                                 : signaled  ? -1
                                             : WEXITSTATUS(status),
                         .signal = signaled ? WTERMSIG(status) : 0};
    /* A shell tells of a command killed under it by its exit code. */
    bool killed = note.how.signal == SIGKILL || note.how.code == 128 + SIGKILL;
    note.how.oom = killed && bn_oom_kills() > oom_before;
    write_note(SHEPHERD_LOCK_FD, &note);
    (void)kill(0, SIGTERM); /* helpers that the program left behind; blocked here */
    _exit(signaled ? 128 + note.how.signal : note.how.code);
}

bn_status bn_process_start(const bn_launch *launch, bn_identity *out, bn_error *err)
{
    const char *env[ENV_MAX];
    bn_process_note blank = {.attempt = launch->attempt, .how.code = -1};
    sigset_t all, before;
    int lock = -1;
    *out = (bn_identity){0};
    if (bn_rundir_lock(launch->dir, &lock, err) != BN_OK) return err->status;
    write_note(lock, &blank); /* what the last attempt left is no evidence of this one */
    fill_environment(launch->env, env);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* no handler of ours runs in the shepherd */
    pid_t pid = fork();
    if (pid == 0) become_shepherd(launch, env, lock);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)close(lock); /* the shepherd's copy holds it */
    if (pid < 0) return bn_fail_errno(err, "start a process for %s", launch->dir);
    return identify(pid, out, err);
}

bn_status bn_process_look(const char *dir, bn_process_note *out, bool *alive, bn_error *err)
{
    char path[BN_PATH_MAX];
    enum { LOOKS = 1000 }; /* of a millisecond: a shepherd being born has the lock before a name */
    *out = (bn_process_note){.how.code = -1};
    *alive = false;
    if (bn_path_join(path, dir, BN_RUNDIR_PROCESS, err) != BN_OK) return err->status;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return bn_fail(err, BN_ENOENT, "%s: never started", dir);
    if (fd < 0) return bn_fail_errno(err, "open %s", path);
    for (int i = 0; i < LOOKS; i++) {
        *alive = flock(fd, LOCK_EX | LOCK_NB) != 0;
        read_note(fd, out);
        if (!*alive || out->identity.pid != 0) break;
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    (void)close(fd);
    return BN_OK;
}
