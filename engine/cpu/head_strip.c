#include "engine/cpu/head_strip.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "engine/base/half.h"
#include "engine/cpu/quantize.h"
#include "engine/cpu/wide.h"

/* Columns of a block, and words of one sum for dx: so many for a strip's rows lie in the
 * second-level cache together with these rows of dx. */
enum { BLOCK_COLS = BN_KERNEL_MR_MAX * BN_KERNEL_NR_MAX, SUM_WORDS = 768, CACHE_LINE = 64 };

typedef struct strip {
    const bn_head_plan *plan;
    int start, rows;
    int block_cols;    /* whole panels of either operand */
    int sum_blocks;    /* that one sum for dx takes */
    bn_panels x;       /* the strip's rows */
    bn_panels to_x;    /* dlogits of some blocks, for dx */
    float *logits;     /* [blocks][rows][block_cols], soon their exponentials */
    float *shift;      /* [blocks][rows] what a block's logits were lessened by before */
    float *most, *sum; /* [rows] so far: the largest logit, the sum of exp(logit - most) */
    float *wanted;     /* [rows] the target's logit */
    float *dx;         /* [rows, cols of x] where they are to lie, or to be rounded at the end */
    void *unfinished;  /* of products */
} strip;

bool bn_head_learns(const bn_head_plan *plan)
{
    return plan->args->dx.data != NULL;
}

bn_operand bn_head_rows_of(const bn_head_plan *plan, bool across)
{
    const bn_weight *head = plan->args->head;
    return (bn_operand){.data = bn_cpu_weight_values(head),
                        .dtype = bn_weight_dtype(head->format.kind),
                        .stride = (size_t)head->cols,
                        .lines = across ? head->cols : head->rows,
                        .across = across};
}

bn_operand bn_head_x_of(const bn_head_plan *plan, int start, int rows, bool across)
{
    bn_act x = plan->args->x;
    size_t bytes = x.dtype == BN_F32 ? sizeof(float) : sizeof(uint16_t);
    size_t at = (size_t)start * (size_t)x.cols;
    return (bn_operand){.data = (const char *)x.data + at * bytes,
                        .dtype = x.dtype,
                        .stride = (size_t)x.cols,
                        .lines = across ? x.cols : rows,
                        .across = across};
}

static size_t padded(size_t bytes)
{
    return (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static size_t panel_bytes(const bn_panels *p)
{
    return padded((size_t)p->count * (size_t)p->block * (size_t)p->word_count * sizeof *p->words);
}

/* The next `bytes` of a thread's memory; counts them only while there is none. */
static void *take(char *memory, size_t *used, size_t bytes)
{
    void *at = memory ? memory + *used : NULL;
    *used += padded(bytes);
    return at;
}

/* A strip without rows in the memory of one thread; *bytes is how much of it that takes. */
static strip strip_in(const bn_head_plan *p, char *memory, size_t *bytes)
{
    const bn_weight *head = p->args->head;
    const bn_kernel *kernel = &p->cpu->isa->kernels[BN_PRODUCT_KIND_F32]; /* blocks are all alike */
    int unit = kernel->mr * kernel->nr;
    strip s = {.plan = p, .block_cols = BLOCK_COLS / unit * unit};
    s.sum_blocks = SUM_WORDS * bn_word_elements(p->gradients.word) / s.block_cols;
    int blocks = bn_head_learns(p) ? bn_cpu_blocks(head->rows, s.block_cols) : 1;
    size_t row_bytes = (size_t)p->strip_rows * sizeof(float);
    *bytes = 0;
    s.x = bn_product_a_panels(p->cpu, p->strip_rows, p->format, head->cols);
    s.x.words = take(memory, bytes, panel_bytes(&s.x));
    s.logits = take(memory, bytes, (size_t)blocks * (size_t)s.block_cols * row_bytes);
    s.shift = take(memory, bytes, (size_t)blocks * row_bytes);
    s.most = take(memory, bytes, row_bytes);
    s.sum = take(memory, bytes, row_bytes);
    s.wanted = take(memory, bytes, row_bytes);
    s.unfinished = take(memory, bytes, bn_product_alone_bytes(p->cpu, p->strip_rows));
    if (!bn_head_learns(p)) return s;
    s.to_x = bn_product_a_panels(p->cpu, p->strip_rows, p->format, s.sum_blocks * s.block_cols);
    s.to_x.words = take(memory, bytes, panel_bytes(&s.to_x));
    if (p->args->dx.dtype != BN_F32) s.dx = take(memory, bytes, row_bytes * (size_t)head->cols);
    return s;
}

size_t bn_head_strip_bytes(const bn_head_plan *plan)
{
    size_t bytes;
    (void)strip_in(plan, NULL, &bytes);
    return bytes;
}

/* Without gradients all blocks lie in the same place. */
static size_t place_of(const strip *s, int block, int row)
{
    return (size_t)(bn_head_learns(s->plan) ? block : 0) * (size_t)s->rows + (size_t)row;
}

static float *logits_of(const strip *s, int block, int row)
{
    return s->logits + place_of(s, block, row) * (size_t)s->block_cols;
}

static int cols_of(const strip *s, int block)
{
    return least(s->plan->args->head->rows - block * s->block_cols, s->block_cols);
}

static void pack_x(const strip *s)
{
    const bn_head_plan *p = s->plan;
    bn_operand x = bn_head_x_of(p, s->start, s->rows, false);
    int parts = bn_pack_parts(&s->x, &x);
    for (int i = 0; i < parts; i++) {
        bn_pack_part(p->cpu->isa->rows, &s->x, &x, p->format, p->args->x.cols, i);
    }
}

static void make_logits(const strip *s, int block)
{
    const bn_head_plan *p = s->plan;
    int cols = cols_of(s, block);
    bn_panels head = p->along;
    int first = block * (s->block_cols / head.block);
    head.words += (size_t)first * (size_t)head.block * (size_t)head.word_count;
    head.count -= first;
    bn_product_job job = {.format = p->format,
                          .length = p->args->head->cols,
                          .a = {.lines = s->rows},
                          .b = {.lines = cols},
                          .a_packed = &s->x,
                          .b_packed = &head};
    job.result =
        (bn_result){.c = logits_of(s, block, 0), .stride = (size_t)s->block_cols, .scale = 1};
    bn_product_run_alone(p->cpu, &job, s->unfinished);
}

/* Logits of a row in one block -> their exponentials, while they are near. A later block may find a
 * larger logit: then the sum so far is lessened. */
static void sum_row(const strip *s, int block, int i)
{
    const bn_rows *rows = s->plan->cpu->isa->rows;
    int first = block * s->block_cols;
    int target = s->plan->args->targets[s->start + i];
    size_t cols = (size_t)cols_of(s, block);
    float *z = logits_of(s, block, i);
    if (target >= first && target - first < (int)cols) s->wanted[i] = z[target - first];
    float most = rows->max(z, cols);
    if (block == 0) {
        s->most[i] = most;
        s->sum[i] = 0;
    } else if (most > s->most[i]) {
        s->sum[i] *= expf(s->most[i] - most);
        s->most[i] = most;
    }
    s->shift[place_of(s, block, i)] = s->most[i];
    s->sum[i] += rows->exp_shifted(z, 1, s->most[i], cols);
}

static void sum_block(const strip *s, int block)
{
    for (int i = 0; i < s->rows; i++) {
        if (s->plan->args->targets[s->start + i] >= 0) sum_row(s, block, i);
    }
}

static void finish_loss(const strip *s)
{
    const bn_head_args *args = s->plan->args;
    for (int i = 0; i < s->rows; i++) {
        bool counts = args->targets[s->start + i] >= 0;
        args->loss[s->start + i] = counts ? logf(s->sum[i]) + (s->most[i] - s->wanted[i]) : 0;
    }
}

/* Gradients of as many rows as a panel of A has, in one block. */
typedef struct turn {
    int row, rows; /* of the strip */
    int block, cols;
    int next_cols; /* of the block behind it; none: not positive */
    _Alignas(CACHE_LINE) uint16_t half[BN_KERNEL_MR_MAX][BLOCK_COLS];
    _Alignas(CACHE_LINE) uint32_t word[BN_KERNEL_MR_MAX][BLOCK_COLS];
} turn;

/* The logits' gradient in one row: exponentials times a factor, less `scale` at the target. */
typedef struct gradient {
    const float *from; /* NULL: zeros, for a row that does not count */
    float factor;
    int target; /* column of the block, or -1 */
} gradient;

static gradient gradient_of(const strip *s, const turn *t, int i)
{
    const bn_head_args *args = s->plan->args;
    int row = t->row + i;
    int target = i < t->rows ? args->targets[s->start + row] : -1;
    if (target < 0) return (gradient){0};
    float shift = s->shift[place_of(s, t->block, row)];
    int at = target - t->block * s->block_cols;
    return (gradient){.from = logits_of(s, t->block, row),
                      .factor = args->scale / s->sum[row] * expf(shift - s->most[row]),
                      .target = at >= 0 && at < t->cols ? at : -1};
}

static float at_target(const strip *s, const gradient *g)
{
    return g->from[g->target] * g->factor - s->plan->args->scale;
}

static void fetch(const void *memory, size_t bytes)
{
    const char *at = memory;
    for (size_t i = 0; i < bytes; i += CACHE_LINE) __builtin_prefetch(at + i);
}

static void fetch_to_write(const void *memory, size_t bytes)
{
    const char *at = memory;
    for (size_t i = 0; i < bytes; i += CACHE_LINE) __builtin_prefetch(at + i, 1);
}

/* Words of a row of the strip, in the i-th panel that a block has for dlogits^T x. */
static uint32_t *dealt_at(const strip *s, int block, int i, int row)
{
    const bn_panels *out = &s->plan->gradients;
    int panel = block * (s->block_cols / out->block) + i;
    int word = (s->start + row - s->plan->chunk_start) / bn_word_elements(out->word);
    size_t at = (size_t)panel * (size_t)out->word_count + (size_t)word;
    return out->words + at * (size_t)out->block;
}

/* The first `count` words of the turn into these panels. Where the next ones go is far away. */
static void deal(const strip *s, turn *t, int count)
{
    int block = s->plan->gradients.block;
    int panels = bn_cpu_blocks(t->cols, block);
    bool last = t->row + t->rows == s->rows;
    size_t bytes = (size_t)count * (size_t)block * sizeof **t->word;
    for (int w = 0; w < count; w++) {
        size_t spare = (size_t)(panels * block - t->cols);
        memset(t->word[w] + t->cols, 0, spare * sizeof **t->word);
    }
    for (int i = 0; i < panels; i++) {
        uint32_t *to = dealt_at(s, t->block, i, t->row);
        if (!last) fetch_to_write(dealt_at(s, t->block, i, t->row + t->rows), bytes);
        if (last && t->next_cols > i * block) {
            fetch_to_write(dealt_at(s, t->block + 1, i, 0), bytes);
        }
        for (int w = 0; w < count; w++, to += block) {
            const uint32_t *from = t->word[w] + (size_t)i * (size_t)block;
            if (block == BN_KERNEL_MR_MAX) { /* named, it is a few loads and stores */
                memcpy(to, from, BN_KERNEL_MR_MAX * sizeof *to);
            } else {
                memcpy(to, from, (size_t)block * sizeof *to);
            }
        }
    }
}

/* `to` is where the rows' words for dx go. */
static void turn_halves(const strip *s, turn *t, uint32_t *to)
{
    const bn_rows *rows = s->plan->cpu->isa->rows;
    int block = s->to_x.block;
    size_t cols = (size_t)t->cols;
    for (int i = 0; i < block; i++) {
        gradient g = gradient_of(s, t, i);
        if (g.from) fetch(g.from + block * s->block_cols, cols * sizeof *g.from);
        uint16_t *to_row = t->half[i];
        if (g.from) {
            rows->to_bf16(to_row, g.from, g.factor, cols);
        } else {
            memset(to_row, 0, cols * sizeof *to_row);
        }
        if (g.from && g.target >= 0) to_row[g.target] = bn_bf16_from_float(at_target(s, &g));
        if (cols % 2) to_row[cols] = 0;
    }
    for (int i = 0; i < block; i += 2) {
        rows->pair_bf16(t->word[i / 2], t->half[i], t->half[i + 1], cols);
    }
    deal(s, t, block / 2);
    rows->transpose(to, block, (const uint32_t *)(const void *)t->half, BLOCK_COLS / 2, block,
                    bn_cpu_blocks(t->cols, 2));
}

static void turn_floats(const strip *s, turn *t, uint32_t *to)
{
    const bn_rows *rows = s->plan->cpu->isa->rows;
    int block = s->to_x.block;
    size_t cols = (size_t)t->cols;
    for (int i = 0; i < block; i++) {
        gradient g = gradient_of(s, t, i);
        if (g.from) fetch(g.from + block * s->block_cols, cols * sizeof *g.from);
        float *to_row = (float *)t->word[i];
        if (g.from) {
            rows->scale(to_row, g.from, g.factor, NULL, cols);
        } else {
            memset(to_row, 0, cols * sizeof *to_row);
        }
        if (g.from && g.target >= 0) to_row[g.target] = at_target(s, &g);
        if (s->plan->format == BN_BF16) rows->round_bf16(to_row, to_row, 1, cols);
    }
    deal(s, t, block);
    rows->transpose(to, block, t->word[0], BLOCK_COLS, block, t->cols);
}

/* The gradients of a block of logits; it is the `index`-th of those that go into one sum. */
static void turn_block(const strip *s, int block, int index)
{
    int height = s->to_x.block;
    int elements = bn_word_elements(s->to_x.word);
    turn t;
    t.block = block;
    t.cols = cols_of(s, block);
    t.next_cols = cols_of(s, block + 1);
    size_t at = (size_t)(index * s->block_cols / elements);
    for (t.row = 0; t.row < s->rows; t.row += height, at += (size_t)s->to_x.word_count) {
        uint32_t *to = s->to_x.words + at * (size_t)height;
        t.rows = least(s->rows - t.row, height);
        if (elements == 2) {
            turn_halves(s, &t, to);
        } else {
            turn_floats(s, &t, to);
        }
    }
}

/* dx (= for the first, then +=) the gradients of blocks first ... first + count - 1 times the head.
 */
static void add_to_input(const strip *s, int first, int count)
{
    const bn_head_plan *p = s->plan;
    int cols = p->args->head->cols;
    int last = first + count - 1;
    bn_panels head = p->across;
    size_t word = (size_t)(first * s->block_cols / bn_word_elements(head.word));
    head.words += word * (size_t)head.block;
    bn_product_job job = {.format = p->format,
                          .length = (count - 1) * s->block_cols + cols_of(s, last),
                          .a = {.lines = s->rows},
                          .b = {.lines = cols},
                          .a_packed = &s->to_x,
                          .b_packed = &head};
    job.result =
        (bn_result){.c = s->dx, .stride = (size_t)cols, .scale = 1, .accumulate = first > 0};
    bn_product_run_alone(p->cpu, &job, s->unfinished);
}

void bn_head_strip_run(const bn_head_plan *plan, int start, int rows, int thread)
{
    size_t bytes;
    assert(plan->memory);
    strip s = strip_in(plan, plan->memory + (size_t)thread * plan->stride, &bytes);
    size_t dx_at = (size_t)start * (size_t)plan->args->dx.cols;
    s.start = start;
    s.rows = rows;
    s.dx = bn_wide_place(&plan->args->dx, dx_at, s.dx);
    int blocks = bn_cpu_blocks(plan->args->head->rows, s.block_cols);
    pack_x(&s);
    for (int b = 0; b < blocks; b++) {
        make_logits(&s, b);
        sum_block(&s, b);
    }
    finish_loss(&s);
    for (int b = 0; bn_head_learns(plan) && b < blocks; b += s.sum_blocks) {
        int count = least(blocks - b, s.sum_blocks);
        for (int i = 0; i < count; i++) turn_block(&s, b + i, i);
        add_to_input(&s, b, count);
    }
    if (!bn_head_learns(plan)) return;
    bn_wide_put(plan->cpu->isa->rows, &plan->args->dx, dx_at, s.dx,
                (size_t)rows * (size_t)plan->args->dx.cols);
}
