/* runtime.h with cudart. Included by nvcc alone; the host twin is a file of the tests. */
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "engine/cuda/runtime.h"

/* A copy from memory of the system's own ("pageable") may first wait for the whole stream, so bytes
 * leave from here. As many writes as there are stages are on their way at most: a few steps. */
enum { STAGES = 8 };
static const size_t STAGE_BYTES = 1 << 20;

struct stage {
    void *memory; /* [STAGE_BYTES] */
    cudaEvent_t sent;
};

struct stages {
    stage at[STAGES];
    int next;
};

/* The runtime's own words for a failure are static; a failure also stays in the thread's last
 * error, where the next launch would find it again. */
static const char *words(cudaError_t error)
{
    if (error == cudaSuccess) return nullptr;
    (void)cudaGetLastError();
    return cudaGetErrorString(error);
}

static cudaStream_t stream_of(const bn_runtime *runtime)
{
    return static_cast<cudaStream_t>(runtime->stream);
}

const char *bn_runtime_count(int *count)
{
    *count = 0;
    return words(cudaGetDeviceCount(count));
}

const char *bn_runtime_facts(int device, bn_gpu_facts *out)
{
    cudaDeviceProp properties;
    const char *why = words(cudaGetDeviceProperties(&properties, device));
    if (!why) why = words(cudaSetDevice(device));
    if (why) return why;
    (void)snprintf(out->name, sizeof out->name, "%.*s", BN_GPU_NAME_MAX - 1, properties.name);
    if (words(cudaDeviceGetPCIBusId(out->bus, BN_GPU_BUS_MAX, device))) out->bus[0] = '\0';
    out->major = properties.major;
    out->minor = properties.minor;
    out->processors = properties.multiProcessorCount;
    out->shared_bytes = properties.sharedMemPerBlockOptin;
    return words(cudaMemGetInfo(&out->free_bytes, &out->memory_bytes));
}

int bn_runtime_driver(void)
{
    int version = 0;
    return words(cudaDriverGetVersion(&version)) ? 0 : version;
}

int bn_runtime_version(void)
{
    return CUDART_VERSION;
}

static const char *take_stages(stages *s)
{
    const char *why = nullptr;
    unsigned flags = cudaEventDisableTiming | cudaEventBlockingSync; /* the host sleeps */
    for (int i = 0; i < STAGES && !why; i++) {
        why = words(cudaMallocHost(&s->at[i].memory, STAGE_BYTES));
        if (!why) why = words(cudaEventCreateWithFlags(&s->at[i].sent, flags));
    }
    return why;
}

static void give_back(stages *s)
{
    for (int i = 0; s && i < STAGES; i++) {
        if (s->at[i].sent) (void)cudaEventDestroy(s->at[i].sent);
        if (s->at[i].memory) (void)cudaFreeHost(s->at[i].memory);
    }
    free(s);
}

const char *bn_runtime_open(bn_runtime *out, int device)
{
    cudaStream_t stream = nullptr;
    const char *why = words(cudaSetDevice(device));
    if (!why) why = words(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    const char *managed = getenv("BNEXP_CUDA_MANAGED");
    stages *s = static_cast<stages *>(calloc(1, sizeof(stages)));
    *out = {device, stream, managed && strcmp(managed, "1") == 0, s};
    if (!why) why = s ? take_stages(s) : "no memory";
    return why;
}

void bn_runtime_close(bn_runtime *runtime)
{
    if (runtime->stream) (void)cudaStreamSynchronize(stream_of(runtime));
    give_back(static_cast<stages *>(runtime->stages));
    if (runtime->stream) (void)cudaStreamDestroy(stream_of(runtime));
    runtime->stages = nullptr;
    runtime->stream = nullptr;
}

const char *bn_runtime_short(void)
{
    return cudaGetErrorString(cudaErrorMemoryAllocation);
}

/* Shared memory beyond what is free would be taken, and then moved to and fro for ever. */
const char *bn_runtime_alloc(bn_runtime *runtime, void **out, size_t bytes)
{
    size_t free_bytes = 0, all_bytes = 0;
    *out = nullptr;
    if (!runtime->shares) return words(cudaMalloc(out, bytes));
    const char *why = words(cudaMemGetInfo(&free_bytes, &all_bytes));
    if (!why && bytes > free_bytes) why = bn_runtime_short();
    return why ? why : words(cudaMallocManaged(out, bytes));
}

void bn_runtime_free(bn_runtime *runtime, void *memory)
{
    (void)runtime;
    (void)cudaFree(memory);
}

const char *bn_runtime_memory(bn_runtime *runtime, size_t *free_bytes, size_t *all_bytes)
{
    (void)runtime;
    return words(cudaMemGetInfo(free_bytes, all_bytes));
}

static const char *send(bn_runtime *runtime, void *to, const void *from, size_t bytes)
{
    stages *all = static_cast<stages *>(runtime->stages);
    stage *s = &all->at[all->next];
    all->next = (all->next + 1) % STAGES;
    const char *why = words(cudaEventSynchronize(s->sent));
    if (why) return why;
    memcpy(s->memory, from, bytes);
    why = words(cudaMemcpyAsync(to, s->memory, bytes, cudaMemcpyHostToDevice, stream_of(runtime)));
    return why ? why : words(cudaEventRecord(s->sent, stream_of(runtime)));
}

const char *bn_runtime_write(bn_runtime *runtime, void *to, const void *from, size_t bytes)
{
    const char *why = nullptr;
    for (size_t at = 0; at < bytes && !why; at += STAGE_BYTES) {
        size_t part = bytes - at < STAGE_BYTES ? bytes - at : STAGE_BYTES;
        why =
            send(runtime, static_cast<char *>(to) + at, static_cast<const char *>(from) + at, part);
    }
    return why;
}

const char *bn_runtime_read(bn_runtime *runtime, void *to, const void *from, size_t bytes)
{
    const char *why =
        words(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_of(runtime)));
    return why ? why : bn_runtime_wait(runtime);
}

/* Where the host may write next, it must find the zeros there already. */
const char *bn_runtime_zero(bn_runtime *runtime, void *memory, size_t bytes)
{
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    const char *why = words(cudaMemsetAsync(memory, 0, bytes, stream_of(runtime)));
    if (why || !runtime->shares) return why;
    why = words(cudaStreamIsCapturing(stream_of(runtime), &capture));
    return why || capture != cudaStreamCaptureStatusNone ? why : bn_runtime_wait(runtime);
}

const char *bn_runtime_wait(bn_runtime *runtime)
{
    return words(cudaStreamSynchronize(stream_of(runtime)));
}

const char *bn_runtime_launched(void)
{
    return words(cudaGetLastError());
}

const char *bn_runtime_record_begin(bn_runtime *runtime)
{
    return words(cudaStreamBeginCapture(stream_of(runtime), cudaStreamCaptureModeThreadLocal));
}

const char *bn_runtime_record_end(bn_runtime *runtime, void **graph)
{
    cudaGraph_t recorded = nullptr;
    cudaGraphExec_t ready = nullptr;
    *graph = nullptr;
    const char *why = words(cudaStreamEndCapture(stream_of(runtime), &recorded));
    if (!why) why = words(cudaGraphInstantiate(&ready, recorded, 0));
    if (recorded) (void)cudaGraphDestroy(recorded);
    *graph = ready;
    return why;
}

const char *bn_runtime_replay(bn_runtime *runtime, void *graph)
{
    return words(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream_of(runtime)));
}

void bn_runtime_forget(void *graph)
{
    if (graph) (void)cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph));
}

const char *bn_runtime_mark(bn_runtime *runtime, void **mark)
{
    cudaEvent_t event = static_cast<cudaEvent_t>(*mark);
    const char *why = event ? nullptr : words(cudaEventCreate(&event));
    if (why) return why;
    *mark = event;
    return words(cudaEventRecord(event, stream_of(runtime)));
}

const char *bn_runtime_seconds(void *from, void *to, double *seconds)
{
    float took_ms = 0;
    cudaEvent_t first = static_cast<cudaEvent_t>(from), last = static_cast<cudaEvent_t>(to);
    const char *why = words(cudaEventSynchronize(first));
    if (!why) why = words(cudaEventSynchronize(last));
    if (!why) why = words(cudaEventElapsedTime(&took_ms, first, last));
    if (!why) *seconds = 1e-3 * static_cast<double>(took_ms);
    return why;
}

void bn_runtime_unmark(void *mark)
{
    if (mark) (void)cudaEventDestroy(static_cast<cudaEvent_t>(mark));
}
