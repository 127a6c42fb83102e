#include "engine/cpu/product.h"

#include <assert.h>

#include "engine/cpu/strip.h"

/* A strip takes half of the second-level cache and as many panels as keep its sums in the first;
 * each thread packs its strips for itself, since what another processor has written is far away.
 * B is packed once for all. */
enum { STRIP_PANELS = 16, STRIP_WORDS = 112 << 10, CHUNK_WORDS = 1152 };

/* Of one pass over the sum: as much of B's panel as leaves room in the first-level cache. */
enum { SUM_WORDS = 128, TWO_BIT_SUM_WORDS = 192 };
enum { PARTS_A_THREAD = 2, JOBS_MAX = 2 * BN_SITE_LAYERS_MAX, GROUPS_MAX = 1 + BN_SITE_LAYERS_MAX };

/* Adding 128 makes every code of -127 ... 127 unsigned. */
enum { CODE_OFFSET = 128 };

/* Jobs whose strips are one part: plans first ... end - 1. */
typedef struct part_group {
    int first, end, parts;
} part_group;

/* All that is multiplied at once. */
typedef struct batch {
    bn_cpu *cpu;
    bn_plan plans[JOBS_MAX];
    part_group groups[GROUPS_MAX];
    int plan_count, group_count;
    int b_from[JOBS_MAX]; /* the first plan that has the same B */
    uint32_t *memory;     /* thread t's begins at t * stride */
    size_t stride;        /* [words] */
} batch;

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

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int rounded_up(int count, int multiple)
{
    return bn_cpu_blocks(count, multiple) * multiple;
}

static bn_plan plan_of(bn_cpu *cpu, const bn_product_job *job)
{
    const bn_kernel *kernel = kernel_of(cpu->isa, job->format, job->b_packed);
    bn_plan p = {.cpu = cpu, .job = job, .kernel = kernel};
    p.a = panels_of(&job->a, kernel, kernel->mr, job->length);
    p.b = panels_of(&job->b, kernel, kernel->nr, job->length);
    if (job->format == BN_I8) p.b.offset = CODE_OFFSET;
    p.b.shared = bn_pool_threads(cpu->pool) > 1;
    if (job->b_packed) p.b = *job->b_packed;
    return p;
}

/* How the sum over A's words is cut; returns how many panels of a strip fit. */
static int cut_sum(bn_plan *p)
{
    int words = p->a.word_count;
    int chunks = p->a.quantized ? 1 : bn_cpu_blocks(words, CHUNK_WORDS);
    int multiple = p->kernel->step_multiple;
    p->chunk_words = rounded_up(bn_cpu_blocks(words, chunks), multiple);
    int passes = bn_cpu_blocks(p->chunk_words, p->b.two_bit ? TWO_BIT_SUM_WORDS : SUM_WORDS);
    p->sum_words = rounded_up(bn_cpu_blocks(p->chunk_words, passes), multiple);
    int fitting = STRIP_WORDS / (p->chunk_words * p->a.block);
    return least(fitting > 1 ? fitting : 1, STRIP_PANELS);
}

/* Cuts A into strips that fit the second-level cache, as many for each thread as for the others;
 * and B too where A alone has not enough of them. */
static void cut_group(batch *t, part_group *group)
{
    int threads = bn_pool_threads(t->cpu->pool);
    bn_plan *plans = t->plans;
    int step = STRIP_PANELS;
    int b_count = plans[group->first].b.count;
    for (int i = group->first; i < group->end; i++) {
        step = least(step, cut_sum(&plans[i]));
        b_count = least(b_count, plans[i].b.count);
    }
    int a_count = plans[group->first].a.count;
    int wanted = threads > 1 ? PARTS_A_THREAD * threads : 1;
    int a_blocks = least(a_count, rounded_up(bn_cpu_blocks(a_count, step), threads));
    int b_blocks = least(b_count, bn_cpu_blocks(wanted, a_blocks));
    group->parts = a_blocks * b_blocks;
    for (int i = group->first; i < group->end; i++) {
        plans[i].a_blocks = a_blocks;
        plans[i].b_blocks = b_blocks;
        plans[i].strip_panels = bn_cpu_blocks(a_count, a_blocks);
    }
}

static bool same_operand(const bn_plan *p, const bn_plan *q, const bn_operand *a,
                         const bn_operand *b)
{
    return a->data == b->data && a->across == b->across && a->stride == b->stride &&
           a->lines == b->lines && a->k_scale == b->k_scale && p->job->format == q->job->format &&
           p->job->length == q->job->length;
}

/* What a plan need not pack, since one before it does. */
static void find_shared(batch *t, const part_group *group)
{
    for (int i = group->first; i < group->end; i++) {
        bn_plan *p = &t->plans[i];
        const bn_plan *before = p - 1;
        t->b_from[i] = i;
        for (int j = i - 1; j >= 0; j--) {
            if (same_operand(p, &t->plans[j], &p->job->b, &t->plans[j].job->b)) t->b_from[i] = j;
        }
        bool whole = p->chunk_words == p->a.word_count;
        p->a_kept =
            i > group->first && whole && same_operand(p, before, &p->job->a, &before->job->a);
    }
}

static bool packs_b(const batch *t, int i)
{
    return !t->plans[i].job->b_packed && t->b_from[i] == i;
}

/* Memory for the operands that all share. */
static bool place_b(batch *t)
{
    size_t words = 0;
    size_t lines = 0;
    for (int i = 0; i < t->plan_count; i++) {
        if (!packs_b(t, i)) continue;
        words += bn_line_words(panel_words(&t->plans[i].b));
        lines += BN_LINE_ARRAYS * bn_line_words((size_t)t->plans[i].job->b.lines);
    }
    if (!words) return true;
    uint32_t *word = bn_cpu_scratch(t->cpu, BN_CPU_SLOT_PANELS, words * sizeof *word);
    uint32_t *line = bn_cpu_scratch(t->cpu, BN_CPU_SLOT_LINES, lines * sizeof *line);
    for (int i = 0; i < t->plan_count && word && line; i++) {
        bn_plan *p = &t->plans[i];
        if (p->job->b_packed) continue;
        if (!packs_b(t, i)) {
            p->b = t->plans[t->b_from[i]].b;
            continue;
        }
        p->b.words = word;
        bn_line_place(&p->b, p->job->b.lines, line);
        p->b.sum = NULL;
        word += bn_line_words(panel_words(&p->b));
        line += BN_LINE_ARRAYS * bn_line_words((size_t)p->job->b.lines);
    }
    return word && line;
}

static bool place(batch *t)
{
    if (!place_b(t)) return false;
    for (int i = 0; i < t->plan_count; i++) {
        size_t words = bn_strip_words(&t->plans[i]);
        if (words > t->stride) t->stride = words;
    }
    t->stride = bn_line_words(t->stride) + bn_line_words(1); /* not all at one place in the cache */
    size_t bytes = t->stride * sizeof *t->memory * (size_t)bn_pool_threads(t->cpu->pool);
    t->memory = bn_cpu_scratch(t->cpu, BN_CPU_SLOT_TILES, bytes);
    return t->memory != NULL;
}

static void measure_part(void *context, int part, int thread)
{
    const bn_plan *p = context;
    (void)thread;
    bn_pack_unit_part(p->cpu->isa->rows, &p->b, &p->job->b, p->job->length, part);
}

static void pack_plan_part(void *context, int part, int thread)
{
    const bn_plan *p = context;
    (void)thread;
    bn_pack_part(p->cpu->isa->rows, &p->b, &p->job->b, p->job->format, p->job->length, part);
}

static int pack_parts(const batch *t, int i)
{
    return packs_b(t, i) ? bn_pack_parts(&t->plans[i].b, &t->plans[i].job->b) : 0;
}

static void pack_part(void *context, int part, int thread)
{
    batch *t = context;
    int i = 0;
    for (; part >= pack_parts(t, i); i++) part -= pack_parts(t, i);
    pack_plan_part(&t->plans[i], part, thread);
}

/* Every B in one job. */
static void pack_b(batch *t)
{
    int parts = 0;
    for (int i = 0; i < t->plan_count; i++) {
        bn_plan *p = &t->plans[i];
        parts += pack_parts(t, i);
        if (!packs_b(t, i) || !p->b.quantized || !p->job->b.across) continue;
        bn_pool_run(t->cpu->pool, bn_pack_unit_parts(&p->job->b), measure_part, p);
    }
    bn_pool_run(t->cpu->pool, parts, pack_part, t);
}

/* Each thread's share of the parts is made up of its share of every group's, so that it finds the
 * same lines of memory in its caches whatever else the job has. */
static int group_of(const batch *t, int *part)
{
    int threads = bn_pool_threads(t->cpu->pool);
    for (int thread = 0; thread < threads; thread++) {
        for (int g = 0; g < t->group_count; g++) {
            int start = bn_share_start(t->groups[g].parts, threads, thread);
            int count = bn_share_start(t->groups[g].parts, threads, thread + 1) - start;
            if (*part < count) {
                *part += start;
                return g;
            }
            *part -= count;
        }
    }
    assert(false);
    return 0;
}

static void block_part(void *context, int part, int thread)
{
    const batch *t = context;
    const part_group *group = &t->groups[group_of(t, &part)];
    for (int i = group->first; i < group->end; i++) {
        bn_strip_run(&t->plans[i], part, t->memory + (size_t)thread * t->stride);
    }
}

static void check_job(const bn_plan *p)
{
    const bn_product_job *job = p->job;
    assert(!p->a.quantized || !job->result.row_scale);
    assert(job->format != BN_I8 || p->a.quantized || job->a.line_sum);
    assert(!job->a_packed || job->format != BN_I8);
    (void)job;
}

void bn_product_run_groups(bn_cpu *cpu, const bn_product_group *groups, int count)
{
    batch t = {.cpu = cpu, .group_count = count};
    assert(count <= GROUPS_MAX);
    int parts = 0;
    for (int g = 0; g < count; g++) {
        part_group *group = &t.groups[g];
        group->first = t.plan_count;
        group->end = group->first + groups[g].count;
        assert(group->end <= JOBS_MAX);
        for (int i = 0; i < groups[g].count; i++) {
            t.plans[t.plan_count] = plan_of(cpu, &groups[g].jobs[i]);
            check_job(&t.plans[t.plan_count++]);
        }
        cut_group(&t, group);
        find_shared(&t, group);
        parts += group->parts;
    }
    if (!place(&t)) return;
    pack_b(&t);
    bn_pool_run(cpu->pool, parts, block_part, &t);
}

void bn_product_run(bn_cpu *cpu, const bn_product_job *job)
{
    bn_product_run_groups(cpu, &(bn_product_group){job, 1}, 1);
}

size_t bn_product_pack_bytes(const bn_cpu *cpu, const bn_operand *b, bn_dtype format, int length)
{
    const bn_kernel *kernel = kernel_of(cpu->isa, format, NULL);
    bn_panels panels = panels_of(b, kernel, kernel->nr, length);
    return panel_words(&panels) * sizeof(uint32_t);
}

void bn_product_pack(bn_cpu *cpu, const bn_product_job *job, void *memory, bn_panels *out)
{
    bn_plan p = plan_of(cpu, job);
    assert(!p.b.quantized && !job->b_packed);
    p.b.words = memory;
    bn_pool_run(cpu->pool, bn_pack_parts(&p.b, &job->b), pack_plan_part, &p);
    *out = p.b;
}

bn_panels bn_product_a_panels(const bn_cpu *cpu, int lines, bn_dtype format, int length)
{
    const bn_kernel *kernel = kernel_of(cpu->isa, format, NULL);
    bn_operand a = {.dtype = format, .lines = lines};
    return panels_of(&a, kernel, kernel->mr, length);
}

size_t bn_product_alone_bytes(const bn_cpu *cpu, int a_lines)
{
    const bn_kernel *kernel = &cpu->isa->kernels[BN_PRODUCT_KIND_F32]; /* blocks are all alike */
    int lines = rounded_up(a_lines, kernel->mr);
    return (size_t)lines * (size_t)kernel->nr * sizeof(float);
}

/* One pass after another over all words: sums of a panel of B by all of A wait in between. */
void bn_product_run_alone(bn_cpu *cpu, const bn_product_job *job, void *memory)
{
    bn_plan p = plan_of(cpu, job);
    assert(job->a_packed && job->b_packed && job->format != BN_I8);
    p.chunk_words = p.a.word_count;
    int passes = bn_cpu_blocks(p.chunk_words, SUM_WORDS);
    p.sum_words = bn_cpu_blocks(p.chunk_words, passes);
    bn_strip_run_packed(&p, memory);
}
