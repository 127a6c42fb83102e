/* The MPI transport, a plug-in: the one file that knows mpi.h.
 *
 * A span is cut into one slice a rank. Every rank is sent all ranks' copies of its own slice, adds
 * them in rank order, and sends the result to all. MPI_Allreduce would be one call, but chooses its
 * order of addition by the size of the span and of the machine. Both exchanges are nonblocking and
 * are moved on whenever another span comes, so they run beside the backward pass.
 */
#include "engine/mpi/mpi_transport.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SPANS_MAX = 256, LOOKS_BETWEEN = 64 };

/* Where a span is on its way. */
typedef enum stage { SCATTERING, GATHERING, DONE } stage;

typedef struct span {
    float *data;
    float *slices; /* [world * own]: every rank's copy of our slice */
    size_t count;
    int *counts, *starts;         /* [world] of the slices in data */
    int *own_counts, *own_starts; /* [world] of the copies in slices */
    MPI_Request request;
    stage at;
} span;

/* Two communicators: in each, spans follow one another in the same order on all ranks, however far
 * a rank is ahead with the other exchange. */
typedef struct mpi {
    bn_peers peers;
    MPI_Comm scatter, gather;
    span spans[SPANS_MAX];
    int begun, done; /* of spans since the last finish */
    int *tables;     /* of all spans: 4 * world each */
    float *room;     /* for slices */
    size_t room_floats, used;
    bn_error failure;
} mpi;

static void check(mpi *m, int code, const char *what)
{
    char words[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    if (code == MPI_SUCCESS || m->failure.status != BN_OK) return;
    (void)MPI_Error_string(code, words, &length);
    (void)bn_fail(&m->failure, BN_EIO, "%s: %.160s", what, words);
}

static int slice_start(size_t count, int rank, int world)
{
    return (int)(count * (size_t)rank / (size_t)world);
}

static void lay_out(mpi *m, span *s)
{
    int world = m->peers.world, rank = m->peers.rank;
    int own = slice_start(s->count, rank + 1, world) - slice_start(s->count, rank, world);
    for (int i = 0; i < world; i++) {
        s->starts[i] = slice_start(s->count, i, world);
        s->counts[i] = slice_start(s->count, i + 1, world) - s->starts[i];
        s->own_starts[i] = i * own;
        s->own_counts[i] = own;
    }
    s->slices = m->room + m->used;
    m->used += (size_t)world * (size_t)own;
}

/* Adds the copies of our slice, in rank order, into its place; then it goes to everybody. */
static void add_and_gather(mpi *m, span *s)
{
    int rank = m->peers.rank;
    size_t own = (size_t)s->own_counts[0];
    float *sum = s->data + s->starts[rank];
    memcpy(sum, s->slices, own * sizeof *sum);
    for (int i = 1; i < m->peers.world; i++) {
        const float *its = s->slices + (size_t)i * own;
        for (size_t j = 0; j < own; j++) sum[j] += its[j];
    }
    s->at = GATHERING;
    check(m,
          MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, s->data, s->counts, s->starts,
                          MPI_FLOAT, m->gather, &s->request),
          "MPI_Iallgatherv");
}

/* Moves on what has arrived. Spans leave a stage in order, so every rank posts in the same order.
 */
static void move_on(mpi *m)
{
    for (int i = m->done; i < m->begun && m->failure.status == BN_OK; i++) {
        span *s = &m->spans[i];
        int arrived = 0;
        if (s->at == DONE) continue;
        check(m, MPI_Test(&s->request, &arrived, MPI_STATUS_IGNORE), "MPI_Test");
        if (m->failure.status != BN_OK) return;
        if (s->at == SCATTERING && !arrived) return;
        if (s->at == SCATTERING) {
            add_and_gather(m, s);
        } else if (arrived) {
            s->at = DONE;
        }
        while (m->done < m->begun && m->spans[m->done].at == DONE) m->done++;
    }
}

static void wait_for_all(mpi *m)
{
    int looks = 0;
    while (m->done < m->begun && m->failure.status == BN_OK) {
        move_on(m);
        if (++looks % LOOKS_BETWEEN != 0) continue;
        (void)m->peers.alive(m->peers.self, &m->failure);
        (void)nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    }
}

static void mpi_sum(void *self, float *data, size_t count)
{
    mpi *m = self;
    if (m->begun == SPANS_MAX) {
        wait_for_all(m);
        m->begun = m->done = 0;
        m->used = 0;
    }
    if (m->failure.status != BN_OK) return;
    span *s = &m->spans[m->begun];
    s->data = data;
    s->count = count;
    s->at = SCATTERING;
    lay_out(m, s);
    check(m,
          MPI_Ialltoallv(data, s->counts, s->starts, MPI_FLOAT, s->slices, s->own_counts,
                         s->own_starts, MPI_FLOAT, m->scatter, &s->request),
          "MPI_Ialltoallv");
    if (m->failure.status == BN_OK) m->begun++;
    move_on(m);
}

static bn_status mpi_finish(void *self, bn_error *err)
{
    mpi *m = self;
    wait_for_all(m);
    m->begun = m->done = 0;
    m->used = 0;
    if (m->failure.status == BN_OK) return BN_OK;
    return bn_fail(err, m->failure.status, "%s", m->failure.text);
}

static void mpi_close(void *self, int broken)
{
    mpi *m = self;
    /* With a rank lost MPI_Finalize would wait for it; mpirun ends what is left. */
    if (!broken && m->failure.status == BN_OK) {
        (void)MPI_Comm_free(&m->scatter);
        (void)MPI_Comm_free(&m->gather);
        (void)MPI_Finalize();
    }
    free(m->tables);
    free(m->room);
    free(m);
}

static bn_status take_room(mpi *m, const bn_transport_args *args, bn_error *err)
{
    size_t world = (size_t)args->peers.world;
    /* A span's slices are at most a float a rank longer than the span shared out evenly. */
    m->room_floats = args->floats + SPANS_MAX * world;
    m->room = calloc(m->room_floats, sizeof *m->room);
    m->tables = calloc(SPANS_MAX * 4 * world, sizeof *m->tables);
    if (!m->room || !m->tables) {
        return bn_fail(err, BN_ENOMEM, "no memory to sum %zu gradients", args->floats);
    }
    for (size_t i = 0; i < SPANS_MAX; i++) {
        int *table = m->tables + i * 4 * world;
        m->spans[i].counts = table;
        m->spans[i].starts = table + world;
        m->spans[i].own_counts = table + 2 * world;
        m->spans[i].own_starts = table + 3 * world;
    }
    return BN_OK;
}

static bn_status join(mpi *m, bn_error *err)
{
    int rank = -1, world = 0, provided = 0;
    check(m, MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
    if (m->failure.status != BN_OK) return bn_fail(err, BN_EIO, "%s", m->failure.text);
    (void)MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    (void)MPI_Comm_size(MPI_COMM_WORLD, &world);
    if (rank != m->peers.rank || world != m->peers.world) {
        return bn_fail(err, BN_EINVAL,
                       "MPI says rank %d of %d, the environment rank %d of %d: is "
                       "this the mpirun of the MPI that bnexp was built with?",
                       rank, world, m->peers.rank, m->peers.world);
    }
    (void)MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    check(m, MPI_Comm_dup(MPI_COMM_WORLD, &m->scatter), "MPI_Comm_dup");
    check(m, MPI_Comm_dup(MPI_COMM_WORLD, &m->gather), "MPI_Comm_dup");
    if (m->failure.status == BN_OK) return BN_OK;
    return bn_fail(err, BN_EIO, "%s", m->failure.text);
}

bn_status bn_mpi_transport(bn_transport *out, const bn_transport_args *args, bn_error *err)
{
    static const struct bn_transport_ops ops = {"mpi", mpi_sum, mpi_finish, mpi_close};
    if (args->abi != BN_TRANSPORT_ABI) {
        return bn_fail(err, BN_EINVAL, "the MPI plug-in is of another version of bnexp");
    }
    mpi *m = calloc(1, sizeof *m);
    if (!m) return bn_fail(err, BN_ENOMEM, "no memory for MPI");
    m->peers = args->peers;
    bn_status status = take_room(m, args, err);
    if (status == BN_OK) status = join(m, err);
    if (status != BN_OK) {
        mpi_close(m, 1);
        return status;
    }
    *out = (bn_transport){&ops, m};
    return BN_OK;
}
