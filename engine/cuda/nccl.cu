/* nccl.cu - gradients summed over the cards of several ranks, beside the backward pass.
 *
 * NCCL works on a stream of its own. Each sum waits there for the work that was given to the
 * backend's stream before it, and the backend's stream waits for all sums at `finish`. The host
 * waits there too: a rank that is lost leaves NCCL's kernels waiting for ever on all others, and
 * only the host can hear of it and abort them.
 *
 * libnccl.so.2 is loaded when ranks are asked for, so one card needs no NCCL.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <nccl.h>
#include <sched.h>
#include <unistd.h>

#include "engine/cuda/cuda.h"
#include "engine/cuda/cuda_transport.h"

enum { HOST_MAX = 64, LOOKS_BETWEEN = 256, UUID_BYTES = 16 };

/* What each rank tells the others before NCCL begins. */
struct introduction {
    ncclUniqueId id; /* rank 0's counts */
    char host[HOST_MAX];
    char card[UUID_BYTES];
    char why[128]; /* rank 0 has no id */
};

struct nccl_calls {
    decltype(&ncclGetUniqueId) unique_id;
    decltype(&ncclCommInitRankConfig) init;
    decltype(&ncclAllReduce) sum;
    decltype(&ncclCommGetAsyncError) state;
    decltype(&ncclCommFinalize) finalize;
    decltype(&ncclCommDestroy) destroy;
    decltype(&ncclCommAbort) abort;
    decltype(&ncclGetErrorString) words;
};

struct nccl_transport {
    bn_peers peers;
    nccl_calls call;
    ncclComm_t comm;
    int device;
    cudaStream_t work, wire; /* the backend's; our own */
    cudaEvent_t ready, done;
    bn_error failure;
};

static nccl_transport *of(void *self)
{
    return static_cast<nccl_transport *>(self);
}

static bool failed(const nccl_transport *t)
{
    return t->failure.status != BN_OK;
}

/* A failure also stays in the thread's last error, where the next kernel's launch would find it. */
static void check_cuda(nccl_transport *t, cudaError_t error, const char *what)
{
    if (error == cudaSuccess) return;
    (void)cudaGetLastError();
    if (failed(t)) return;
    (void)bn_fail(&t->failure, BN_EIO, "%s: %s", what, cudaGetErrorString(error));
}

static void check_nccl(nccl_transport *t, ncclResult_t result, const char *what)
{
    if (result == ncclSuccess || result == ncclInProgress || failed(t)) return;
    (void)bn_fail(&t->failure, BN_EIO, "%s: %s", what, t->call.words(result));
}

/* NCCL's own failure, and a rank that is lost. */
static ncclResult_t look(nccl_transport *t, const char *what)
{
    ncclResult_t state = ncclSuccess;
    check_nccl(t, t->call.state(t->comm, &state), what);
    check_nccl(t, state, what);
    if (!failed(t)) (void)t->peers.alive(t->peers.self, &t->failure);
    return state;
}

/* Waits until NCCL has taken in what it was asked; its calls do not block. */
static void settle(nccl_transport *t, const char *what)
{
    while (!failed(t) && look(t, what) == ncclInProgress) (void)sched_yield();
}

static void nccl_sum(void *self, float *data, size_t count)
{
    nccl_transport *t = of(self);
    if (failed(t)) return;
    check_cuda(t, cudaEventRecord(t->ready, t->work), "mark gradients");
    check_cuda(t, cudaStreamWaitEvent(t->wire, t->ready, 0), "wait for gradients");
    if (failed(t)) return;
    ncclResult_t result = t->call.sum(data, data, count, ncclFloat, ncclSum, t->comm, t->wire);
    check_nccl(t, result, "ncclAllReduce");
    if (result == ncclInProgress) settle(t, "ncclAllReduce");
}

static bn_status nccl_finish(void *self, bn_error *err)
{
    nccl_transport *t = of(self);
    cudaError_t state = cudaErrorNotReady;
    if (!failed(t)) check_cuda(t, cudaEventRecord(t->done, t->wire), "mark sums");
    for (int looks = 1; !failed(t) && state == cudaErrorNotReady; looks++) {
        state = cudaEventQuery(t->done);
        if (state == cudaErrorNotReady) (void)cudaGetLastError(); /* counts as a failure there */
        if (state != cudaErrorNotReady) check_cuda(t, state, "sum gradients");
        if (looks % LOOKS_BETWEEN == 0) (void)look(t, "ncclAllReduce");
    }
    if (!failed(t)) check_cuda(t, cudaStreamWaitEvent(t->work, t->done, 0), "wait for sums");
    if (!failed(t)) return BN_OK;
    return bn_fail(err, t->failure.status, "%s", t->failure.text);
}

static void nccl_close(void *self, int broken)
{
    nccl_transport *t = of(self);
    if (t->comm && !broken && !failed(t)) {
        check_nccl(t, t->call.finalize(t->comm), "ncclCommFinalize");
        settle(t, "ncclCommFinalize");
    }
    /* destroy would wait for a rank that is lost by now */
    if (t->comm) (void)(broken || failed(t) ? t->call.abort(t->comm) : t->call.destroy(t->comm));
    if (t->ready) (void)cudaEventDestroy(t->ready);
    if (t->done) (void)cudaEventDestroy(t->done);
    if (t->wire) (void)cudaStreamDestroy(t->wire);
    free(t);
}

template <typename F> static void load_one(F *out, void *library, const char *name, bn_error *err)
{
    void *found = dlsym(library, name);
    memcpy(out, &found, sizeof *out);
    if (!found) (void)bn_fail(err, BN_EINVAL, "libnccl.so.2 has no %s", name);
}

static bn_status load(nccl_calls *call, bn_error *err)
{
    void *library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        return bn_fail(err, BN_EINVAL, "several GPUs need NCCL: %s", why ? why : "libnccl.so.2");
    }
    load_one(&call->unique_id, library, "ncclGetUniqueId", err);
    load_one(&call->init, library, "ncclCommInitRankConfig", err);
    load_one(&call->sum, library, "ncclAllReduce", err);
    load_one(&call->state, library, "ncclCommGetAsyncError", err);
    load_one(&call->finalize, library, "ncclCommFinalize", err);
    load_one(&call->destroy, library, "ncclCommDestroy", err);
    load_one(&call->abort, library, "ncclCommAbort", err);
    load_one(&call->words, library, "ncclGetErrorString", err);
    return err->status;
}

/* A rank that cannot even load NCCL tells it here, so that no other waits in NCCL for it. */
static introduction introduce(nccl_transport *t, const bn_error *why)
{
    introduction mine = {};
    cudaDeviceProp properties;
    if (gethostname(mine.host, HOST_MAX - 1) != 0) mine.host[0] = '\0';
    if (cudaGetDeviceProperties(&properties, t->device) == cudaSuccess) {
        memcpy(mine.card, &properties.uuid, UUID_BYTES);
    }
    if (why->status != BN_OK) {
        (void)snprintf(mine.why, sizeof mine.why, "%.120s", why->text);
    } else if (t->peers.rank == 0) {
        ncclResult_t result = t->call.unique_id(&mine.id);
        if (result != ncclSuccess) {
            (void)snprintf(mine.why, sizeof mine.why, "NCCL: %.100s", t->call.words(result));
        }
    }
    return mine;
}

static bn_status check_all(const introduction *all, int world, bn_error *err)
{
    for (int i = 0; i < world; i++) {
        if (all[i].why[0]) return bn_fail(err, BN_EINVAL, "rank %d: %s", i, all[i].why);
        for (int j = 0; j < i; j++) {
            if (strcmp(all[i].host, all[j].host) != 0) continue;
            if (memcmp(all[i].card, all[j].card, UUID_BYTES) != 0) continue;
            return bn_fail(err, BN_EINVAL,
                           "ranks %d and %d are on the same card of %s; give each "
                           "its own, by CUDA_VISIBLE_DEVICES or srun --gpus-per-task 1",
                           j, i, all[i].host);
        }
    }
    return BN_OK;
}

static bn_status join(nccl_transport *t, bn_error *err)
{
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    size_t world = static_cast<size_t>(t->peers.world);
    bn_error missing = {};
    (void)load(&t->call, &missing);
    introduction mine = introduce(t, &missing);
    auto *all = static_cast<introduction *>(calloc(world, sizeof mine));
    if (!all) return bn_fail(err, BN_ENOMEM, "no memory for %zu ranks", world);
    bn_status status = t->peers.gather(t->peers.self, &mine, all, sizeof mine, err);
    if (status == BN_OK) status = check_all(all, t->peers.world, err);
    ncclUniqueId id = all[0].id;
    free(all);
    if (status != BN_OK) return status;
    config.blocking = 0;
    ncclResult_t result = t->call.init(&t->comm, t->peers.world, id, t->peers.rank, &config);
    check_nccl(t, result, "ncclCommInitRank");
    settle(t, "ncclCommInitRank");
    if (!failed(t)) return BN_OK;
    return bn_fail(err, t->failure.status, "%s", t->failure.text);
}

static void take_streams(nccl_transport *t)
{
    check_cuda(t, cudaSetDevice(t->device), "choose a card");
    check_cuda(t, cudaStreamCreateWithFlags(&t->wire, cudaStreamNonBlocking), "make a stream");
    check_cuda(t, cudaEventCreateWithFlags(&t->ready, cudaEventDisableTiming), "make an event");
    check_cuda(t, cudaEventCreateWithFlags(&t->done, cudaEventDisableTiming), "make an event");
}

bn_status bn_cuda_transport(bn_transport *out, const bn_transport_args *args, bn_error *err)
{
    static const bn_transport_ops ops = {"nccl", nccl_sum, nccl_finish, nccl_close};
    const bn_cuda *cuda = static_cast<const bn_cuda *>(args->backend);
    auto *t = static_cast<nccl_transport *>(calloc(1, sizeof(nccl_transport)));
    if (!t) return bn_fail(err, BN_ENOMEM, "no memory for NCCL");
    t->peers = args->peers;
    t->device = cuda->runtime.device;
    t->work = static_cast<cudaStream_t>(cuda->runtime.stream);
    take_streams(t);
    bn_status status = failed(t) ? bn_fail(err, BN_EIO, "%s", t->failure.text) : join(t, err);
    if (status != BN_OK) {
        nccl_close(t, 1);
        return status;
    }
    *out = {&ops, t};
    return BN_OK;
}
