/* The host twin of engine/cuda/runtime_cuda.cu: the same promises with the host's memory, so that
 * the backend runs where there is no GPU. Work is done at once, or kept while a graph is recorded.
 */
#include "engine/cuda/runtime.h"
#include "support/cuda_emu.h"

/* Of this device, CUDA_EMU_MEMORY_MB megabytes (environment; 4096) can be had. */
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
    *out = {"host emulation", 8, 0, 4, all_bytes(), all_bytes() - used_bytes};
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
    *out = {device, nullptr, true};
    return nullptr;
}

void bn_runtime_close(bn_runtime *runtime)
{
    (void)runtime;
}

/* Blocks begin with their size, out of the caller's sight. */
enum { HEAD_BYTES = 256 };

const char *bn_runtime_alloc(bn_runtime *runtime, void **out, size_t bytes)
{
    (void)runtime;
    *out = nullptr;
    size_t rounded = (bytes + HEAD_BYTES - 1) / HEAD_BYTES * HEAD_BYTES;
    if (rounded < bytes || rounded > all_bytes() - used_bytes) return "out of memory";
    unsigned char *block = static_cast<unsigned char *>(aligned_alloc(256, HEAD_BYTES + rounded));
    if (!block) return "out of memory";
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

static const char *copy(void *to, const void *from, size_t bytes)
{
    if (bn_emu::m.record) return "a copy while a graph is recorded";
    if (bytes > 0) memcpy(to, from, bytes);
    return nullptr;
}

const char *bn_runtime_write(bn_runtime *runtime, void *to, const void *from, size_t bytes)
{
    (void)runtime;
    return copy(to, from, bytes);
}

const char *bn_runtime_read(bn_runtime *runtime, void *to, const void *from, size_t bytes)
{
    (void)runtime;
    return copy(to, from, bytes);
}

const char *bn_runtime_zero(bn_runtime *runtime, void *memory, size_t bytes)
{
    (void)runtime;
    bn_emu::submit([=] { memset(memory, 0, bytes); });
    return nullptr;
}

const char *bn_runtime_wait(bn_runtime *runtime)
{
    (void)runtime;
    return bn_emu::m.record ? "a wait while a graph is recorded" : nullptr;
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
    return nullptr;
}

const char *bn_runtime_replay(bn_runtime *runtime, void *graph)
{
    (void)runtime;
    for (const std::function<void()> &work : *static_cast<graph_work *>(graph)) work();
    return nullptr;
}

void bn_runtime_forget(void *graph)
{
    delete static_cast<graph_work *>(graph);
}
