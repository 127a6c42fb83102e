#include "engine/cpu/product.h"

#include <assert.h>

#include "engine/cpu/pack.h"

/* A block of C that one part makes, sized for three caches: SUM_WORDS of one panel of B stay in the
 * first level while A's panels stream past; the block's panels and its unfinished tiles stay in the
 * second; packed operands come from the third. */
enum { SUM_WORDS = 256, A_PANELS = 16, B_PANELS = 8, PARTS_A_THREAD = 4 };

/* Adding 128 makes every code of -127 ... 127 unsigned. */
enum { CODE_OFFSET = 128 };

typedef struct plan {
    bn_cpu *cpu;
    const bn_product_job *job;
    const bn_kernel *kernel;
    bn_panels a, b;
    int sum_words;      /* of one pass over a block */
    int a_step, b_step; /* panels a block */
    int a_blocks, b_blocks;
    int a_parts;     /* of a job of two operands, those before this belong to A */
    uint32_t *tiles; /* of a block in the making, tile_stride words a thread */
    size_t tile_stride;
} plan;

static const bn_kernel *kernel_of(const bn_isa *isa, bn_dtype format, const bn_panels *b_packed)
{
    if (b_packed && b_packed->two_bit) return &isa->kernels[BN_PRODUCT_KIND_U2];
    switch (format) {
    case BN_BF16:
        return &isa->kernels[BN_PRODUCT_KIND_BF16];
    case BN_I8:
        return &isa->kernels[BN_PRODUCT_KIND_U8];
    case BN_F32:
    case BN_F16:
        break; /* fp16 operands are packed as the floats they stand for */
    }
    return &isa->kernels[BN_PRODUCT_KIND_F32];
}

static bn_panels panels_of(const bn_operand *operand, const bn_kernel *kernel, int block,
                           int length)
{
    bn_word word = kernel->group == 4   ? BN_WORD_I8
                   : kernel->group == 2 ? BN_WORD_BF16
                                        : BN_WORD_F32;
    int words = bn_cpu_blocks(length, kernel->group * kernel->step_multiple);
    return (bn_panels){.block = block,
                       .count = bn_cpu_blocks(operand->lines, block),
                       .word_count = words * kernel->step_multiple,
                       .word = word,
                       .quantized = word == BN_WORD_I8 && operand->dtype != BN_I8};
}

static size_t panel_words(const bn_panels *panels)
{
    return (size_t)panels->count * (size_t)panels->block * (size_t)panels->word_count;
}

/* Rounded up to whole cache lines. */
static size_t line_words(int lines)
{
    return (size_t)bn_cpu_blocks(lines, 16) * 16;
}

/* most, unit, factor and sum of one operand's lines. */
static uint32_t *place_lines(bn_panels *panels, int lines, uint32_t *memory)
{
    size_t step = line_words(lines);
    panels->most = memory;
    panels->unit = (float *)(memory + step);
    panels->factor = (float *)(memory + 2 * step);
    panels->sum = (int32_t *)(memory + 3 * step);
    return memory + 4 * step;
}

static bool place(plan *p)
{
    const bn_product_job *job = p->job;
    size_t a_words = panel_words(&p->a) + 16;
    size_t b_words = job->b_packed ? 0 : panel_words(&p->b);
    uint32_t *panels =
        bn_cpu_scratch(p->cpu, BN_CPU_SLOT_PANELS, (a_words + b_words) * sizeof *panels);
    size_t lines = line_words(job->a.lines) + line_words(job->b.lines);
    uint32_t *line_memory = bn_cpu_scratch(p->cpu, BN_CPU_SLOT_LINES, 4 * lines * sizeof *panels);
    if (!panels || !line_memory) return false;
    p->a.words = panels;
    line_memory = place_lines(&p->a, job->a.lines, line_memory);
    if (job->b_packed) return true;
    p->b.words = panels + a_words / 16 * 16;
    (void)place_lines(&p->b, job->b.lines, line_memory);
    p->b.sum = NULL;
    return true;
}

static void measure_part(void *context, int part, int thread)
{
    const plan *p = context;
    (void)thread;
    if (part < p->a_parts) {
        bn_pack_unit_part(p->cpu->isa->rows, &p->a, &p->job->a, p->job->length, part);
    } else {
        bn_pack_unit_part(p->cpu->isa->rows, &p->b, &p->job->b, p->job->length, part - p->a_parts);
    }
}

static void pack_part(void *context, int part, int thread)
{
    const plan *p = context;
    (void)thread;
    if (part < p->a_parts) {
        bn_pack_part(p->cpu->isa->rows, &p->a, &p->job->a, p->job->format, p->job->length, part);
    } else {
        bn_pack_part(p->cpu->isa->rows, &p->b, &p->job->b, p->job->format, p->job->length,
                     part - p->a_parts);
    }
}

static void pack(plan *p)
{
    const bn_product_job *job = p->job;
    p->a_parts = p->a.quantized && job->a.across ? bn_pack_unit_parts(&job->a) : 0;
    int b_parts = p->b.quantized && job->b.across ? bn_pack_unit_parts(&job->b) : 0;
    bn_pool_run(p->cpu->pool, p->a_parts + b_parts, measure_part, p);
    p->a_parts = bn_pack_parts(&p->a);
    b_parts = job->b_packed ? 0 : bn_pack_parts(&p->b);
    bn_pool_run(p->cpu->pool, p->a_parts + b_parts, pack_part, p);
}

/* What is common to all tiles of the job. */
static bn_tile tile_of(const plan *p)
{
    const bn_product_job *job = p->job;
    return (bn_tile){.tile_lanes = p->kernel->nr,
                     .integer = job->format == BN_I8,
                     .offset = p->b.offset,
                     .scale = job->result.scale,
                     .stride = job->result.stride};
}

/* One register block: panel a of A and b of B, and where its sums are gathered. */
typedef struct spot {
    int a, b;
    uint32_t *sums;
} spot;

/* Adds words first ... first + count - 1 to the sums. */
static void add_words(const plan *p, spot s, int first, int count)
{
    size_t a_at = (size_t)s.a * (size_t)p->a.word_count + (size_t)first;
    size_t b_at = (size_t)s.b * (size_t)p->b.word_count + (size_t)first;
    if (p->b.two_bit) b_at /= 4;
    p->kernel->run(count, p->a.words + a_at * (size_t)p->a.block,
                   p->b.words + b_at * (size_t)p->b.block, s.sums, first > 0);
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* The finished sums into C. */
static void write_tile(const plan *p, spot s)
{
    const bn_product_job *job = p->job;
    int m = s.a * p->a.block;
    int n = s.b * p->b.block;
    bn_tile t = tile_of(p);
    t.tile = s.sums;
    t.rows = least(job->a.lines - m, p->a.block);
    t.lanes = least(job->b.lines - n, p->b.block);
    size_t at = (size_t)m * t.stride + (size_t)n;
    t.c = job->result.c + at;
    t.accumulate = job->result.accumulate;
    t.residual = job->result.residual ? job->result.residual + at : NULL;
    t.row_scale = job->result.row_scale ? job->result.row_scale + m : NULL;
    if (p->a.quantized) t.row_scale = p->a.unit + m;
    t.lane_scale = p->b.quantized ? p->b.unit + n : NULL;
    const int32_t *row_sum = p->a.quantized ? p->a.sum : job->a.line_sum;
    t.row_sum = row_sum ? row_sum + m : NULL;
    p->cpu->isa->rows->finish_tile(&t);
}

static void block_part(void *context, int part, int thread)
{
    const plan *p = context;
    size_t tile_words = (size_t)p->a.block * (size_t)p->b.block;
    uint32_t *tiles = p->tiles + (size_t)thread * p->tile_stride;
    int a_start = part % p->a_blocks * p->a_step;
    int b_start = part / p->a_blocks * p->b_step;
    int a_count = least(p->a_step, p->a.count - a_start);
    int b_count = least(p->b_step, p->b.count - b_start);
    for (int first = 0; first < p->a.word_count; first += p->sum_words) {
        int count = least(p->sum_words, p->a.word_count - first);
        bool last = first + count == p->a.word_count;
        for (int i = 0; i < a_count * b_count; i++) {
            spot s = {.a = a_start + i % a_count, .b = b_start + i / a_count};
            s.sums = tiles + (size_t)i * tile_words;
            add_words(p, s, first, count);
            if (last) write_tile(p, s);
        }
    }
}

/* Cuts the sum into even passes, and C into blocks: as large as the caches allow, but enough of
 * them to keep every thread busy to the end. */
static void cut(plan *p)
{
    int passes = bn_cpu_blocks(p->a.word_count, SUM_WORDS);
    p->sum_words = bn_cpu_blocks(p->a.word_count, passes * p->kernel->step_multiple) *
                   p->kernel->step_multiple;
    p->a_step = least(A_PANELS, p->a.count);
    p->b_step = least(B_PANELS, p->b.count);
    int wanted = PARTS_A_THREAD * bn_pool_threads(p->cpu->pool);
    while (p->a_step * p->b_step > 1 &&
           bn_cpu_blocks(p->a.count, p->a_step) * bn_cpu_blocks(p->b.count, p->b_step) < wanted) {
        int *step = p->b_step > 1 ? &p->b_step : &p->a_step;
        *step = (*step + 1) / 2;
    }
    p->a_blocks = bn_cpu_blocks(p->a.count, p->a_step);
    p->b_blocks = bn_cpu_blocks(p->b.count, p->b_step);
    p->a_step = bn_cpu_blocks(p->a.count, p->a_blocks);
    p->b_step = bn_cpu_blocks(p->b.count, p->b_blocks);
    p->a_blocks = bn_cpu_blocks(p->a.count, p->a_step);
    p->b_blocks = bn_cpu_blocks(p->b.count, p->b_step);
}

static plan plan_of(bn_cpu *cpu, const bn_product_job *job)
{
    const bn_kernel *kernel = kernel_of(cpu->isa, job->format, job->b_packed);
    plan p = {.cpu = cpu, .job = job, .kernel = kernel};
    p.a = panels_of(&job->a, kernel, kernel->mr, job->length);
    p.b = panels_of(&job->b, kernel, kernel->nr, job->length);
    if (job->format == BN_I8) p.b.offset = CODE_OFFSET;
    if (job->b_packed) p.b = *job->b_packed;
    return p;
}

size_t bn_product_pack_bytes(const bn_cpu *cpu, const bn_operand *b, bn_dtype format, int length)
{
    const bn_kernel *kernel = kernel_of(cpu->isa, format, NULL);
    bn_panels panels = panels_of(b, kernel, kernel->nr, length);
    return panel_words(&panels) * sizeof(uint32_t);
}

void bn_product_pack(bn_cpu *cpu, const bn_product_job *job, void *memory, bn_panels *out)
{
    plan p = plan_of(cpu, job);
    assert(!p.b.quantized && !job->b_packed);
    p.b.words = memory;
    bn_pool_run(cpu->pool, bn_pack_parts(&p.b), pack_part, &p);
    *out = p.b;
}

void bn_product_run(bn_cpu *cpu, const bn_product_job *job)
{
    plan p = plan_of(cpu, job);
    assert(!p.a.quantized || !job->result.row_scale);
    assert(job->format != BN_I8 || p.a.quantized || job->a.line_sum);
    if (!place(&p)) return;
    pack(&p);
    cut(&p);
    p.tile_stride = (size_t)p.a_step * (size_t)p.b_step * (size_t)p.a.block * (size_t)p.b.block;
    p.tiles = bn_cpu_scratch(cpu, BN_CPU_SLOT_TILES,
                             p.tile_stride * sizeof *p.tiles * (size_t)bn_pool_threads(cpu->pool));
    if (!p.tiles) return;
    bn_pool_run(cpu->pool, p.a_blocks * p.b_blocks, block_part, &p);
}
