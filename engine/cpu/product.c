#include "engine/cpu/product.h"

#include <assert.h>

#include "engine/cpu/pack.h"

/* A block of C that one part makes: its panels of B stay in the second-level cache while the panels
 * of A pass by. The sum is cut so that a panel of A fits the first-level cache; int8 sums, a
 * quarter as long, stay whole, so that they are exact. */
enum { BLOCK_BYTES = 384 * 1024, SUM_WORDS = 512, A_PANELS = 16 };

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
    int a_parts; /* of a job of two operands, those before this belong to A */
} plan;

static const bn_kernel *kernel_of(const bn_isa *isa, bn_dtype format)
{
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
    return (bn_panels){.block = block,
                       .count = bn_cpu_blocks(operand->lines, block),
                       .word_count = bn_cpu_blocks(length, kernel->group),
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
    size_t words = panel_words(&p->a) + 16;
    uint32_t *panels =
        bn_cpu_scratch(p->cpu, BN_CPU_SLOT_PANELS, (words + panel_words(&p->b)) * sizeof *panels);
    size_t a_lines = line_words(p->job->a.lines);
    size_t b_lines = line_words(p->job->b.lines);
    uint32_t *lines =
        bn_cpu_scratch(p->cpu, BN_CPU_SLOT_LINES, 4 * (a_lines + b_lines) * sizeof *lines);
    if (!panels || !lines) return false;
    p->a.words = panels;
    p->b.words = panels + words / 16 * 16;
    lines = place_lines(&p->a, p->job->a.lines, lines);
    (void)place_lines(&p->b, p->job->b.lines, lines);
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
    bn_pool_run(p->cpu->pool, p->a_parts + bn_pack_parts(&p->b), pack_part, p);
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

/* The register block at panel a of A and b of B, words first ... first + count - 1 of the sum. */
static void make_tile(const plan *p, int a, int b, int first, int count)
{
    _Alignas(64) uint32_t sums[BN_KERNEL_MR_MAX * BN_KERNEL_NR_MAX];
    const bn_product_job *job = p->job;
    size_t a_at = (size_t)a * (size_t)p->a.word_count + (size_t)first;
    size_t b_at = (size_t)b * (size_t)p->b.word_count + (size_t)first;
    p->kernel->run(count, p->a.words + a_at * (size_t)p->a.block,
                   p->b.words + b_at * (size_t)p->b.block, sums, false);
    int m = a * p->a.block;
    int n = b * p->b.block;
    bn_tile t = tile_of(p);
    t.tile = sums;
    t.rows = job->a.lines - m < p->a.block ? job->a.lines - m : p->a.block;
    t.lanes = job->b.lines - n < p->b.block ? job->b.lines - n : p->b.block;
    size_t at = (size_t)m * t.stride + (size_t)n;
    t.c = job->result.c + at;
    t.accumulate = first > 0 || job->result.accumulate;
    t.residual = first == 0 && job->result.residual ? job->result.residual + at : NULL;
    t.row_scale = job->result.row_scale ? job->result.row_scale + m : NULL;
    if (p->a.quantized) t.row_scale = p->a.unit + m;
    t.lane_scale = p->b.quantized ? p->b.unit + n : NULL;
    const int32_t *row_sum = p->a.quantized ? p->a.sum : job->a.line_sum;
    t.row_sum = row_sum ? row_sum + m : NULL;
    p->cpu->isa->rows->finish_tile(&t);
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static void block_part(void *context, int part, int thread)
{
    const plan *p = context;
    (void)thread;
    int a_start = part % p->a_blocks * p->a_step;
    int b_start = part / p->a_blocks * p->b_step;
    int a_end = least(a_start + p->a_step, p->a.count);
    int b_end = least(b_start + p->b_step, p->b.count);
    for (int first = 0; first < p->a.word_count; first += p->sum_words) {
        int count = least(p->sum_words, p->a.word_count - first);
        for (int a = a_start; a < a_end; a++) {
            for (int b = b_start; b < b_end; b++) make_tile(p, a, b, first, count);
        }
    }
}

/* Cuts the sum into even passes, C into blocks that fill the caches and keep every thread busy. */
static void cut(plan *p)
{
    bool whole = p->b.word == BN_WORD_I8;
    int passes = whole ? 1 : bn_cpu_blocks(p->a.word_count, SUM_WORDS);
    p->sum_words = bn_cpu_blocks(p->a.word_count, passes);
    int panel_bytes = p->sum_words * p->b.block * (int)sizeof(uint32_t);
    p->b_step = BLOCK_BYTES / panel_bytes > 0 ? BLOCK_BYTES / panel_bytes : 1;
    p->b_blocks = bn_cpu_blocks(p->b.count, p->b_step);
    p->b_step = bn_cpu_blocks(p->b.count, p->b_blocks);
    int wanted = 8 * bn_pool_threads(p->cpu->pool);
    p->a_step = least(A_PANELS, bn_cpu_blocks(p->a.count * p->b_blocks, wanted));
    p->a_blocks = bn_cpu_blocks(p->a.count, p->a_step);
}

void bn_product_run(bn_cpu *cpu, const bn_product_job *job)
{
    const bn_kernel *kernel = kernel_of(cpu->isa, job->format);
    plan p = {.cpu = cpu, .job = job, .kernel = kernel};
    p.a = panels_of(&job->a, kernel, kernel->mr, job->length);
    p.b = panels_of(&job->b, kernel, kernel->nr, job->length);
    if (job->format == BN_I8) p.b.offset = CODE_OFFSET;
    assert(!p.a.quantized || !job->result.row_scale);
    assert(job->format != BN_I8 || p.a.quantized || job->a.line_sum);
    if (!place(&p)) return;
    pack(&p);
    cut(&p);
    bn_pool_run(cpu->pool, p.a_blocks * p.b_blocks, block_part, &p);
}
