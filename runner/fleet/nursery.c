/* close_range and signalfd are Linux's own. */
#define _GNU_SOURCE /* NOLINT(*): glibc's name */
#include "runner/fleet/nursery.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REQUEST_MAX = 96 * 1024, WORDS_MAX = 4096, SOCKET_FD = 3 };

/* What the child is asked: a head, then texts one after the other, each with its NUL: the folder,
 * where to start, the program, the arguments, the variables. */
typedef struct request {
    int attempt, argument_count, variable_count;
    bool has_cwd, has_program;
} request;

/* What it says: how a start went, or that one of its shepherds has ended. */
typedef struct answer {
    bool ended;
    bn_identity identity; /* of an ended one the pid */
    bn_error err;
} answer;

struct bn_nursery {
    int fd; /* -1: it is gone */
    pid_t pid;
    int64_t *held; /* pids, in no order */
    size_t count, room;
    char buffer[REQUEST_MAX];
};

/* Room for a text behind *used; what does not fit makes it grow past the buffer. */
static void put_text(char buffer[REQUEST_MAX], size_t *used, const char *text)
{
    size_t bytes = strlen(text) + 1;
    if (*used + bytes <= REQUEST_MAX) memcpy(buffer + *used, text, bytes);
    *used += bytes;
}

/* 0: it is too long. */
static size_t put_request(char buffer[REQUEST_MAX], const bn_launch *launch)
{
    request head = {.attempt = launch->attempt,
                    .has_cwd = launch->cwd != NULL,
                    .has_program = launch->program != NULL};
    size_t used = sizeof head;
    put_text(buffer, &used, launch->dir);
    put_text(buffer, &used, launch->cwd ? launch->cwd : "");
    put_text(buffer, &used, launch->program ? launch->program : "");
    for (const char *const *a = launch->argv; *a; a++, head.argument_count++) {
        put_text(buffer, &used, *a);
    }
    for (const char *const *v = launch->env; v && *v; v++, head.variable_count++) {
        put_text(buffer, &used, *v);
    }
    memcpy(buffer, &head, sizeof head);
    bool fits = used <= REQUEST_MAX && head.argument_count + head.variable_count + 2 < WORDS_MAX;
    return fits ? used : 0;
}

static const char *take_text(const char **place)
{
    const char *text = *place;
    *place += strlen(text) + 1;
    return text;
}

/* In the child. The request came from our own manager: it is whole. */
static void serve(int fd, const char *buffer)
{
    const char *words[WORDS_MAX];
    const char *place = buffer + sizeof(request);
    request head;
    answer reply = {.ended = false};
    memcpy(&head, buffer, sizeof head);
    bn_launch launch = {.dir = take_text(&place), .attempt = head.attempt};
    const char *cwd = take_text(&place), *program = take_text(&place);
    launch.cwd = head.has_cwd ? cwd : NULL;
    launch.program = head.has_program ? program : NULL;
    size_t count = 0;
    launch.argv = words;
    for (int i = 0; i < head.argument_count; i++) words[count++] = take_text(&place);
    words[count++] = NULL;
    launch.env = words + count;
    for (int i = 0; i < head.variable_count; i++) words[count++] = take_text(&place);
    words[count] = NULL;
    (void)!bn_process_start(&launch, &reply.identity, &reply.err);
    ssize_t ignored = send(fd, &reply, sizeof reply, MSG_NOSIGNAL); /* gone: we hear of it next */
    (void)ignored;
}

/* Shepherds that have ended: says who, and wakes the manager. */
static void reap(int fd, int signals, pid_t manager)
{
    struct signalfd_siginfo info;
    answer news = {.ended = true};
    bool any = false;
    ssize_t ignored = read(signals, &info, sizeof info);
    for (pid_t pid = waitpid(-1, NULL, WNOHANG); pid > 0; pid = waitpid(-1, NULL, WNOHANG)) {
        news.identity.pid = pid;
        ignored = send(fd, &news, sizeof news, MSG_NOSIGNAL);
        any = true;
    }
    (void)ignored;
    if (any && getppid() == manager) (void)kill(manager, SIGCHLD);
}

/* The child's whole life; never returns. Signals stay blocked: a terminal's Ctrl-C is for the
 * manager to judge. */
static void become_nursery(int socket, pid_t manager, char *buffer)
{
    sigset_t child;
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)signal(SIGCHLD, SIG_DFL);
    /* None of the manager's files: a lock lives as long as anybody has it open. */
    if (dup2(socket, SOCKET_FD) != SOCKET_FD) _exit(1);
    (void)close_range(SOCKET_FD + 1, ~0U, 0);
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++) (void)dup2(null, fd);
    if (null > SOCKET_FD) (void)close(null);
    int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0) _exit(1);
    struct pollfd wait[] = {{.fd = SOCKET_FD, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    for (;;) {
        if (poll(wait, 2, -1) < 0 && errno != EINTR) _exit(1);
        if (wait[1].revents) reap(SOCKET_FD, signals, manager);
        if (!wait[0].revents) continue;
        ssize_t got = recv(SOCKET_FD, buffer, REQUEST_MAX, 0);
        if (got <= 0) _exit(0); /* the manager is gone */
        serve(SOCKET_FD, buffer);
    }
}

bn_status bn_nursery_open(bn_nursery **out, bn_error *err)
{
    int ends[2];
    sigset_t all, before;
    bn_nursery *nursery = calloc(1, sizeof *nursery);
    *out = NULL;
    if (!nursery) return bn_fail(err, BN_ENOMEM, "no memory for a process that starts runs");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        free(nursery);
        return bn_fail_errno(err, "make a pair of sockets");
    }
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t self = getpid();
    nursery->pid = fork();
    if (nursery->pid == 0) become_nursery(ends[1], self, nursery->buffer);
    int cause = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)close(ends[1]);
    nursery->fd = ends[0];
    if (nursery->pid < 0) {
        bn_nursery_close(nursery);
        errno = cause;
        return bn_fail_errno(err, "start a process that starts runs");
    }
    *out = nursery;
    return BN_OK;
}

/* It is gone, or is told to go. */
static void leave(bn_nursery *nursery)
{
    if (nursery->fd < 0) return;
    (void)close(nursery->fd);
    nursery->fd = -1;
    nursery->count = 0;
    while (nursery->pid > 0 && waitpid(nursery->pid, NULL, 0) < 0 && errno == EINTR) continue;
}

void bn_nursery_close(bn_nursery *nursery)
{
    if (!nursery) return;
    leave(nursery);
    free(nursery->held);
    free(nursery);
}

static void release(bn_nursery *nursery, int64_t pid)
{
    for (size_t i = 0; i < nursery->count; i++) {
        if (nursery->held[i] != pid) continue;
        nursery->held[i] = nursery->held[--nursery->count];
        return;
    }
}

/* Without memory for it the run is not held, and looked at instead. */
static void hold(bn_nursery *nursery, int64_t pid)
{
    if (nursery->count == nursery->room) {
        size_t room = nursery->room ? nursery->room * 2 : 64;
        int64_t *held = realloc(nursery->held, room * sizeof *held);
        if (!held) return;
        nursery->held = held;
        nursery->room = room;
    }
    nursery->held[nursery->count++] = pid;
}

/* Hears what it says up to the answer to a start, or with MSG_DONTWAIT all that it has said. False:
 * there is no answer. */
static bool hear(bn_nursery *nursery, int flags, answer *out)
{
    while (nursery->fd >= 0) {
        ssize_t got = recv(nursery->fd, out, sizeof *out, flags);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
        if (got != (ssize_t)sizeof *out) {
            leave(nursery);
        } else if (out->ended) {
            release(nursery, out->identity.pid);
        } else {
            return true;
        }
    }
    return false;
}

/* It went without an answer: whether the run was started is told by the run's folder. */
static bn_status start_here(const bn_launch *launch, bn_identity *out, bn_error *err)
{
    bn_process_note note;
    bn_error unknown = {0};
    bool alive = false;
    bn_status status = bn_process_look(launch->dir, &note, &alive, &unknown);
    bool started = status == BN_OK && note.attempt == launch->attempt && note.identity.pid != 0;
    if (!started) return bn_process_start(launch, out, err);
    *out = note.identity;
    return BN_OK;
}

bn_status bn_nursery_start(bn_nursery *nursery, const bn_launch *launch, bn_identity *out,
                           bn_error *err)
{
    answer reply;
    size_t bytes = nursery->fd >= 0 ? put_request(nursery->buffer, launch) : 0;
    if (bytes == 0) return bn_process_start(launch, out, err);
    ssize_t sent = send(nursery->fd, nursery->buffer, bytes, MSG_NOSIGNAL);
    if (sent < 0 && errno == EMSGSIZE) return bn_process_start(launch, out, err);
    if (sent < 0) leave(nursery);
    if (!hear(nursery, 0, &reply)) return start_here(launch, out, err);
    *out = reply.identity;
    if (reply.err.status != BN_OK) return bn_fail(err, reply.err.status, "%s", reply.err.text);
    hold(nursery, out->pid);
    return BN_OK;
}

bool bn_nursery_holds(bn_nursery *nursery, int64_t pid)
{
    answer ignored;
    (void)hear(nursery, MSG_DONTWAIT, &ignored);
    for (size_t i = 0; i < nursery->count; i++) {
        if (nursery->held[i] == pid) return true;
    }
    return false;
}
