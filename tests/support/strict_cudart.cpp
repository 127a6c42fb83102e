/* The strict twin of cudart: what runtime_cuda.cu and nccl.cu call of it. It fails as cudart does:
 * every failure also stays in the thread's last error, "not ready" too, and once a kernel has gone
 * astray (STRICT_CUDA_BROKEN=1, environment) every call fails for ever. While a stream is recorded
 * whatever allocates, waits or asks is a fault, as for cudaStreamCaptureModeThreadLocal.
 */
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cuda_runtime_api.h>
#include <map>
#include <unistd.h>

#include "support/strict_stream.h"

struct CUevent_st {
    bool given, done, asked, timed;
    double at_s;
};

struct CUgraph_st {
    strict_graph work;
};

struct CUgraphExec_st {
    strict_graph work;
};

namespace
{
enum kind { DEVICE, MANAGED, PINNED };

struct block {
    size_t bytes;
    kind what;
};

cudaError_t last;
std::map<const char *, block> blocks; /* by where they begin */
size_t used_bytes;

cudaError_t told(cudaError_t error)
{
    if (error != cudaSuccess) last = error;
    return error;
}

cudaError_t state()
{
    const char *broken = getenv("STRICT_CUDA_BROKEN");
    return told(broken && *broken == '1' ? cudaErrorIllegalAddress : cudaSuccess);
}

void unrecorded(const char *call)
{
    if (strict_recording()) strict_fault(call, "while a graph is recorded");
}

const block *block_of(const void *memory, size_t bytes)
{
    const char *at = static_cast<const char *>(memory);
    auto after = blocks.upper_bound(at);
    if (after == blocks.begin()) return nullptr;
    const auto &found = *--after;
    bool inside = static_cast<size_t>(at - found.first) + bytes <= found.second.bytes;
    return inside ? &found.second : nullptr;
}

size_t all_bytes()
{
    const char *megabytes = getenv("CUDA_EMU_MEMORY_MB");
    return (megabytes ? strtoul(megabytes, nullptr, 10) : 4096) << 20;
}

/* What cudaMalloc promises; blocks have no better one, and end where was asked. */
enum { ALIGNMENT = 256 };

cudaError_t take(void **out, size_t bytes, kind what, const char *call)
{
    unrecorded(call);
    if (state() != cudaSuccess) return cudaErrorIllegalAddress;
    if (what != PINNED && bytes > all_bytes() - used_bytes) return told(cudaErrorMemoryAllocation);
    void *memory = nullptr;
    if (posix_memalign(&memory, 2 * ALIGNMENT, ALIGNMENT + bytes) != 0) {
        return told(cudaErrorMemoryAllocation);
    }
    char *start = static_cast<char *>(memory) + ALIGNMENT;
    memset(start, 0xA5, bytes);
    *out = start;
    blocks[start] = {bytes, what};
    if (what != PINNED) used_bytes += bytes;
    return cudaSuccess;
}

cudaError_t give_back(void *memory, bool pinned, const char *call)
{
    unrecorded(call);
    if (!memory) return state();
    auto found = blocks.find(static_cast<const char *>(memory));
    if (found == blocks.end()) strict_fault(call, "of what was not allocated");
    if ((found->second.what == PINNED) != pinned) strict_fault(call, "of the other kind of memory");
    strict_finish();
    if (!pinned) used_bytes -= found->second.bytes;
    blocks.erase(found);
    free(static_cast<char *>(memory) - ALIGNMENT);
    return state();
}

double now_s()
{
    std::chrono::duration<double> since = std::chrono::steady_clock::now().time_since_epoch();
    return since.count();
}

cudaError_t wait_for(cudaEvent_t event)
{
    if (event->given && !event->done) strict_finish();
    return state();
}
} // namespace

bool strict_on_card(const void *memory, size_t bytes)
{
    const block *found = block_of(memory, bytes);
    return found && found->what != PINNED;
}

cudaError_t cudaGetLastError()
{
    cudaError_t was = last;
    last = cudaSuccess;
    return state() == cudaSuccess ? was : cudaErrorIllegalAddress;
}

const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorIllegalAddress:
        return "an illegal memory access was encountered";
    case cudaErrorNotReady:
        return "device not ready";
    default:
        return "another failure";
    }
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int device)
{
    *out = {};
    if (device != 0) return told(cudaErrorInvalidDevice);
    (void)snprintf(out->name, sizeof out->name, "strict emulation");
    int self = static_cast<int>(getpid()); /* each process has a card of its own */
    memcpy(&out->uuid, &self, sizeof self);
    out->major = 8;
    out->multiProcessorCount = 4;
    out->sharedMemPerBlockOptin = 163 << 10;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *out, int bytes, int device)
{
    int length = snprintf(out, static_cast<size_t>(bytes), "0000:%02x:00.0", device);
    return told(device == 0 && length < bytes ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaSetDevice(int device)
{
    return told(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *all)
{
    *all = all_bytes();
    *free_bytes = *all - used_bytes;
    return state();
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    return take(out, bytes, DEVICE, "cudaMalloc");
}

cudaError_t cudaMallocManaged(void **out, size_t bytes, unsigned flags)
{
    if (flags != cudaMemAttachGlobal) strict_fault("cudaMallocManaged", "for one stream");
    return take(out, bytes, MANAGED, "cudaMallocManaged");
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    return take(out, bytes, PINNED, "cudaMallocHost");
}

cudaError_t cudaFree(void *memory)
{
    return give_back(memory, false, "cudaFree");
}

cudaError_t cudaFreeHost(void *memory)
{
    return give_back(memory, true, "cudaFreeHost");
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    if (flags != cudaStreamNonBlocking) strict_fault("stream", "that waits for the default one");
    *out = new CUstream_st{strict_submit, false};
    return state();
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    strict_finish();
    delete stream;
    return state();
}

cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    unrecorded("cudaStreamSynchronize");
    strict_finish();
    return state();
}

cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t event, unsigned)
{
    unrecorded("cudaStreamWaitEvent");
    if (!event->given) strict_fault("cudaStreamWaitEvent", "for an event that was never recorded");
    return state();
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind which,
                            cudaStream_t)
{
    static const char call[] = "cudaMemcpyAsync";
    unrecorded(call);
    const block *source = block_of(from, bytes);
    if (which == cudaMemcpyDeviceToHost) {
        if (!strict_on_card(from, bytes)) strict_fault(call, "from beyond the device's memory");
        strict_finish(); /* to memory of the system's own: done on return */
        memcpy(to, from, bytes);
        return state();
    }
    if (which != cudaMemcpyHostToDevice) strict_fault(call, "of a kind that has no place here");
    if (!strict_on_card(to, bytes)) strict_fault(call, "beyond the device's memory");
    if (!source || source->what != PINNED) strict_fault(call, "from memory that is not locked");
    strict_submit([=] { memcpy(to, from, bytes); });
    return state();
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t)
{
    if (!strict_on_card(memory, bytes)) strict_fault("cudaMemsetAsync", "beyond memory");
    strict_submit([=] { memset(memory, value, bytes); });
    return state();
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    *out = new CUevent_st{false, false, false, !(flags & cudaEventDisableTiming), 0};
    return state();
}

cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    return cudaEventCreateWithFlags(out, 0);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    strict_finish();
    delete event;
    return state();
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t)
{
    unrecorded("cudaEventRecord");
    event->given = true;
    event->done = event->asked = false;
    strict_submit([=] {
        event->at_s = now_s();
        event->done = true;
    });
    return state();
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    unrecorded("cudaEventSynchronize");
    return wait_for(event);
}

/* Nothing is done by the time that somebody asks first. */
cudaError_t cudaEventQuery(cudaEvent_t event)
{
    unrecorded("cudaEventQuery");
    if (event->given && !event->done && !event->asked) {
        event->asked = true;
        return told(cudaErrorNotReady);
    }
    return wait_for(event);
}

cudaError_t cudaEventElapsedTime(float *took_ms, cudaEvent_t from, cudaEvent_t to)
{
    if (!from->timed || !to->timed) strict_fault("cudaEventElapsedTime", "of events without time");
    if (!from->given || !to->given) return told(cudaErrorInvalidResourceHandle);
    if (!from->done || !to->done) return told(cudaErrorNotReady);
    *took_ms = static_cast<float>(1e3 * (to->at_s - from->at_s));
    return state();
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status)
{
    *status = stream->recorded ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return state();
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
    unrecorded("cudaStreamBeginCapture");
    if (mode != cudaStreamCaptureModeThreadLocal) strict_fault("capture", "of other threads too");
    stream->recorded = true;
    strict_record_begin();
    return state();
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    if (!stream->recorded) strict_fault("cudaStreamEndCapture", "without its beginning");
    stream->recorded = false;
    *out = new CUgraph_st{strict_record_end()};
    return state();
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long)
{
    *out = new CUgraphExec_st{graph->work};
    return state();
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return state();
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t)
{
    unrecorded("cudaGraphLaunch");
    for (const std::function<void()> &work : graph->work) strict_submit(work);
    return state();
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph)
{
    delete graph;
    return state();
}
