#include "engine/parallel_meet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

enum { HOST_MAX = 64, SECRET_BYTES = 32, SECRET_HEX = 65, FILE_MAX = 1 << 16, POLL_MS = 100 };
enum { ADDRESSES_MAX = 16, KEEPALIVE_IDLE_S = 30, KEEPALIVE_EVERY_S = 10, KEEPALIVE_TRIES = 6 };
static const double HELLO_S = 10;

/* First words of both sides: rank 0 answers with its own. */
typedef struct hello {
    char secret[SECRET_HEX];
    char host[HOST_MAX];
    int32_t rank, world, pid;
} hello;

static hello hello_of(const bn_ranks *ranks, const char *secret)
{
    hello mine = {.rank = ranks->rank, .world = ranks->world, .pid = (int32_t)getpid()};
    memcpy(mine.secret, secret, SECRET_HEX);
    if (gethostname(mine.host, HOST_MAX - 1) != 0) mine.host[0] = '\0';
    return mine;
}

static bn_status make_secret(char hex[SECRET_HEX], bn_error *err)
{
    unsigned char bytes[SECRET_BYTES];
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    if (fd >= 0) (void)close(fd);
    if (got != (ssize_t)sizeof bytes) return bn_fail_errno(err, "read /dev/urandom");
    for (int i = 0; i < SECRET_BYTES; i++) {
        (void)snprintf(hex + (size_t)(2 * i), 3, "%02x", bytes[i]);
    }
    return BN_OK;
}

static bool given_up(const bn_wires_spec *spec)
{
    return spec->stop && *spec->stop;
}

/* Small messages must not wait for each other, and a machine that fell silent must be noticed. */
static void tune(int fd)
{
    int on = 1, idle = KEEPALIVE_IDLE_S, every = KEEPALIVE_EVERY_S, tries = KEEPALIVE_TRIES;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof tries);
}

/* All of a hello within HELLO_S; anything else on the other side is nobody of ours. */
static bool read_hello(int fd, hello *out)
{
    char *at = (char *)out;
    size_t left = sizeof *out;
    double until_s = bn_clock_mono_s() + HELLO_S;
    while (left > 0 && bn_clock_mono_s() < until_s) {
        struct pollfd look = {.fd = fd, .events = POLLIN};
        if (poll(&look, 1, POLL_MS) <= 0) continue;
        ssize_t got = recv(fd, at, left, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return false;
        if (got < 0) continue;
        at += got;
        left -= (size_t)got;
    }
    out->host[HOST_MAX - 1] = '\0';
    return left == 0;
}

static bool send_hello(int fd, const hello *mine)
{
    return send(fd, mine, sizeof *mine, MSG_NOSIGNAL) == (ssize_t)sizeof *mine;
}

static void name_peer(bn_peer *peer, int fd, const hello *its)
{
    peer->fd = fd;
    (void)snprintf(peer->name, sizeof peer->name, "rank %d (%s, process %d)", its->rank, its->host,
                   its->pid);
}

static bn_status listen_somewhere(const bn_ranks *ranks, int *out, int *port, bn_error *err)
{
    bool here = ranks->local_world == ranks->world;
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(here ? INADDR_LOOPBACK : INADDR_ANY)};
    socklen_t size = sizeof at;
    struct sockaddr *plain = (struct sockaddr *)&at;
    *out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*out < 0 || bind(*out, plain, size) != 0 || listen(*out, ranks->world) != 0 ||
        getsockname(*out, plain, &size) != 0) {
        return bn_fail_errno(err, "listen for the other ranks");
    }
    *port = ntohs(at.sin_port);
    return BN_OK;
}

static void add_addresses(bn_text *text, bool here)
{
    struct ifaddrs *all = NULL;
    bn_text_add(text, here ? "address=127.0.0.1\n" : "");
    if (here || getifaddrs(&all) != 0) return;
    for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
        char words[INET_ADDRSTRLEN];
        struct sockaddr_in at;
        if (!one->ifa_addr || one->ifa_addr->sa_family != AF_INET) continue;
        memcpy(&at, one->ifa_addr, sizeof at);
        if (!inet_ntop(AF_INET, &at.sin_addr, words, sizeof words)) continue;
        bn_text_addf(text, "address=%s\n", words);
    }
    freeifaddrs(all);
}

static bn_status write_file(const bn_wires_spec *spec, const char *path, const char *secret,
                            int port, bn_error *err)
{
    bn_text text = {0};
    bn_text_addf(&text, "token=%s\nsecret=%s\nport=%d\n", spec->ranks->token, secret, port);
    add_addresses(&text, spec->ranks->local_world == spec->ranks->world);
    bn_status status = text.failed ? bn_fail(err, BN_ENOMEM, "no memory for %s", path)
                                   : bn_file_write(path, text.data, text.length, 0600, err);
    bn_text_release(&text);
    return status;
}

/* One caller: taken when it is a rank that we wait for. Others are hung up on. */
static bn_status welcome(bn_peer *peers, const bn_wires_spec *spec, const hello *mine, int fd,
                         bn_error *err)
{
    hello its;
    tune(fd);
    bool ours = read_hello(fd, &its) && memcmp(its.secret, mine->secret, SECRET_HEX) == 0;
    if (!ours) {
        (void)close(fd);
        return BN_OK;
    }
    bool fits = its.world == spec->ranks->world && its.rank > 0 && its.rank < its.world &&
                peers[its.rank].fd < 0;
    if (!fits || !send_hello(fd, mine)) {
        (void)close(fd);
        return fits ? BN_OK
                    : bn_fail(err, BN_EINVAL,
                              "a process calls itself rank %d of %d; rank 0 is of "
                              "%d, and each has one",
                              its.rank, its.world, spec->ranks->world);
    }
    name_peer(&peers[its.rank], fd, &its);
    return BN_OK;
}

static bn_status missing(const bn_peer *peers, const bn_wires_spec *spec, bn_error *err)
{
    int absent = 1;
    while (absent < spec->ranks->world && peers[absent].fd >= 0) absent++;
    if (given_up(spec)) return bn_fail(err, BN_EAGAIN, "asked to stop while waiting for ranks");
    return bn_fail(err, BN_EAGAIN, "rank %d of %d did not come within %.0f s", absent,
                   spec->ranks->world, spec->wait_s);
}

static bn_status receive_all_ranks(bn_peer *peers, const bn_wires_spec *spec, const hello *mine,
                                   int listener, bn_error *err)
{
    double until_s = bn_clock_mono_s() + spec->wait_s;
    int here = 1;
    while (here < spec->ranks->world) {
        struct pollfd look = {.fd = listener, .events = POLLIN};
        if (given_up(spec) || bn_clock_mono_s() > until_s) return missing(peers, spec, err);
        if (poll(&look, 1, POLL_MS) <= 0) continue;
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) continue;
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        if (welcome(peers, spec, mine, fd, err) != BN_OK) return err->status;
        here = 1;
        for (int i = 1; i < spec->ranks->world; i++) here += peers[i].fd >= 0;
    }
    return BN_OK;
}

static bn_status be_found(bn_peer *peers, const bn_wires_spec *spec, const char *path,
                          bn_error *err)
{
    char secret[SECRET_HEX];
    int listener = -1, port = 0;
    bn_status status = make_secret(secret, err);
    if (status == BN_OK) status = listen_somewhere(spec->ranks, &listener, &port, err);
    if (status == BN_OK) status = write_file(spec, path, secret, port, err);
    if (status == BN_OK) {
        hello mine = hello_of(spec->ranks, secret);
        status = receive_all_ranks(peers, spec, &mine, listener, err);
    }
    if (listener >= 0) (void)close(listener);
    (void)unlink(path);
    return status;
}

/* What the file says, when it is of this very start. */
typedef struct meeting {
    char secret[SECRET_HEX];
    int port, count;
    char addresses[ADDRESSES_MAX][INET_ADDRSTRLEN];
} meeting;

static void read_line(meeting *out, const char *line, bool *ours, const char *token)
{
    size_t span = strcspn(line, "\n");
    const char *value = memchr(line, '=', span);
    if (!value) return;
    int length = (int)(span - (size_t)(++value - line));
    if (strncmp(line, "token=", 6) == 0) {
        *ours = (size_t)length == strlen(token) && strncmp(value, token, (size_t)length) == 0;
    } else if (strncmp(line, "secret=", 7) == 0) {
        (void)snprintf(out->secret, sizeof out->secret, "%.*s", length, value);
    } else if (strncmp(line, "port=", 5) == 0) {
        out->port = (int)strtol(value, NULL, 10);
    } else if (strncmp(line, "address=", 8) == 0 && out->count < ADDRESSES_MAX) {
        (void)snprintf(out->addresses[out->count++], INET_ADDRSTRLEN, "%.*s", length, value);
    }
}

static bool read_file(const bn_wires_spec *spec, const char *path, meeting *out)
{
    char *text = NULL;
    size_t size = 0;
    bool ours = false;
    bn_error not_yet = {0};
    *out = (meeting){0};
    if (bn_file_read(path, FILE_MAX, &text, &size, &not_yet) != BN_OK) return false;
    for (const char *line = text; *line;) {
        read_line(out, line, &ours, spec->ranks->token);
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    free(text);
    return ours && out->port > 0;
}

/* A connection to rank 0 at one of its addresses, or false. */
static bool call(bn_peer *peer, const bn_wires_spec *spec, const meeting *where,
                 const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)where->port)};
    hello mine = hello_of(spec->ranks, where->secret), its;
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1) return false;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) {
        tune(fd);
        bool ours = send_hello(fd, &mine) && read_hello(fd, &its) && its.rank == 0 &&
                    memcmp(its.secret, mine.secret, SECRET_HEX) == 0;
        if (ours) {
            name_peer(peer, fd, &its);
            return true;
        }
    }
    (void)close(fd);
    return false;
}

static bn_status find(bn_peer *peer, const bn_wires_spec *spec, const char *path, bn_error *err)
{
    double until_s = bn_clock_mono_s() + spec->wait_s;
    meeting where;
    while (!given_up(spec) && bn_clock_mono_s() < until_s) {
        bool known = read_file(spec, path, &where);
        for (int i = 0; known && i < where.count; i++) {
            if (call(peer, spec, &where, where.addresses[i])) return BN_OK;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L / 4}, NULL);
    }
    if (given_up(spec)) return bn_fail(err, BN_EAGAIN, "asked to stop while waiting for rank 0");
    return bn_fail(err, BN_EAGAIN, "rank %d found no rank 0 by %s within %.0f s", spec->ranks->rank,
                   path, spec->wait_s);
}

bn_status bn_meet(bn_peer *peers, const bn_wires_spec *spec, bn_error *err)
{
    char path[BN_PATH_MAX];
    if (bn_path_join(path, spec->dir, BN_WIRES_FILE, err) != BN_OK) return err->status;
    if (spec->ranks->rank == 0) return be_found(peers, spec, path, err);
    return find(&peers[0], spec, path, err);
}
