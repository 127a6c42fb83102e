#include "engine/cpu/strip.h"

enum { LINE_BYTES = 64, LINE_ELEMENTS = 16 };

size_t bn_line_words(size_t words)
{
    return (words + LINE_ELEMENTS - 1) / LINE_ELEMENTS * LINE_ELEMENTS;
}

void bn_line_place(bn_panels *panels, int lines, uint32_t *memory)
{
    size_t step = bn_line_words((size_t)lines);
    panels->most = memory;
    panels->unit = (float *)(memory + step);
    panels->factor = (float *)(memory + 2 * step);
    panels->sum = (int32_t *)(memory + 3 * step);
}

int bn_share_start(int count, int shares, int index)
{
    return (int)((int64_t)count * index / shares);
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

size_t bn_strip_words(bn_plan *plan)
{
    int lines = plan->strip_panels * plan->a.block;
    bool kept = plan->chunk_words < plan->a.word_count;
    int tile_panels = kept ? bn_cpu_blocks(plan->b.count, plan->b_blocks) : 1;
    plan->line_at = bn_line_words((size_t)lines * (size_t)plan->chunk_words);
    plan->tiles_at = plan->line_at + BN_LINE_ARRAYS * bn_line_words((size_t)lines);
    return plan->tiles_at + (size_t)lines * (size_t)plan->b.block * (size_t)tile_panels;
}

/* What a part is at: panels of A and B, and words of their sum. */
typedef struct strip {
    bn_panels a; /* its panels of A, words first ... end - 1 */
    int a_start;
    int b_start, b_end;
    int first, end;
    uint32_t *tiles;
} strip;

/* The strip's lines and words of A, packed into the thread's memory. */
static void pack_strip(const bn_plan *p, const strip *s)
{
    const bn_product_job *job = p->job;
    bn_operand a = job->a;
    int elements = bn_word_elements(s->a.word);
    int k = s->first * elements;
    int length = least(job->length, s->end * elements) - k;
    int line = s->a_start * s->a.block;
    size_t at =
        a.across ? (size_t)k * a.stride + (size_t)line : (size_t)line * a.stride + (size_t)k;
    a.data = (const char *)a.data + at * bn_dtype_bytes(a.dtype);
    a.lines = least(job->a.lines - line, s->a.count * s->a.block);
    if (a.k_scale) a.k_scale += k;
    const bn_rows *rows = p->cpu->isa->rows;
    int parts = s->a.quantized && a.across ? bn_pack_unit_parts(&a) : 0;
    for (int i = 0; i < parts; i++) bn_pack_unit_part(rows, &s->a, &a, length, i);
    parts = bn_pack_parts(&s->a, &a);
    for (int i = 0; i < parts; i++) bn_pack_part(rows, &s->a, &a, job->format, length, i);
}

/* What is common to all tiles of the job. */
static bn_tile tile_of(const bn_plan *p)
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
static const uint32_t *b_words(const bn_plan *p, int b, int first)
{
    size_t at = (size_t)b * (size_t)p->b.word_count + (size_t)first;
    return p->b.words + (p->b.two_bit ? at / 4 : at) * (size_t)p->b.block;
}

/* Adds words first ... first + count - 1 of the strip to the sums. */
static void add_words(const bn_plan *p, const strip *s, spot at, int first, int count)
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
static void fetch_target(const bn_plan *p, const strip *s, spot at)
{
    const bn_result *r = &p->job->result;
    if (!r->accumulate && !r->residual) return;
    int m = (s->a_start + at.a) * s->a.block;
    int n = at.b * p->b.block;
    int rows = least(p->job->a.lines - m, s->a.block);
    const char *from = (const char *)(r->residual ? r->residual : r->c);
    size_t size = bn_dtype_bytes(r->dtype);
    size_t bytes = (size_t)least(p->job->b.lines - n, p->b.block) * size;
    for (int i = 0; i < rows; i++) {
        fetch(from + ((size_t)(m + i) * r->stride + (size_t)n) * size, bytes);
    }
}

/* Words of a panel of A that was not packed just now. */
static void fetch_strip(const strip *s, int a, int first, int count)
{
    size_t at = (size_t)a * (size_t)s->a.word_count + (size_t)(first - s->first);
    size_t block = (size_t)s->a.block;
    fetch(s->a.words + at * block, (size_t)count * block * sizeof *s->a.words);
}

/* The finished sums into C. */
static void write_tile(const bn_plan *p, const strip *s, spot at)
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
    t.dtype = job->result.dtype;
    if (t.dtype == BN_F32) {
        t.c = job->result.c + start;
    } else {
        t.half = job->result.half + start;
    }
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
static void multiply_panel(const bn_plan *p, const strip *s, int b, int first, int count)
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
    bool fetching = onward || b + 1 < p->b.count;
    bool far = p->job->a_packed && b == s->b_start;
    for (int a = 0; a < s->a.count; a++) {
        spot at = {a, b, tiles + (size_t)a * tile_words};
        if (fetching) fetch((const char *)next + (size_t)a * piece, piece);
        if (last) fetch_target(p, s, at);
        if (far && a + 1 < s->a.count) fetch_strip(s, a + 1, first, count);
        add_words(p, s, at, first, count);
        if (last) write_tile(p, s, at);
    }
}

static void multiply_strip(const bn_plan *p, const strip *s)
{
    for (int b = s->b_start; b < s->b_end; b++) {
        for (int w = s->first; w < s->end; w += p->sum_words) {
            multiply_panel(p, s, b, w, least(p->sum_words, s->end - w));
        }
    }
}

/* The strip's words of an A that is packed already. */
static void take_strip(const bn_plan *p, strip *s)
{
    const bn_panels *a = p->job->a_packed;
    size_t at = (size_t)s->a_start * (size_t)a->word_count + (size_t)s->first;
    s->a.words = a->words + at * (size_t)a->block;
    s->a.word_count = a->word_count;
}

void bn_strip_run(const bn_plan *p, int block, uint32_t *memory)
{
    int a_block = block / p->b_blocks;
    int b_block = block % p->b_blocks;
    strip s = {.a = p->a, .tiles = memory + p->tiles_at};
    s.a_start = bn_share_start(p->a.count, p->a_blocks, a_block);
    s.b_start = bn_share_start(p->b.count, p->b_blocks, b_block);
    s.b_end = bn_share_start(p->b.count, p->b_blocks, b_block + 1);
    s.a.count = bn_share_start(p->a.count, p->a_blocks, a_block + 1) - s.a_start;
    s.a.words = memory;
    bn_line_place(&s.a, p->strip_panels * p->a.block, memory + p->line_at);
    for (s.first = 0; s.first < p->a.word_count; s.first = s.end) {
        s.end = least(s.first + p->chunk_words, p->a.word_count);
        if (p->job->a_packed) {
            take_strip(p, &s);
        } else {
            s.a.word_count = s.end - s.first;
            if (!p->a_kept) pack_strip(p, &s);
        }
        multiply_strip(p, &s);
    }
}

void bn_strip_run_packed(const bn_plan *p, void *memory)
{
    int b_end = bn_cpu_blocks(p->job->b.lines, p->b.block);
    strip s = {.a = p->a, .b_end = b_end, .end = p->chunk_words, .tiles = memory};
    take_strip(p, &s);
    multiply_strip(p, &s);
}
