#include "engine/cpu/product.h"

#include <assert.h>

#include "engine/cpu/pack.h"

/* What one part makes: a strip of C's rows by a range of its columns. Its operands lie in three
 * caches: SUM_WORDS of one panel of B in the first level while the strip's panels of A stream past,
 * the strip's own panels in the second, B in the third or behind it. Each thread packs its strips
 * for itself, since what another processor has written is far away; B is packed once for all. */
enum { SUM_WORDS = 128, STRIP_PANELS = 16, STRIP_WORDS = 112 << 10, CHUNK_WORDS = 1152 };
enum { PARTS_A_THREAD = 2, LINE_BYTES = 64 };

/* Adding 128 makes every code of -127 ... 127 unsigned. */
enum { CODE_OFFSET = 128 };

typedef struct plan {
    bn_cpu *cpu;
    const bn_product_job *job;
    const bn_kernel *kernel;
    bn_panels a, b;           /* a's words and lines are those of no strip yet */
    int chunk_words;          /* of A that are packed at a time */
    int sum_words;            /* of one pass over a strip */
    int a_blocks, b_blocks;   /* parts along A and along B */
    int strip_panels;         /* the most that a strip has */
    uint32_t *memory;         /* thread t's begins at t * stride */
    size_t stride;            /* [words] */
    size_t line_at, tiles_at; /* where a strip's lines and unfinished sums are kept in it */
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
enum { LINE_ARRAYS = 4 };

static void place_lines(bn_panels *panels, int lines, uint32_t *memory)
{
    size_t step = line_words(lines);
    panels->most = memory;
    panels->unit = (float *)(memory + step);
    panels->factor = (float *)(memory + 2 * step);
    panels->sum = (int32_t *)(memory + 3 * step);
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int rounded_up(int count, int multiple)
{
    return bn_cpu_blocks(count, multiple) * multiple;
}

/* Where share `index` of `count` things begins when they are dealt out evenly. */
static int share_start(int count, int shares, int index)
{
    return (int)((int64_t)count * index / shares);
}

/* Cuts A into strips that fit the second-level cache, as many for each thread as for the others;
 * and B too where A alone has not enough of them. */
static void cut(plan *p)
{
    int threads = bn_pool_threads(p->cpu->pool);
    int words = p->a.word_count;
    int chunks = p->a.quantized ? 1 : bn_cpu_blocks(words, CHUNK_WORDS);
    int multiple = p->kernel->step_multiple;
    p->chunk_words = rounded_up(bn_cpu_blocks(words, chunks), multiple);
    int passes = bn_cpu_blocks(p->chunk_words, SUM_WORDS);
    p->sum_words = rounded_up(bn_cpu_blocks(p->chunk_words, passes), multiple);
    int fitting = STRIP_WORDS / (p->chunk_words * p->a.block);
    int step = least(fitting > 1 ? fitting : 1, STRIP_PANELS);
    int wanted = threads > 1 ? PARTS_A_THREAD * threads : 1;
    p->a_blocks = least(p->a.count, rounded_up(bn_cpu_blocks(p->a.count, step), threads));
    p->b_blocks = least(p->b.count, bn_cpu_blocks(wanted, p->a_blocks));
    p->strip_panels = bn_cpu_blocks(p->a.count, p->a_blocks);
}

static bool place(plan *p)
{
    const bn_product_job *job = p->job;
    bn_cpu *cpu = p->cpu;
    if (!job->b_packed) {
        size_t bytes = panel_words(&p->b) * sizeof *p->memory;
        p->b.words = bn_cpu_scratch(cpu, BN_CPU_SLOT_PANELS, bytes);
        bytes = LINE_ARRAYS * line_words(job->b.lines) * sizeof *p->memory;
        uint32_t *lines = bn_cpu_scratch(cpu, BN_CPU_SLOT_LINES, bytes);
        if (!p->b.words || !lines) return false;
        place_lines(&p->b, job->b.lines, lines);
        p->b.sum = NULL;
    }
    int strip_lines = p->strip_panels * p->a.block;
    int tile_panels = p->chunk_words < p->a.word_count ? bn_cpu_blocks(p->b.count, p->b_blocks) : 1;
    size_t strip_words = (size_t)strip_lines * (size_t)p->chunk_words;
    p->line_at = line_words((int)strip_words);
    p->tiles_at = p->line_at + LINE_ARRAYS * line_words(strip_lines);
    p->stride = p->tiles_at + (size_t)strip_lines * (size_t)p->b.block * (size_t)tile_panels;
    p->stride = line_words((int)p->stride) + LINE_BYTES;
    size_t bytes = p->stride * sizeof *p->memory * (size_t)bn_pool_threads(cpu->pool);
    p->memory = bn_cpu_scratch(cpu, BN_CPU_SLOT_TILES, bytes);
    return p->memory != NULL;
}

static void measure_part(void *context, int part, int thread)
{
    const plan *p = context;
    (void)thread;
    bn_pack_unit_part(p->cpu->isa->rows, &p->b, &p->job->b, p->job->length, part);
}

static void pack_part(void *context, int part, int thread)
{
    const plan *p = context;
    (void)thread;
    bn_pack_part(p->cpu->isa->rows, &p->b, &p->job->b, p->job->format, p->job->length, part);
}

static void pack_b(plan *p)
{
    const bn_operand *b = &p->job->b;
    if (p->job->b_packed) return;
    if (p->b.quantized && b->across) {
        bn_pool_run(p->cpu->pool, bn_pack_unit_parts(b), measure_part, p);
    }
    bn_pool_run(p->cpu->pool, bn_pack_parts(&p->b, b), pack_part, p);
}

/* What a part is at: panels of A and B, and words of their sum. */
typedef struct strip {
    bn_panels a; /* its panels of A, words first ... end - 1 */
    int a_start;
    int b_start, b_end;
    int first, end;
    uint32_t *tiles;
} strip;

static size_t dtype_bytes(bn_dtype dtype)
{
    return dtype == BN_F32 ? 4 : dtype == BN_I8 ? 1 : 2;
}

/* The strip's lines and words of A, packed into the thread's memory. */
static void pack_strip(const plan *p, const strip *s)
{
    const bn_product_job *job = p->job;
    bn_operand a = job->a;
    int elements = bn_word_elements(s->a.word);
    int k = s->first * elements;
    int length = least(job->length, s->end * elements) - k;
    int line = s->a_start * s->a.block;
    size_t at =
        a.across ? (size_t)k * a.stride + (size_t)line : (size_t)line * a.stride + (size_t)k;
    a.data = (const char *)a.data + at * dtype_bytes(a.dtype);
    a.lines = least(job->a.lines - line, s->a.count * s->a.block);
    if (a.k_scale) a.k_scale += k;
    const bn_rows *rows = p->cpu->isa->rows;
    int parts = s->a.quantized && a.across ? bn_pack_unit_parts(&a) : 0;
    for (int i = 0; i < parts; i++) bn_pack_unit_part(rows, &s->a, &a, length, i);
    parts = bn_pack_parts(&s->a, &a);
    for (int i = 0; i < parts; i++) bn_pack_part(rows, &s->a, &a, job->format, length, i);
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

/* One register block: panel a of the strip and b of B, and where its sums are gathered. */
typedef struct spot {
    int a, b;
    uint32_t *sums;
} spot;

/* Words of B's panel b from `first` on. */
static const uint32_t *b_words(const plan *p, int b, int first)
{
    size_t at = (size_t)b * (size_t)p->b.word_count + (size_t)first;
    return p->b.words + (p->b.two_bit ? at / 4 : at) * (size_t)p->b.block;
}

/* Adds words first ... first + count - 1 of the strip to the sums. */
static void add_words(const plan *p, const strip *s, spot at, int first, int count)
{
    size_t a_at = (size_t)at.a * (size_t)s->a.word_count + (size_t)(first - s->first);
    p->kernel->run(count, s->a.words + a_at * (size_t)s->a.block, b_words(p, at.b, first), at.sums,
                   first > 0);
}

static void fetch(const void *memory, size_t bytes)
{
    const char *at = memory;
    for (size_t i = 0; i < bytes; i += LINE_BYTES) __builtin_prefetch(at + i, 0, 2);
}

/* What a tile will be added to. Lines of C that are only written come by themselves. */
static void fetch_target(const plan *p, const strip *s, spot at)
{
    const bn_result *r = &p->job->result;
    if (!r->accumulate && !r->residual) return;
    int m = (s->a_start + at.a) * s->a.block;
    int n = at.b * p->b.block;
    int rows = least(p->job->a.lines - m, s->a.block);
    size_t bytes = (size_t)least(p->job->b.lines - n, p->b.block) * sizeof *r->c;
    for (int i = 0; i < rows; i++) {
        size_t start = (size_t)(m + i) * r->stride + (size_t)n;
        fetch((r->residual ? r->residual : r->c) + start, bytes);
    }
}

/* The finished sums into C. */
static void write_tile(const plan *p, const strip *s, spot at)
{
    const bn_product_job *job = p->job;
    int row = at.a * s->a.block;
    int m = s->a_start * s->a.block + row;
    int n = at.b * p->b.block;
    bn_tile t = tile_of(p);
    t.tile = at.sums;
    t.rows = least(job->a.lines - m, s->a.block);
    t.lanes = least(job->b.lines - n, p->b.block);
    size_t start = (size_t)m * t.stride + (size_t)n;
    t.c = job->result.c + start;
    t.accumulate = job->result.accumulate;
    t.residual = job->result.residual ? job->result.residual + start : NULL;
    t.row_scale = job->result.row_scale ? job->result.row_scale + m : NULL;
    t.row_sum = job->a.line_sum ? job->a.line_sum + m : NULL;
    if (s->a.quantized) {
        t.row_scale = s->a.unit + row;
        t.row_sum = s->a.sum + row;
    }
    t.lane_scale = p->b.quantized ? p->b.unit + n : NULL;
    p->cpu->isa->rows->finish_tile(&t);
}

/* Words first ... first + count - 1 of one panel of B by all panels of the strip. While they are
 * multiplied, the words after them are on their way. */
static void multiply_panel(const plan *p, const strip *s, int b, int first, int count)
{
    size_t tile_words = (size_t)s->a.block * (size_t)p->b.block;
    bool kept = p->chunk_words < p->a.word_count;
    uint32_t *tiles =
        kept ? s->tiles + (size_t)((b - s->b_start) * s->a.count) * tile_words : s->tiles;
    bool last = first + count == p->a.word_count;
    bool onward = first + count < s->end;
    const uint32_t *next = onward ? b_words(p, b, first + count) : b_words(p, b + 1, s->first);
    size_t bytes = (size_t)count * (size_t)p->b.block * sizeof *next / (p->b.two_bit ? 4 : 1);
    size_t piece = (bytes / (size_t)s->a.count + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    bool fetching = onward || b + 1 < s->b_end;
    for (int a = 0; a < s->a.count; a++) {
        spot at = {a, b, tiles + (size_t)a * tile_words};
        if (fetching) fetch((const char *)next + (size_t)a * piece, piece);
        if (last) fetch_target(p, s, at);
        add_words(p, s, at, first, count);
        if (last) write_tile(p, s, at);
    }
}

static void multiply_strip(const plan *p, const strip *s)
{
    for (int b = s->b_start; b < s->b_end; b++) {
        for (int w = s->first; w < s->end; w += p->sum_words) {
            multiply_panel(p, s, b, w, least(p->sum_words, s->end - w));
        }
    }
}

/* The strip's words of an A that is packed already. */
static void take_strip(const plan *p, strip *s)
{
    const bn_panels *a = p->job->a_packed;
    size_t at = (size_t)s->a_start * (size_t)a->word_count + (size_t)s->first;
    s->a.words = a->words + at * (size_t)a->block;
    s->a.word_count = a->word_count;
}

static void block_part(void *context, int part, int thread)
{
    const plan *p = context;
    int a_block = part / p->b_blocks;
    int b_block = part % p->b_blocks;
    uint32_t *memory = p->memory + (size_t)thread * p->stride;
    strip s = {.a = p->a, .tiles = memory + p->tiles_at};
    s.a_start = share_start(p->a.count, p->a_blocks, a_block);
    s.b_start = share_start(p->b.count, p->b_blocks, b_block);
    s.b_end = share_start(p->b.count, p->b_blocks, b_block + 1);
    s.a.count = share_start(p->a.count, p->a_blocks, a_block + 1) - s.a_start;
    s.a.words = memory;
    place_lines(&s.a, p->strip_panels * p->a.block, memory + p->line_at);
    for (s.first = 0; s.first < p->a.word_count; s.first = s.end) {
        s.end = least(s.first + p->chunk_words, p->a.word_count);
        if (p->job->a_packed) {
            take_strip(p, &s);
        } else {
            s.a.word_count = s.end - s.first;
            pack_strip(p, &s);
        }
        multiply_strip(p, &s);
    }
}

static plan plan_of(bn_cpu *cpu, const bn_product_job *job)
{
    const bn_kernel *kernel = kernel_of(cpu->isa, job->format, job->b_packed);
    plan p = {.cpu = cpu, .job = job, .kernel = kernel};
    p.a = panels_of(&job->a, kernel, kernel->mr, job->length);
    p.b = panels_of(&job->b, kernel, kernel->nr, job->length);
    if (job->format == BN_I8) p.b.offset = CODE_OFFSET;
    p.b.shared = bn_pool_threads(cpu->pool) > 1;
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
    bn_pool_run(cpu->pool, bn_pack_parts(&p.b, &job->b), pack_part, &p);
    *out = p.b;
}

void bn_product_run(bn_cpu *cpu, const bn_product_job *job)
{
    plan p = plan_of(cpu, job);
    assert(!p.a.quantized || !job->result.row_scale);
    assert(job->format != BN_I8 || p.a.quantized || job->a.line_sum);
    assert(!job->a_packed || job->format != BN_I8);
    cut(&p);
    if (!place(&p)) return;
    pack_b(&p);
    bn_pool_run(cpu->pool, p.a_blocks * p.b_blocks, block_part, &p);
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
    plan p = plan_of(cpu, job);
    assert(job->a_packed && job->b_packed && job->format != BN_I8);
    p.chunk_words = p.a.word_count;
    int passes = bn_cpu_blocks(p.chunk_words, SUM_WORDS);
    p.sum_words = bn_cpu_blocks(p.chunk_words, passes);
    strip s = {.a = p.a, .b_end = p.b.count, .end = p.chunk_words, .tiles = memory};
    take_strip(&p, &s);
    multiply_strip(&p, &s);
}
