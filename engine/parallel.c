#include "engine/parallel.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/sha256.h"
#include "engine/parallel_transport.h"
#include "engine/parallel_wires.h"

/* Gradients travel in pieces of so many: few enough pieces for a wire's latency not to matter, many
 * enough to be on their way early. */
enum { BUCKET_MIN_FLOATS = 1 << 18, BUCKET_MAX_FLOATS = 1 << 22, WEIGHT_CHUNK = 1 << 16 };
static const double WAIT_S = 300;

struct bn_parallel {
    bn_ranks ranks;
    bn_wires *wires; /* NULL: alone */
    bn_transport transport;
    bn_model *model;
    size_t from;  /* gradients at and behind it are on their way */
    double *room; /* [world * BN_PARALLEL_NUMBERS_MAX] */
    bool broken;
};

bn_status bn_parallel_open(bn_parallel **out, const bn_parallel_spec *spec, bn_error *err)
{
    *out = NULL;
    bn_parallel *p = calloc(1, sizeof *p);
    if (!p) return bn_fail(err, BN_ENOMEM, "no memory for the ranks of a run");
    p->ranks = spec->ranks ? *spec->ranks : bn_ranks_alone();
    p->room = calloc((size_t)p->ranks.world * BN_PARALLEL_NUMBERS_MAX, sizeof *p->room);
    bn_status status = p->room ? BN_OK : bn_fail(err, BN_ENOMEM, "no memory for ranks");
    if (status == BN_OK && p->ranks.world > 1) {
        bn_wires_spec wires = {.ranks = &p->ranks,
                               .dir = spec->dir,
                               .wait_s = spec->wait_s > 0 ? spec->wait_s : WAIT_S,
                               .stop = spec->stop};
        status = bn_wires_open(&p->wires, &wires, err);
    }
    if (status != BN_OK) {
        bn_parallel_close(p);
        return status;
    }
    *out = p;
    return BN_OK;
}

void bn_parallel_close(bn_parallel *p)
{
    if (!p) return;
    if (p->model) bn_model_listen(p->model, (bn_grad_listener){NULL, NULL});
    if (p->transport.ops) p->transport.ops->close(p->transport.self, p->broken);
    bn_wires_close(p->wires);
    free(p->room);
    free(p);
}

bn_status bn_parallel_share(bn_config *share, const bn_config *config, const bn_ranks *ranks,
                            bn_error *err)
{
    int64_t world = ranks ? ranks->world : 1, here = ranks ? ranks->local_world : 1;
    int64_t batch = config->train.batch, threads = config->train.threads;
    if (batch % world != 0) {
        return bn_fail(err, BN_EINVAL,
                       "'train.batch' must be a multiple of the %lld ranks that share it, is %lld; "
                       "%lld would do",
                       (long long)world, (long long)batch,
                       (long long)((batch / world + 1) * world));
    }
    *share = *config;
    share->train.batch = batch / world;
    if (threads > 0) share->train.threads = threads > here ? threads / here : 1;
    return BN_OK;
}

/* 48 bits of what is trained and on what: as many as a double surely holds. */
static double identity_of(const bn_checkpoint *start)
{
    char hex[BN_SHA256_HEX];
    bn_text knobs = {0};
    bn_json json = {.text = &knobs};
    bn_sha256 hash;
    bn_config_json(start->config, true, &json);
    bn_sha256_init(&hash);
    bn_sha256_add(&hash, knobs.data, knobs.length);
    bn_sha256_add(&hash, start->data_hash, strlen(start->data_hash));
    bn_sha256_end(&hash, hex);
    bn_text_release(&knobs);
    hex[12] = '\0';
    return (double)strtoll(hex, NULL, 16);
}

bn_status bn_parallel_agree(bn_parallel *p, const bn_checkpoint *start, bn_error *err)
{
    double mine[2] = {(double)start->progress->step, identity_of(start)};
    if (bn_parallel_gather(p, mine, 2, p->room, err) != BN_OK) return err->status;
    for (int rank = 1; rank < p->ranks.world; rank++) {
        const double *its = p->room + (size_t)rank * 2;
        if (its[1] != p->room[1]) {
            return bn_fail(err, BN_EINVAL, "rank %d has other data or knobs than rank 0", rank);
        }
        if (its[0] != p->room[0]) {
            return bn_fail(err, BN_EIO,
                           "rank %d goes on from step %.0f, rank 0 from %.0f; do all "
                           "see the same folder?",
                           rank, its[0], p->room[0]);
        }
    }
    return BN_OK;
}

int bn_parallel_rank(const bn_parallel *p)
{
    return p->ranks.rank;
}

int bn_parallel_world(const bn_parallel *p)
{
    return p->ranks.world;
}

bool bn_parallel_first_here(const bn_parallel *p)
{
    return p->ranks.local_rank == 0;
}

const char *bn_parallel_transport(const bn_parallel *p)
{
    return p->transport.ops ? p->transport.ops->name : "alone";
}

static bn_status peers_alive(void *self, bn_error *err)
{
    return bn_wires_alive(self, err);
}

static bn_status peers_gather(void *self, const void *mine, void *all, size_t bytes, bn_error *err)
{
    return bn_wires_gather(self, mine, all, bytes, err);
}

/* Everything at and behind `from` has its gradient: send what is enough for a bucket. */
static void pass_on(void *self, size_t from)
{
    bn_parallel *p = self;
    while (p->from > from) {
        size_t ready = p->from - from,
               count = ready < BUCKET_MAX_FLOATS ? ready : BUCKET_MAX_FLOATS;
        if (count < BUCKET_MIN_FLOATS && from > 0) return;
        p->from -= count;
        p->transport.ops->sum(p->transport.self, p->model->grads + p->from, count);
    }
}

bn_status bn_parallel_attach(bn_parallel *p, bn_model *model,
                             void (*say)(void *self, const char *line), void *say_self,
                             bn_error *err)
{
    if (!p->wires) return BN_OK;
    p->model = model;
    bn_transport_args args = {.abi = BN_TRANSPORT_ABI,
                              .peers = {.rank = p->ranks.rank,
                                        .world = p->ranks.world,
                                        .self = p->wires,
                                        .alive = peers_alive,
                                        .gather = peers_gather},
                              .floats = model->params.floats,
                              .backend = model->be.self};
    bn_transport_choice choice = {.backend = model->be.ops->name,
                                  .mpi = p->ranks.mpi,
                                  .wires = p->wires,
                                  .say = say,
                                  .say_self = say_self};
    return bn_transport_choose(&p->transport, &args, &choice, err);
}

bn_status bn_parallel_gather(bn_parallel *p, const double *mine, int count, double *all,
                             bn_error *err)
{
    assert(count <= BN_PARALLEL_NUMBERS_MAX);
    size_t bytes = (size_t)count * sizeof *mine;
    if (p->wires) return bn_wires_gather(p->wires, mine, all, bytes, err);
    memcpy(all, mine, bytes);
    return BN_OK;
}

bn_status bn_parallel_add(bn_parallel *p, const double *mine, int count, double *sum, bn_error *err)
{
    if (bn_parallel_gather(p, mine, count, p->room, err) != BN_OK) return err->status;
    for (int i = 0; i < count; i++) {
        sum[i] = 0;
        for (int rank = 0; rank < p->ranks.world; rank++) sum[i] += p->room[rank * count + i];
    }
    return BN_OK;
}

void bn_parallel_begin(bn_parallel *p)
{
    if (!p->transport.ops) return;
    p->from = p->model->params.floats;
    bn_model_listen(p->model, (bn_grad_listener){pass_on, p});
}

bn_status bn_parallel_finish(bn_parallel *p, bn_error *err)
{
    if (!p->transport.ops) return BN_OK;
    assert(p->from == 0); /* the backward pass went to the end of the table */
    bn_model_listen(p->model, (bn_grad_listener){NULL, NULL});
    return p->transport.ops->finish(p->transport.self, err);
}

/* FNV-1a over the words of all weights, in four lanes that do not wait for each other. */
static bn_status hash_weights(const bn_model *model, uint64_t *out, bn_error *err)
{
    enum { LANES = 4 };
    uint64_t lanes[LANES] = {0xcbf29ce484222325U, 1, 2, 3};
    uint32_t *chunk = calloc(WEIGHT_CHUNK, sizeof *chunk);
    if (!chunk) return bn_fail(err, BN_ENOMEM, "no memory to compare the ranks' weights");
    for (size_t at = 0; at < model->params.floats; at += WEIGHT_CHUNK) {
        size_t left = model->params.floats - at, count = left < WEIGHT_CHUNK ? left : WEIGHT_CHUNK;
        bn_backend_read(model->be, chunk, model->weights + at, count * sizeof *chunk);
        for (size_t i = 0; i < count; i++) {
            lanes[i % LANES] = (lanes[i % LANES] ^ chunk[i]) * 0x100000001b3U;
        }
    }
    free(chunk);
    for (int i = 1; i < LANES; i++) lanes[0] = (lanes[0] ^ lanes[i]) * 0x100000001b3U;
    *out = lanes[0];
    return bn_backend_sync(model->be, err);
}

bn_status bn_parallel_compare(bn_parallel *p, bn_error *err)
{
    uint64_t hash = 0;
    if (!p->transport.ops) return BN_OK;
    if (hash_weights(p->model, &hash, err) != BN_OK) return err->status;
    double mine[2] = {(double)(uint32_t)hash, (double)(hash >> 32)};
    if (bn_parallel_gather(p, mine, 2, p->room, err) != BN_OK) return err->status;
    for (int rank = 1; rank < p->ranks.world; rank++) {
        const double *its = p->room + (size_t)rank * 2;
        if (its[0] == p->room[0] && its[1] == p->room[1]) continue;
        return bn_fail(err, BN_ECORRUPT,
                       "rank %d's weights are not rank 0's any more: a broken memory or wire; the "
                       "last checkpoint is sound",
                       rank);
    }
    return BN_OK;
}

void bn_parallel_fail(bn_parallel *p, const bn_error *err)
{
    if (p->broken || !p->wires) return;
    p->broken = true;
    bn_wires_fail(p->wires, err->text);
}
