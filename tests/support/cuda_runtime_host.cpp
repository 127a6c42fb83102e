/* The host twin of engine/cuda/runtime_cuda.cu: the same promises with the host's memory, so that
 * the backend runs where there is no GPU. Work is done as late as the promises let it: when
 * something waits for it. So who reads a result too early, or writes over what work still needs,
 * finds the wrong bytes here.
 */
#include <chrono>

#include "engine/cuda/runtime.h"
#include "support/cuda_emu.h"
#include "support/cuda_twin.h"

static cuda_twin_counts counts;

extern "C" __attribute__((visibility("default"))) const cuda_twin_counts *cuda_twin_counts_now()
{
    counts.launches = bn_emu::m.launches;
    return &counts;
}

/* Of this device, CUDA_EMU_MEMORY_MB megabytes (environment; 4096) can be had; CUDA_EMU_NAME names
 * it. */
static size_t used_bytes;

static size_t all_bytes()
{
    const char *megabytes = getenv("CUDA_EMU_MEMORY_MB");
    return (megabytes ? strtoul(megabytes, nullptr, 10) : 4096) << 20;
}

typedef std::vector<std::function<void()>> graph_work;

const char *bn_runtime_count(int *count)
{
    *count = 1;
    return nullptr;
}

const char *bn_runtime_facts(int device, bn_gpu_facts *out)
{
    (void)device;
    const char *name = getenv("CUDA_EMU_NAME");
    *out = {"", "", 8, 0, 4, BN_CUDA_SHARED_A100_BYTES, all_bytes(), all_bytes() - used_bytes};
    (void)snprintf(out->name, sizeof out->name, "%s", name ? name : "host emulation");
    return nullptr;
}

int bn_runtime_driver()
{
    return bn_runtime_version();
}

int bn_runtime_version()
{
    return 13000;
}

const char *bn_runtime_open(bn_runtime *out, int device)
{
    *out = {device, nullptr, true, nullptr};
    bn_emu::m.late = true;
    return nullptr;
}

void bn_runtime_close(bn_runtime *runtime)
{
    (void)runtime;
    bn_emu::finish();
}

const char *bn_runtime_short()
{
    return "out of memory";
}

/* Blocks begin with their size, out of the caller's sight. */
enum { HEAD_BYTES = 256 };

const char *bn_runtime_alloc(bn_runtime *runtime, void **out, size_t bytes)
{
    (void)runtime;
    *out = nullptr;
    size_t rounded = (bytes + HEAD_BYTES - 1) / HEAD_BYTES * HEAD_BYTES;
    if (rounded < bytes || rounded > all_bytes() - used_bytes) return bn_runtime_short();
    unsigned char *block = static_cast<unsigned char *>(aligned_alloc(256, HEAD_BYTES + rounded));
    if (!block) return bn_runtime_short();
    memcpy(block, &rounded, sizeof rounded);
    memset(block + HEAD_BYTES, 0xA5, rounded);
    used_bytes += rounded;
    *out = block + HEAD_BYTES;
    return nullptr;
}

void bn_runtime_free(bn_runtime *runtime, void *memory)
{
    (void)runtime;
    if (!memory) return;
    bn_emu::finish();
    unsigned char *block = static_cast<unsigned char *>(memory) - HEAD_BYTES;
    size_t bytes;
    memcpy(&bytes, block, sizeof bytes);
    used_bytes -= bytes;
    free(block);
}

const char *bn_runtime_memory(bn_runtime *runtime, size_t *free_bytes, size_t *all)
{
    (void)runtime;
    *all = all_bytes();
    *free_bytes = *all - used_bytes;
    return nullptr;
}

/* Writes that can be on their way, as in runtime_cuda.cu. */
enum { STAGES = 8 };
static int under_way;

const char *bn_runtime_write(bn_runtime *runtime, void *to, const void *from, size_t bytes)
{
    (void)runtime;
    if (bn_emu::m.record) return "a copy while a graph is recorded";
    if (under_way == STAGES) bn_emu::finish();
    under_way++;
    const unsigned char *first = static_cast<const unsigned char *>(from);
    std::vector<unsigned char> stage(first, first + bytes);
    bn_emu::submit([to, stage] {
        memcpy(to, stage.data(), stage.size());
        under_way--;
    });
    return nullptr;
}

const char *bn_runtime_read(bn_runtime *runtime, void *to, const void *from, size_t bytes)
{
    (void)runtime;
    if (bn_emu::m.record) return "a copy while a graph is recorded";
    counts.reads++;
    bn_emu::finish();
    memcpy(to, from, bytes);
    return nullptr;
}

/* The tests' own writes come behind it. */
const char *bn_runtime_zero(bn_runtime *runtime, void *memory, size_t bytes)
{
    (void)runtime;
    bn_emu::submit([=] { memset(memory, 0, bytes); });
    if (!bn_emu::m.record) bn_emu::finish();
    return nullptr;
}

const char *bn_runtime_wait(bn_runtime *runtime)
{
    (void)runtime;
    if (bn_emu::m.record) return "a wait while a graph is recorded";
    counts.waits++;
    bn_emu::finish();
    return nullptr;
}

const char *bn_runtime_launched()
{
    return nullptr;
}

const char *bn_runtime_record_begin(bn_runtime *runtime)
{
    (void)runtime;
    bn_emu::m.record = new graph_work;
    return nullptr;
}

const char *bn_runtime_record_end(bn_runtime *runtime, void **graph)
{
    (void)runtime;
    *graph = bn_emu::m.record;
    bn_emu::m.record = nullptr;
    counts.records++;
    counts.graphs++;
    return nullptr;
}

const char *bn_runtime_replay(bn_runtime *runtime, void *graph)
{
    (void)runtime;
    counts.replays++;
    for (const std::function<void()> &work : *static_cast<graph_work *>(graph)) {
        bn_emu::submit(work);
    }
    return nullptr;
}

void bn_runtime_forget(void *graph)
{
    if (graph) counts.graphs--;
    delete static_cast<graph_work *>(graph);
}

static double now_s()
{
    std::chrono::duration<double> since = std::chrono::steady_clock::now().time_since_epoch();
    return since.count();
}

const char *bn_runtime_mark(bn_runtime *runtime, void **mark)
{
    (void)runtime;
    if (bn_emu::m.record) return "a mark while a graph is recorded";
    if (!*mark) counts.marks++;
    if (!*mark) *mark = new double(0);
    double *at_s = static_cast<double *>(*mark);
    bn_emu::submit([=] { *at_s = now_s(); });
    return nullptr;
}

const char *bn_runtime_seconds(void *from, void *to, double *seconds)
{
    counts.waits++;
    bn_emu::finish();
    *seconds = *static_cast<double *>(to) - *static_cast<double *>(from);
    return nullptr;
}

void bn_runtime_unmark(void *mark)
{
    if (!mark) return;
    bn_emu::finish();
    counts.marks--;
    delete static_cast<double *>(mark);
}
