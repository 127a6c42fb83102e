#include "engine/cpu/cpu_backend.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cpu/cpu.h"
#include "engine/cpu/isa.h"

enum { LINE_FLOATS = 16, PIECE_BYTES = 2 << 20 };

/* Memory to be cleared, in pieces: the first touch of fresh memory is slow on one thread. */
typedef struct clearing {
    char *memory;
    size_t bytes;
} clearing;

static void clear_part(void *context, int part, int thread)
{
    const clearing *c = context;
    (void)thread;
    size_t start = (size_t)part * PIECE_BYTES;
    size_t left = c->bytes - start;
    memset(c->memory + start, 0, left < PIECE_BYTES ? left : PIECE_BYTES);
}

static void clear(bn_cpu *cpu, void *memory, size_t bytes)
{
    clearing c = {memory, bytes};
    bn_pool_run(cpu->pool, (int)((bytes + PIECE_BYTES - 1) / PIECE_BYTES), clear_part, &c);
}

static void *allocate(void *self, size_t bytes)
{
    void *memory = bn_host_block(self, bytes);
    if (memory) clear(self, memory, bytes);
    return memory;
}

int bn_cpu_blocks(int count, int size)
{
    return (count + size - 1) / size;
}

void *bn_cpu_scratch(bn_cpu *cpu, bn_cpu_slot slot, size_t bytes)
{
    if (bn_host_failed(cpu)) return NULL;
    if (bytes > cpu->scratch[slot].bytes) {
        free(cpu->scratch[slot].memory);
        cpu->scratch[slot].bytes = 0;
        cpu->scratch[slot].memory = bn_host_block(&cpu->host, bytes);
        if (cpu->scratch[slot].memory) cpu->scratch[slot].bytes = bytes;
    }
    return cpu->scratch[slot].memory;
}

size_t bn_cpu_row_floats(size_t floats)
{
    return (floats + 2 * LINE_FLOATS - 1) / (2 * LINE_FLOATS) * (2 * LINE_FLOATS);
}

float *bn_cpu_row_scratch(bn_cpu *cpu, size_t floats, size_t *stride)
{
    *stride = bn_cpu_row_floats(floats);
    size_t threads = (size_t)bn_pool_threads(cpu->pool);
    return bn_cpu_scratch(cpu, BN_CPU_SLOT_ROWS, threads * *stride * sizeof(float));
}

static void zero(void *self, void *memory, size_t bytes)
{
    if (bn_host_failed(self)) return;
    clear(self, memory, bytes);
}

static void close_backend(void *self)
{
    bn_cpu *cpu = self;
    bn_pool_close(cpu->pool);
    for (int i = 0; i < BN_CPU_SLOTS; i++) free(cpu->scratch[i].memory);
    free(cpu);
}

static const struct bn_ops table = {
    .name = "cpu",
    .alloc = allocate,
    .free = bn_host_free,
    .write = bn_host_copy,
    .read = bn_host_copy,
    .zero = zero,
    .sync = bn_host_sync,
    .close = close_backend,
    .replay = bn_host_replay,
    .replay_end = bn_host_replay_end,
    .mark = bn_host_mark,
    .seconds = bn_host_seconds,
    .weight_form_bytes = bn_cpu_weight_form_bytes,
    .weight_prepare = bn_cpu_weight_prepare,
    .weight_codes = bn_cpu_weight_codes,
    .embed_forward = bn_cpu_embed_forward,
    .embed_backward = bn_cpu_embed_backward,
    .norm_forward = bn_cpu_norm_forward,
    .norm_backward = bn_cpu_norm_backward,
    .glu_forward = bn_cpu_glu_forward,
    .glu_backward = bn_cpu_glu_backward,
    .linear_forward = bn_cpu_linear_forward,
    .linear_backward = bn_cpu_linear_backward,
    .rope = bn_cpu_rope,
    .attention_forward = bn_cpu_attention_forward,
    .attention_backward = bn_cpu_attention_backward,
    .head_loss = bn_cpu_head_loss,
    .sum = bn_cpu_sum,
    .sum_squares = bn_cpu_sum_squares,
    .decide = bn_cpu_decide,
    .adamw = bn_cpu_adamw,
};

static int usable_processors(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
    int count = CPU_COUNT(&allowed);
    return count < BN_POOL_THREADS_MAX ? count : BN_POOL_THREADS_MAX;
}

static bool wants_pinning(void)
{
    const char *pin = getenv("BNEXP_PIN"); /* NOLINT(concurrency-mt-unsafe): nobody calls setenv */
    return pin && strcmp(pin, "1") == 0;
}

bn_status bn_cpu_open(bn_backend *out, int threads, bn_error *err)
{
    *out = (bn_backend){0};
    if (threads < 0) return bn_fail(err, BN_EINVAL, "threads: expected 0 or more, is %d", threads);
    if (threads > BN_POOL_THREADS_MAX) threads = BN_POOL_THREADS_MAX;
    const bn_isa *isa = NULL;
    const char *wanted = getenv("BNEXP_ISA"); /* NOLINT(concurrency-mt-unsafe): as above */
    bn_status status = bn_isa_choose(&isa, wanted, err);
    if (status != BN_OK) return status;
    bn_cpu *cpu = calloc(1, sizeof *cpu);
    if (!cpu) return bn_fail(err, BN_ENOMEM, "no memory for the cpu backend");
    cpu->host.name = table.name;
    cpu->isa = isa;
    if (threads == 0) threads = usable_processors();
    status = bn_pool_open(&cpu->pool, threads, wants_pinning(), err);
    if (status != BN_OK) {
        free(cpu);
        return status;
    }
    *out = (bn_backend){.ops = &table, .self = cpu};
    return BN_OK;
}

int bn_cpu_threads(bn_backend be)
{
    return bn_pool_threads(((const bn_cpu *)be.self)->pool);
}

const char *bn_cpu_isa_name(bn_backend be)
{
    return ((const bn_cpu *)be.self)->isa->name;
}
