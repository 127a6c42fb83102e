#include "engine/parallel_transport.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/device_cuda.h"
#include "engine/plugin.h"

/* Sums over the wires that the ranks have anyway, one span after the other. Nothing is left for
 * `finish` but to tell what failed. */
typedef struct sockets {
    bn_wires *wires;
    bn_error failure;
} sockets;

static void sockets_sum(void *self, float *data, size_t count)
{
    sockets *s = self;
    if (s->failure.status == BN_OK) (void)!bn_wires_sum(s->wires, data, count, &s->failure);
}

static bn_status sockets_finish(void *self, bn_error *err)
{
    const sockets *s = self;
    if (s->failure.status == BN_OK) return BN_OK;
    return bn_fail(err, s->failure.status, "%s", s->failure.text);
}

static void sockets_close(void *self, int broken)
{
    (void)broken;
    free(self);
}

static bn_status open_sockets(bn_transport *out, bn_wires *wires, bn_error *err)
{
    static const struct bn_transport_ops ops = {"sockets", sockets_sum, sockets_finish,
                                                sockets_close};
    sockets *s = calloc(1, sizeof *s);
    if (!s) return bn_fail(err, BN_ENOMEM, "no memory for sums over sockets");
    s->wires = wires;
    *out = (bn_transport){&ops, s};
    return BN_OK;
}

/* A way of summing that this rank could take. */
typedef struct way {
    const char *name;
    bn_transport_open *open; /* of a plug-in; NULL: sockets */
} way;

/* Before anything is opened: MPI's and NCCL's own start waits for every rank for ever. */
static bn_status agree(const bn_transport_args *args, const way *mine, bn_error *err)
{
    enum { NAME_BYTES = 16 };
    char name[NAME_BYTES] = "";
    size_t world = (size_t)args->peers.world;
    char *all = calloc(world, NAME_BYTES);
    if (!all) return bn_fail(err, BN_ENOMEM, "no memory for ranks");
    (void)snprintf(name, sizeof name, "%s", mine->name);
    bn_status status = args->peers.gather(args->peers.self, name, all, NAME_BYTES, err);
    for (size_t i = 1; i < world && status == BN_OK; i++) {
        const char *its = all + i * NAME_BYTES;
        if (strncmp(its, all, NAME_BYTES) == 0) continue;
        status = bn_fail(err, BN_EINVAL,
                         "rank 0 can sum by %.15s, rank %zu by %.15s; is bnexp installed alike on "
                         "every machine?",
                         all, i, its);
    }
    free(all);
    return status;
}

static bn_status find_mpi(way *out, bn_error *err)
{
    const bn_plugin_spec spec = {"libbnexp_mpi.so", "BNEXP_MPI_PLUGIN", "bn_mpi_transport"};
    bn_plugin plugin;
    if (bn_plugin_load(&plugin, &spec, err) != BN_OK) return err->status;
    memcpy(&out->open, &plugin.entry, sizeof out->open); /* a function, given as an object */
    out->name = "mpi";
    return BN_OK;
}

static bn_status find_cuda(way *out, bn_error *err)
{
    const bn_cuda_plugin *plugin = NULL;
    if (bn_device_cuda_load(&plugin, err) != BN_OK) return err->status;
    *out = (way){"nccl", plugin->transport};
    return BN_OK;
}

static void say_without(const bn_transport_choice *choice, const bn_error *why)
{
    char line[sizeof why->text + 64];
    if (!choice->say) return;
    (void)snprintf(line, sizeof line, "%s; gradients go over sockets instead", why->text);
    choice->say(choice->say_self, line);
}

bn_status bn_transport_choose(bn_transport *out, const bn_transport_args *args,
                              const bn_transport_choice *choice, bn_error *err)
{
    bn_error why = {0};
    way mine = {"sockets", NULL};
    *out = (bn_transport){NULL, NULL};
    if (strcmp(choice->backend, "cuda") == 0) {
        if (find_cuda(&mine, err) != BN_OK) return err->status;
    } else if (choice->mpi) {
        bn_status status = find_mpi(&mine, &why);
        if (status != BN_OK && args->peers.rank == 0) say_without(choice, &why);
    }
    if (agree(args, &mine, err) != BN_OK) return err->status;
    return mine.open ? mine.open(out, args, err) : open_sockets(out, choice->wires, err);
}
