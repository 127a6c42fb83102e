/* POLLRDHUP, the news that the other end has closed, is Linux's own. */
#define _GNU_SOURCE /* NOLINT(*): glibc's name */
#include "engine/parallel_wires.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/parallel_meet.h"

/* A frame is a head and its bytes. Data is read by who waits for it; a failure by whoever looks. */
typedef enum frame_kind { FRAME_DATA = 0x626e6431, FRAME_FAILED = 0x626e6632 } frame_kind;
typedef struct frame_head {
    uint32_t kind, bytes;
} frame_head;

enum { WHY_MAX = 240, TICK_MS = 200, SUM_CHUNK = 1 << 16 };

/* A rank that lives but says nothing: longer than any checkpoint or validation takes. */
static const double SILENCE_S = 1800;
static const double FAREWELL_S = 5;

struct bn_wires {
    const bn_ranks *ranks;
    bn_peer *peers; /* rank 0: [world], the first unused; others: [1], rank 0 */
    int count;
    float *chunk; /* [SUM_CHUNK] */
    bool told;    /* the failure came over the wire */
};

static bool is_centre(const bn_wires *wires)
{
    return wires->ranks->rank == 0;
}

/* The first peer and one behind the last: rank 0 has no wire to itself. */
static int first_peer(const bn_wires *wires)
{
    return is_centre(wires) ? 1 : 0;
}

/* Reads without waiting until there is nothing or no more wire; what it failed of, if it said so.
 */
static bool last_words(int fd, char why[WHY_MAX])
{
    char skipped[4096];
    frame_head head;
    while (recv(fd, &head, sizeof head, MSG_DONTWAIT) == (ssize_t)sizeof head) {
        if (head.kind == FRAME_FAILED) {
            ssize_t got = recv(fd, why, WHY_MAX - 1, MSG_DONTWAIT);
            why[got > 0 ? got : 0] = '\0';
            return got > 0;
        }
        while (head.bytes > 0) {
            size_t part = head.bytes < sizeof skipped ? head.bytes : sizeof skipped;
            ssize_t got = recv(fd, skipped, part, MSG_DONTWAIT);
            if (got <= 0) return false;
            head.bytes -= (uint32_t)got;
        }
    }
    return false;
}

/* Why a peer is no longer with us. Rank 0 passes on what others said with their names in it. */
static bn_status gone(bn_wires *wires, const bn_peer *peer, bn_error *err)
{
    char why[WHY_MAX] = "";
    bool said = last_words(peer->fd, why);
    wires->told = !is_centre(wires);
    if (said && !is_centre(wires)) return bn_fail(err, BN_EIO, "%s", why);
    if (said) return bn_fail(err, BN_EIO, "%s: %s", peer->name, why);
    return bn_fail(err, BN_EIO, "%s is gone: it ended without a word", peer->name);
}

bn_status bn_wires_alive(bn_wires *wires, bn_error *err)
{
    for (int i = first_peer(wires); i < wires->count; i++) {
        const bn_peer *peer = &wires->peers[i];
        frame_head head = {0};
        struct pollfd look = {.fd = peer->fd, .events = POLLIN | POLLRDHUP};
        if (poll(&look, 1, 0) <= 0) continue;
        if (look.revents & (POLLRDHUP | POLLHUP | POLLERR)) return gone(wires, peer, err);
        ssize_t got = recv(peer->fd, &head, sizeof head, MSG_PEEK | MSG_DONTWAIT);
        if (got == (ssize_t)sizeof head && head.kind == FRAME_FAILED) return gone(wires, peer, err);
    }
    return BN_OK;
}

/* Waits until fd can be read or written. While it waits to read it watches the other wires too. */
static bn_status wait_ready(bn_wires *wires, const bn_peer *peer, short events, bn_error *err)
{
    double until_s = bn_clock_mono_s() + SILENCE_S;
    for (;;) {
        struct pollfd look = {.fd = peer->fd, .events = events};
        int ready = poll(&look, 1, TICK_MS);
        if (ready > 0) return BN_OK;
        if (ready < 0 && errno != EINTR) return bn_fail_errno(err, "wait for %s", peer->name);
        if (events == POLLIN && bn_wires_alive(wires, err) != BN_OK) return err->status;
        if (bn_clock_mono_s() > until_s) {
            return bn_fail(err, BN_EIO, "%s has said nothing for %.0f s", peer->name, SILENCE_S);
        }
    }
}

static bn_status send_all(bn_wires *wires, const bn_peer *peer, const void *data, size_t bytes,
                          bn_error *err)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t sent = send(peer->fd, at, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            at += sent;
            bytes -= (size_t)sent;
        } else if (errno == EAGAIN || errno == EINTR) {
            if (wait_ready(wires, peer, POLLOUT, err) != BN_OK) return err->status;
        } else {
            return gone(wires, peer, err);
        }
    }
    return BN_OK;
}

static bn_status receive_all(bn_wires *wires, const bn_peer *peer, void *data, size_t bytes,
                             bn_error *err)
{
    char *at = data;
    while (bytes > 0) {
        ssize_t got = recv(peer->fd, at, bytes, MSG_DONTWAIT);
        if (got > 0) {
            at += got;
            bytes -= (size_t)got;
        } else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (wait_ready(wires, peer, POLLIN, err) != BN_OK) return err->status;
        } else {
            return gone(wires, peer, err);
        }
    }
    return BN_OK;
}

static bn_status send_data(bn_wires *wires, int to, const void *data, size_t bytes, bn_error *err)
{
    frame_head head = {FRAME_DATA, (uint32_t)bytes};
    bn_status status = send_all(wires, &wires->peers[to], &head, sizeof head, err);
    return status == BN_OK ? send_all(wires, &wires->peers[to], data, bytes, err) : status;
}

static bn_status receive_data(bn_wires *wires, int from, void *data, size_t bytes, bn_error *err)
{
    const bn_peer *peer = &wires->peers[from];
    frame_head head;
    char why[WHY_MAX] = "";
    if (receive_all(wires, peer, &head, sizeof head, err) != BN_OK) return err->status;
    if (head.kind == FRAME_DATA && head.bytes == bytes) {
        return receive_all(wires, peer, data, bytes, err);
    }
    if (head.kind != FRAME_FAILED || head.bytes >= WHY_MAX) {
        return bn_fail(err, BN_EIO, "%s is out of step with rank %d", peer->name,
                       wires->ranks->rank);
    }
    if (receive_all(wires, peer, why, head.bytes, err) != BN_OK) return err->status;
    wires->told = !is_centre(wires);
    if (!is_centre(wires)) return bn_fail(err, BN_EIO, "%s", why);
    return bn_fail(err, BN_EIO, "%s: %s", peer->name, why);
}

bn_status bn_wires_open(bn_wires **out, const bn_wires_spec *spec, bn_error *err)
{
    assert(spec->ranks->world >= 2);
    *out = NULL;
    bn_wires *wires = calloc(1, sizeof *wires);
    if (!wires) return bn_fail(err, BN_ENOMEM, "no memory for the ranks' wires");
    wires->ranks = spec->ranks;
    wires->count = is_centre(wires) ? spec->ranks->world : 1;
    wires->chunk = calloc(SUM_CHUNK, sizeof *wires->chunk);
    wires->peers = calloc((size_t)wires->count, sizeof *wires->peers);
    for (int i = 0; wires->peers && i < wires->count; i++) wires->peers[i].fd = -1;
    bn_status status = BN_OK;
    if (!wires->chunk || !wires->peers) {
        status = bn_fail(err, BN_ENOMEM, "no memory for the ranks' wires");
    }
    if (status == BN_OK) status = bn_meet(wires->peers, spec, err);
    if (status != BN_OK) {
        bn_wires_close(wires);
        return status;
    }
    *out = wires;
    return BN_OK;
}

void bn_wires_close(bn_wires *wires)
{
    if (!wires) return;
    for (int i = 0; wires->peers && i < wires->count; i++) {
        if (wires->peers[i].fd >= 0) (void)close(wires->peers[i].fd);
    }
    free(wires->peers);
    free(wires->chunk);
    free(wires);
}

bn_status bn_wires_gather(bn_wires *wires, const void *mine, void *all, size_t bytes, bn_error *err)
{
    size_t world = (size_t)wires->ranks->world;
    bn_status status = BN_OK;
    if (!is_centre(wires)) {
        status = send_data(wires, 0, mine, bytes, err);
        return status == BN_OK ? receive_data(wires, 0, all, world * bytes, err) : status;
    }
    memcpy(all, mine, bytes);
    for (int i = 1; i < wires->count && status == BN_OK; i++) {
        status = receive_data(wires, i, (char *)all + (size_t)i * bytes, bytes, err);
    }
    for (int i = 1; i < wires->count && status == BN_OK; i++) {
        status = send_data(wires, i, all, world * bytes, err);
    }
    return status;
}

static bn_status sum_chunk(bn_wires *wires, float *data, size_t count, bn_error *err)
{
    size_t bytes = count * sizeof *data;
    bn_status status = BN_OK;
    if (!is_centre(wires)) {
        status = send_data(wires, 0, data, bytes, err);
        return status == BN_OK ? receive_data(wires, 0, data, bytes, err) : status;
    }
    for (int i = 1; i < wires->count && status == BN_OK; i++) {
        status = receive_data(wires, i, wires->chunk, bytes, err);
        for (size_t j = 0; j < count && status == BN_OK; j++) data[j] += wires->chunk[j];
    }
    for (int i = 1; i < wires->count && status == BN_OK; i++) {
        status = send_data(wires, i, data, bytes, err);
    }
    return status;
}

bn_status bn_wires_sum(bn_wires *wires, float *data, size_t count, bn_error *err)
{
    bn_status status = BN_OK;
    for (size_t at = 0; at < count && status == BN_OK; at += SUM_CHUNK) {
        size_t part = count - at < SUM_CHUNK ? count - at : SUM_CHUNK;
        status = sum_chunk(wires, data + at, part, err);
    }
    return status;
}

/* Reads on until the other end has closed: to close at once with unread bytes would reset the
 * connection and take our last words with it. */
static void linger(int fd, double until_s)
{
    char skipped[4096];
    (void)shutdown(fd, SHUT_WR);
    while (bn_clock_mono_s() < until_s) {
        struct pollfd look = {.fd = fd, .events = POLLIN};
        if (poll(&look, 1, TICK_MS) <= 0) continue;
        ssize_t got = recv(fd, skipped, sizeof skipped, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return;
    }
}

void bn_wires_fail(bn_wires *wires, const char *why)
{
    char text[WHY_MAX];
    if (wires->told) return;
    bool names_one = strncmp(why, "rank ", 5) == 0; /* of the rank that failed first */
    int length = is_centre(wires) && !names_one ? snprintf(text, sizeof text, "rank 0: %s", why)
                                                : snprintf(text, sizeof text, "%s", why);
    if (length >= (int)sizeof text) length = (int)sizeof text - 1;
    frame_head head = {FRAME_FAILED, (uint32_t)length};
    for (int i = first_peer(wires); i < wires->count; i++) {
        int fd = wires->peers[i].fd;
        bool sent = send(fd, &head, sizeof head, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
        if (sent) (void)!send(fd, text, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    double until_s = bn_clock_mono_s() + FAREWELL_S;
    for (int i = first_peer(wires); i < wires->count; i++) linger(wires->peers[i].fd, until_s);
}
