#include "engine/cpu/cpu_backend.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/base/clock.h"
#include "engine/cpu/cpu.h"
#include "engine/cpu/isa.h"

enum { ALIGNMENT = 64, LARGE_PAGE = 2 << 20 };

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* Large blocks begin on a large page and ask for such pages: panels are read faster than a table of
 * small pages can be walked. A system that has none to give is no worse off. */
static void *allocate_raw(bn_cpu *cpu, size_t bytes)
{
    size_t unit = bytes >= LARGE_PAGE ? LARGE_PAGE : ALIGNMENT;
    size_t rounded = round_up(bytes ? bytes : 1, ALIGNMENT);
    void *memory = NULL;
    if (rounded < bytes || posix_memalign(&memory, unit, rounded) != 0) {
        (void)bn_fail(&cpu->failure, BN_ENOMEM, "no memory for %zu bytes", bytes);
        return NULL;
    }
    if (unit == LARGE_PAGE) (void)madvise(memory, rounded, MADV_HUGEPAGE);
    return memory;
}

/* Memory to be cleared, in pieces: the first touch of fresh memory is slow on one thread. */
typedef struct clearing {
    char *memory;
    size_t bytes;
} clearing;

static void clear_part(void *context, int part, int thread)
{
    const clearing *c = context;
    (void)thread;
    size_t start = (size_t)part * LARGE_PAGE;
    size_t left = c->bytes - start;
    memset(c->memory + start, 0, left < LARGE_PAGE ? left : LARGE_PAGE);
}

static void clear(bn_cpu *cpu, void *memory, size_t bytes)
{
    clearing c = {memory, bytes};
    bn_pool_run(cpu->pool, (int)((bytes + LARGE_PAGE - 1) / LARGE_PAGE), clear_part, &c);
}

static void *allocate(void *self, size_t bytes)
{
    void *memory = allocate_raw(self, bytes);
    if (memory) clear(self, memory, bytes);
    return memory;
}

static void release(void *self, void *memory)
{
    (void)self;
    free(memory);
}

bool bn_cpu_failed(const void *self)
{
    return ((const bn_cpu *)self)->failure.status != BN_OK;
}

int bn_cpu_blocks(int count, int size)
{
    return (count + size - 1) / size;
}

void *bn_cpu_scratch(bn_cpu *cpu, bn_cpu_slot slot, size_t bytes)
{
    if (bn_cpu_failed(cpu)) return NULL;
    if (bytes > cpu->scratch[slot].bytes) {
        free(cpu->scratch[slot].memory);
        cpu->scratch[slot].bytes = 0;
        cpu->scratch[slot].memory = allocate_raw(cpu, bytes);
        if (cpu->scratch[slot].memory) cpu->scratch[slot].bytes = bytes;
    }
    return cpu->scratch[slot].memory;
}

float *bn_cpu_row_scratch(bn_cpu *cpu, size_t floats, size_t *stride)
{
    *stride = round_up(floats, ALIGNMENT / sizeof(float) * 2);
    size_t threads = (size_t)bn_pool_threads(cpu->pool);
    return bn_cpu_scratch(cpu, BN_CPU_SLOT_ROWS, threads * *stride * sizeof(float));
}

static void copy(void *self, void *to, const void *from, size_t bytes)
{
    if (bn_cpu_failed(self) || !bytes) return;
    memcpy(to, from, bytes);
}

static void zero(void *self, void *memory, size_t bytes)
{
    if (bn_cpu_failed(self)) return;
    clear(self, memory, bytes);
}

static bn_status sync(void *self, bn_error *err)
{
    bn_cpu *cpu = self;
    if (!bn_cpu_failed(cpu)) return BN_OK;
    bn_status status = bn_fail(err, cpu->failure.status, "cpu: %s", cpu->failure.text);
    cpu->failure.status = BN_OK;
    return status;
}

static void close_backend(void *self)
{
    bn_cpu *cpu = self;
    bn_pool_close(cpu->pool);
    for (int i = 0; i < BN_CPU_SLOTS; i++) free(cpu->scratch[i].memory);
    free(cpu);
}

/* Nothing would be saved: an op's call costs next to nothing here. */
static bool replay(void *self, uint64_t key)
{
    (void)self, (void)key;
    return false;
}

static void replay_end(void *self)
{
    (void)self;
}

static void mark(void *self, int place)
{
    ((bn_cpu *)self)->marks_s[place] = bn_clock_mono_s();
}

static double seconds(void *self, int from, int to)
{
    const bn_cpu *cpu = self;
    if (!(cpu->marks_s[from] > 0 && cpu->marks_s[to] > 0)) return NAN;
    return cpu->marks_s[to] - cpu->marks_s[from];
}

static const struct bn_ops table = {
    .name = "cpu",
    .alloc = allocate,
    .free = release,
    .write = copy,
    .read = copy,
    .zero = zero,
    .sync = sync,
    .close = close_backend,
    .replay = replay,
    .replay_end = replay_end,
    .mark = mark,
    .seconds = seconds,
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
    if (threads < 0 || threads > BN_POOL_THREADS_MAX) {
        return bn_fail(err, BN_EINVAL, "threads: expected 0 ... %d, is %d", BN_POOL_THREADS_MAX,
                       threads);
    }
    const bn_isa *isa = NULL;
    const char *wanted = getenv("BNEXP_ISA"); /* NOLINT(concurrency-mt-unsafe): as above */
    bn_status status = bn_isa_choose(&isa, wanted, err);
    if (status != BN_OK) return status;
    bn_cpu *cpu = calloc(1, sizeof *cpu);
    if (!cpu) return bn_fail(err, BN_ENOMEM, "no memory for the cpu backend");
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
