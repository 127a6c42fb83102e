/* Sums over ranks for the host twin: every rank gets all copies and adds them in rank order. */
#include <cstdlib>
#include <cstring>

#include "engine/cuda/cuda_transport.h"
#include "support/cuda_emu.h"

namespace
{
struct twin {
    bn_peers peers;
    float *all; /* [world, floats] */
    bn_error failure;
};

void twin_sum(void *self, float *data, size_t count)
{
    auto *t = static_cast<twin *>(self);
    if (t->failure.status != BN_OK) return;
    bn_emu::finish();
    bn_status status =
        t->peers.gather(t->peers.self, data, t->all, count * sizeof(float), &t->failure);
    for (size_t i = 0; i < count && status == BN_OK; i++) {
        data[i] = t->all[i];
        for (int rank = 1; rank < t->peers.world; rank++) {
            data[i] += t->all[static_cast<size_t>(rank) * count + i];
        }
    }
}

bn_status twin_finish(void *self, bn_error *err)
{
    const auto *t = static_cast<const twin *>(self);
    if (t->failure.status == BN_OK) return BN_OK;
    return bn_fail(err, t->failure.status, "%s", t->failure.text);
}

void twin_close(void *self, int)
{
    free(static_cast<twin *>(self)->all);
    free(self);
}
} // namespace

bn_status bn_cuda_transport(bn_transport *out, const bn_transport_args *args, bn_error *err)
{
    static const bn_transport_ops ops = {"twin", twin_sum, twin_finish, twin_close};
    auto *t = static_cast<twin *>(calloc(1, sizeof(twin)));
    if (!t) return bn_fail(err, BN_ENOMEM, "no memory");
    t->peers = args->peers;
    t->all = static_cast<float *>(
        calloc(args->floats * static_cast<size_t>(args->peers.world), sizeof(float)));
    *out = {&ops, t};
    return BN_OK;
}
