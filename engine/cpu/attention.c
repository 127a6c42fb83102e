/* Causal attention by blocks of queries: a block's scores are one strip [rows, seq], never the
 * square. All seven products read their operands in rows (attend.h), so softmax weights and slopes
 * are multiplied as they were written. What all blocks of a head read is made words once and stays
 * in the second-level cache. One (sequence, kv head) is one part: its dk and dv have one owner. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "engine/cpu/cpu.h"
#include "engine/cpu/wide.h"

/* STRIP: queries whose weights and slopes are kept together in the backward pass, about. STAGGER:
 * words between rows that would otherwise be a power of two apart, all in one set of the cache. */
enum { STRIP = 64, STAGGER = 16, LINE_WORDS = 16, LINE_BYTES = 64 };

/* A thread's scratch in 32-bit words: one float, or two bf16 of the dimension to sum over. */
typedef struct memory {
    uint32_t *turning;                    /* rows on their way into a panel */
    uint32_t *key_lanes;                  /* panels [dim words][lanes] of keys */
    uint32_t *across;                     /* [key words][dim]: values; keys in the backward pass */
    uint32_t *query_rows;                 /* [block rows][dim words] */
    uint32_t *weight_rows;                /* [block rows][row step]; slopes in the backward pass */
    float *scores;                        /* [block rows][step] */
    float *sums;                          /* [block rows][dim] */
    float *wide;                          /* [2][dim]: rows that lie in 16 bits, as floats */
    uint32_t *value_lanes;                /* from here on in the backward pass only */
    uint32_t *dout_rows;                  /* [block rows][dim words] */
    float *dp;                            /* [block rows][step] */
    uint32_t *weights, *slopes;           /* [strip words][step] */
    uint32_t *query_across, *dout_across; /* [strip words][dim] */
    float *dk, *dv;                       /* [keys][dim] */
} memory;

typedef struct pass {
    bn_cpu *cpu;
    const bn_attention_args *args;
    const bn_attention_grads *grads; /* NULL: forward */
    const bn_attend *kernel;
    const bn_rows *rows;
    int dim_words;
    int keys, dim; /* whole blocks of lanes */
    int strip;
    size_t step, row_step;
    bool plain;   /* values in memory are elements of words as they are */
    float factor; /* 1 / sqrt(dim) */
    uint32_t *scratch;
    size_t stride;
} pass;

static int round_up(int count, int unit)
{
    return bn_cpu_blocks(count, unit) * unit;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static size_t area(int a, size_t b)
{
    return (size_t)a * b;
}

/* Hands out pieces of a thread's scratch; with base NULL it only counts. */
typedef struct cursor {
    uint32_t *base;
    size_t used;
} cursor;

static void *carve(cursor *c, size_t words)
{
    size_t at = c->used;
    c->used += (words + LINE_WORDS - 1) / LINE_WORDS * LINE_WORDS;
    return c->base ? c->base + at : NULL;
}

static memory lay(const pass *p, cursor *c)
{
    int rows = p->kernel->rows, group = p->kernel->group;
    size_t dim = (size_t)p->dim, dim_words = (size_t)p->dim_words;
    size_t key_words = (size_t)bn_cpu_blocks(p->keys, group);
    size_t strip_words = (size_t)bn_cpu_blocks(p->strip, group);
    memory m = {.turning = carve(c, area(p->kernel->lanes, dim_words)),
                .key_lanes = carve(c, area(p->keys, dim_words)),
                .across = carve(c, key_words * dim),
                .query_rows = carve(c, area(rows, dim_words)),
                .weight_rows = carve(c, area(rows, p->row_step)),
                .scores = carve(c, area(rows, p->step)),
                .sums = carve(c, area(rows, dim)),
                .wide = carve(c, 2 * dim)};
    if (!p->grads) return m;
    m.value_lanes = carve(c, area(p->keys, dim_words));
    m.dout_rows = carve(c, area(rows, dim_words));
    m.dp = carve(c, area(rows, p->step));
    m.weights = carve(c, strip_words * p->step);
    m.slopes = carve(c, strip_words * p->step);
    m.query_across = carve(c, strip_words * dim);
    m.dout_across = carve(c, strip_words * dim);
    m.dk = carve(c, area(p->keys + rows, dim));
    m.dv = carve(c, area(p->keys + rows, dim));
    return m;
}

static memory memory_of(const pass *p, int thread)
{
    assert(p->scratch);
    memory m = lay(p, &(cursor){.base = p->scratch + area(thread, p->stride)});
    assert(m.scores && m.query_rows && (!p->grads || (m.dk && m.dv)));
    return m;
}

static bool prepare(pass *p, bn_cpu *cpu, const bn_attention_args *args,
                    const bn_attention_grads *grads)
{
    const bn_attend *kernel = &cpu->isa->attend[args->products == BN_BF16];
    *p = (pass){.cpu = cpu,
                .args = args,
                .grads = grads,
                .kernel = kernel,
                .rows = cpu->isa->rows,
                .dim_words = bn_cpu_blocks(args->dim, kernel->group),
                .keys = round_up(args->seq, kernel->lanes),
                .dim = round_up(args->dim, kernel->lanes),
                .strip = STRIP / kernel->rows * kernel->rows,
                .plain = kernel->group == 2 && args->q.dtype == BN_BF16,
                .factor = (float)(1 / sqrt(args->dim))};
    p->step = (size_t)p->keys + STAGGER;
    p->row_step = (size_t)bn_cpu_blocks(p->keys, kernel->group) + STAGGER;
    cursor count = {0};
    (void)lay(p, &count);
    p->scratch = (uint32_t *)bn_cpu_row_scratch(cpu, count.used, &p->stride);
    return p->scratch != NULL;
}

/* What a part works on: one sequence and head. Elements of token 0. */
typedef struct where {
    size_t q, k, lse;
} where;

static where place_of(const pass *p, int sequence, int head)
{
    const bn_attention_args *a = p->args;
    size_t token = area(sequence, (size_t)a->seq);
    int kv = head / (a->heads / a->kv_heads);
    return (where){.q = token * (size_t)a->q.cols + area(head, (size_t)a->dim),
                   .k = token * (size_t)a->k.cols + area(kv, (size_t)a->dim),
                   .lse = token * (size_t)a->heads + (size_t)head};
}

/* Tokens in memory, one head's elements of each. */
typedef struct tokens {
    const bn_mat *mat;
    size_t at; /* the first one's */
    int count;
} tokens;

/* Tokens t ... t + count - 1, where token 0 begins at `start`. */
static tokens tokens_of(const bn_mat *mat, size_t start, int t, int count)
{
    return (tokens){mat, start + area(t, (size_t)mat->cols), count};
}

/* Where a token's elements lie in the matrix. */
static size_t token_at(tokens from, int t)
{
    return from.at + area(t, (size_t)from.mat->cols);
}

/* A token's elements as floats: in place, or in row 0 or 1 of m->wide. */
static const float *token_floats(const pass *p, const memory *m, tokens from, int t, int row)
{
    size_t dim = (size_t)p->args->dim;
    return bn_wide_get(p->rows, from.mat, token_at(from, t), m->wide + area(row, (size_t)p->dim),
                       dim);
}

static void put_floats(const pass *p, tokens to, int t, const float *from)
{
    bn_wide_put(p->rows, to.mat, token_at(to, t), from, (size_t)p->args->dim);
}

/* Brings tokens from memory into the second-level cache: rows of one head are so far apart that the
 * processor does not see them coming. */
static void fetch(const pass *p, tokens from)
{
    size_t size = bn_dtype_bytes(from.mat->dtype);
    size_t bytes = (size_t)p->args->dim * size;
    for (int t = 0; t < from.count; t++) {
        const char *x = (const char *)from.mat->data + token_at(from, t) * size;
        for (size_t i = 0; i < bytes; i += LINE_BYTES) __builtin_prefetch(x + i, 0, 2);
        __asm__ volatile(""); /* gcc 12 drops calls of what only prefetches */
    }
}

/* to[t] = the words of token t along dim, zero for missing tokens before `rows`. */
static void write_rows(const pass *p, const memory *m, uint32_t *to, tokens from, int rows)
{
    size_t dim = (size_t)p->args->dim, words = (size_t)p->dim_words;
    for (int t = 0; t < from.count; t++, to += words) {
        if (p->plain) {
            to[words - 1] = 0;
            memcpy(to, from.mat->half + token_at(from, t), dim * sizeof *from.mat->half);
        } else {
            p->kernel->along(to, token_floats(p, m, from, t, 0), dim);
        }
    }
    memset(to, 0, area(rows - from.count, words) * sizeof *to);
}

/* Panels whose lanes are tokens and whose words run along dim. */
static void write_lanes(const pass *p, const memory *m, uint32_t *to, tokens from)
{
    int lanes = p->kernel->lanes;
    for (int t = 0; t < from.count; t += lanes, to += area(lanes, (size_t)p->dim_words)) {
        tokens some = tokens_of(from.mat, from.at, t, least(from.count - t, lanes));
        write_rows(p, m, m->turning, some, some.count);
        p->rows->transpose(to, lanes, m->turning, (size_t)p->dim_words, some.count, p->dim_words);
    }
}

/* to[w] = the words of tokens along the tokens, a lane for each element of dim. */
static void write_across(const pass *p, const memory *m, uint32_t *to, tokens from)
{
    size_t dim = (size_t)p->args->dim;
    int group = p->kernel->group;
    for (int t = 0; t < from.count; t += group, to += p->dim) {
        bool paired = group == 2 && t + 1 < from.count;
        if (p->plain && paired) {
            const uint16_t *x = from.mat->half + token_at(from, t);
            p->rows->pair_bf16(to, x, x + from.mat->cols, dim);
        } else {
            const float *x = token_floats(p, m, from, t, 0);
            p->kernel->across(to, x, paired ? token_floats(p, m, from, t + 1, 1) : NULL, dim);
        }
    }
}

/* c[r, keys before `end`] = rows . panels. */
static void multiply_keys(const pass *p, const uint32_t *rows, const uint32_t *panels, float *c,
                          int end)
{
    size_t words = (size_t)p->dim_words;
    bn_attend_product one = {.a = rows,
                             .b = panels,
                             .c = c,
                             .a_row = words,
                             .a_step = 1,
                             .b_step = (size_t)p->kernel->lanes,
                             .c_row = p->step,
                             .steps = words};
    for (int j = 0; j < end; j += p->kernel->lanes) {
        one.b = panels + area(j, words);
        one.c = c + j;
        p->kernel->product(&one);
    }
}

/* c[r, 0 ... dim) (=, +=), one register block of lanes after another. */
static void multiply_across(const pass *p, bn_attend_product product)
{
    const uint32_t *b = product.b;
    float *c = product.c;
    product.b_step = product.c_row = (size_t)p->dim;
    for (int i = 0; i < p->dim; i += p->kernel->lanes) {
        product.b = b + i;
        product.c = c + i;
        p->kernel->product(&product);
    }
}

/* The scores of a block's queries t ... and how many columns of them count: those behind a query
 * are -infinity. */
static size_t score(const pass *p, const memory *m, tokens queries, int t)
{
    int end = round_up(t + queries.count, p->kernel->lanes);
    write_rows(p, m, m->query_rows, queries, p->kernel->rows);
    multiply_keys(p, m->query_rows, m->key_lanes, m->scores, end);
    for (int r = 0; r < queries.count; r++) {
        float *row = m->scores + area(r, p->step);
        for (int j = t + r + 1; j < end; j++) row[j] = -INFINITY;
    }
    return (size_t)end;
}

/* While head `head` of a sequence works on tokens t ..., those of the next head are fetched. */
static void fetch_next(const pass *p, int sequence, int head, int t, int lines)
{
    const bn_attention_args *a = p->args;
    int next = head + 1 < a->heads ? head + 1 : 0;
    if (next == 0 && ++sequence == a->batch) return;
    where at = place_of(p, sequence, next);
    fetch(p, tokens_of(&a->q, at.q, t, lines));
    if (next % (a->heads / a->kv_heads) == 0) {
        fetch(p, tokens_of(&a->k, at.k, t, lines));
        fetch(p, tokens_of(&a->v, at.k, t, lines));
    }
    if (!p->grads) return;
    fetch(p, tokens_of(&a->out, at.q, t, lines));
    fetch(p, tokens_of(&p->grads->dout, at.q, t, lines));
}

/* Queries t ... t + lines - 1 of one head. */
static void attend(const pass *p, const memory *m, where at, int t, int lines)
{
    const bn_attention_args *a = p->args;
    float inverse[BN_ATTEND_ROWS_MAX];
    tokens outs = tokens_of(&a->out, at.q, t, lines);
    size_t count = score(p, m, tokens_of(&a->q, at.q, t, lines), t);
    for (int r = 0; r < lines; r++) {
        const float *row = m->scores + area(r, p->step);
        float most = p->rows->max(row, count);
        float sum =
            p->kernel->weigh(m->weight_rows + area(r, p->row_step), row, p->factor, most, count);
        a->lse[at.lse + area(t + r, (size_t)a->heads)] = most * p->factor + logf(sum);
        inverse[r] = 1 / sum;
    }
    bn_attend_product product = {.a = m->weight_rows,
                                 .b = m->across,
                                 .c = m->sums,
                                 .a_row = p->row_step,
                                 .a_step = 1,
                                 .steps = (size_t)bn_cpu_blocks(t + lines, p->kernel->group)};
    multiply_across(p, product);
    for (int r = 0; r < lines; r++) {
        float *sums = m->sums + area(r, (size_t)p->dim);
        float *out = bn_wide_place(&a->out, token_at(outs, r), sums);
        p->rows->scale(out, sums, inverse[r], NULL, (size_t)a->dim);
        put_floats(p, outs, r, out);
    }
}

static void forward_part(void *context, int part, int thread)
{
    const pass *p = context;
    const bn_attention_args *a = p->args;
    memory m = memory_of(p, thread);
    int group = a->heads / a->kv_heads;
    int first = part % a->kv_heads * group;
    where at = place_of(p, part / a->kv_heads, first);
    write_lanes(p, &m, m.key_lanes, tokens_of(&a->k, at.k, 0, a->seq));
    write_across(p, &m, m.across, tokens_of(&a->v, at.k, 0, a->seq));
    for (int h = first; h < first + group; h++) {
        at = place_of(p, part / a->kv_heads, h);
        for (int t = 0; t < a->seq; t += p->kernel->rows) {
            int lines = least(a->seq - t, p->kernel->rows);
            attend(p, &m, at, t, lines);
            fetch_next(p, part / a->kv_heads, h, t, lines);
        }
    }
}

void bn_cpu_attention_forward(void *self, const bn_attention_args *args)
{
    pass p;
    if (!prepare(&p, self, args, NULL)) return;
    bn_pool_run(p.cpu->pool, args->batch * args->kv_heads, forward_part, &p);
}

/* D = dout . out of a token. */
static float mean_slope(const pass *p, const memory *m, tokens douts, tokens outs, int t)
{
    const float *dout = token_floats(p, m, douts, t, 0);
    return p->rows->dot(dout, token_floats(p, m, outs, t, 1), (size_t)p->args->dim);
}

/* Softmax weights and their slopes of queries t ... t + lines - 1, from row `row` of the strip on.
 * With p the softmax, dp = dout.v, D = dout.out:  ds = p (dp - D) / sqrt(dim). */
static void find_slopes(const pass *p, const memory *m, where at, int t, int row, int lines)
{
    const bn_attention_args *a = p->args;
    tokens douts = tokens_of(&p->grads->dout, at.q, t, lines);
    tokens outs = tokens_of(&a->out, at.q, t, lines);
    size_t count = score(p, m, tokens_of(&a->q, at.q, t, lines), t);
    write_rows(p, m, m->dout_rows, douts, p->kernel->rows);
    multiply_keys(p, m->dout_rows, m->value_lanes, m->dp, (int)count);
    int group = p->kernel->group;
    for (int r = 0; r < lines; r += group) {
        size_t word = (size_t)((row + r) / group) * p->step;
        bn_attend_slopes s = {.scores = m->scores + area(r, p->step),
                              .dp = m->dp + area(r, p->step),
                              .step = p->step,
                              .factor = p->factor,
                              .weights = m->weights + word,
                              .slopes = m->slopes + word,
                              .rows = m->weight_rows + area(r, p->row_step),
                              .row_step = p->row_step};
        for (int i = 0; i < group; i++) {
            bool exists = r + i < lines;
            size_t lse = at.lse + area(t + r + i, (size_t)a->heads);
            s.shift[i] = exists ? a->lse[lse] / p->factor : INFINITY;
            s.mean[i] = exists ? mean_slope(p, m, douts, outs, r + i) : 0;
        }
        p->kernel->slope(&s, count);
    }
}

/* dq of the queries that find_slopes was for. */
static void find_dq(const pass *p, const memory *m, where at, int t, int row, int lines)
{
    bool grouped = p->kernel->group > 1;
    bn_attend_product product = {.a = grouped ? m->weight_rows : m->slopes + area(row, p->step),
                                 .b = m->across,
                                 .c = m->sums,
                                 .a_row = grouped ? p->row_step : p->step,
                                 .a_step = 1,
                                 .steps = (size_t)bn_cpu_blocks(t + lines, p->kernel->group)};
    multiply_across(p, product);
    tokens dq = tokens_of(&p->grads->dq, at.q, t, lines);
    for (int r = 0; r < lines; r++) put_floats(p, dq, r, m->sums + area(r, (size_t)p->dim));
}

/* A strip's queries t ... t + rows - 1; the first that its keys' gradients get, or not. */
typedef struct strip {
    int t, rows;
    bool first_head;
} strip;

/* c[j, :] (=, +=) sum over the strip's queries of values[query, j] * across[query, :]. No query
 * before j sees key j. */
static void add_keys(const pass *p, strip s, const uint32_t *values, const uint32_t *across,
                     float *c)
{
    int group = p->kernel->group;
    bn_attend_product product = {.a_row = 1, .a_step = p->step};
    for (int j = 0; j < s.t + s.rows; j += p->kernel->rows) {
        size_t skipped = j > s.t ? (size_t)((j - s.t) / group) : 0;
        product.a = values + skipped * p->step + j;
        product.b = across + skipped * (size_t)p->dim;
        product.c = c + area(j, (size_t)p->dim);
        product.steps = (size_t)bn_cpu_blocks(s.rows, group) - skipped;
        product.add = !s.first_head || j < s.t;
        multiply_across(p, product);
    }
}

static void backward_strip(const pass *p, const memory *m, where at, strip s)
{
    for (int row = 0; row < s.rows; row += p->kernel->rows) {
        int lines = least(s.rows - row, p->kernel->rows);
        find_slopes(p, m, at, s.t + row, row, lines);
        find_dq(p, m, at, s.t + row, row, lines);
    }
    write_across(p, m, m->query_across, tokens_of(&p->args->q, at.q, s.t, s.rows));
    write_across(p, m, m->dout_across, tokens_of(&p->grads->dout, at.q, s.t, s.rows));
    add_keys(p, s, m->slopes, m->query_across, m->dk);
    add_keys(p, s, m->weights, m->dout_across, m->dv);
}

static void backward_part(void *context, int part, int thread)
{
    const pass *p = context;
    const bn_attention_args *a = p->args;
    memory m = memory_of(p, thread);
    int group = a->heads / a->kv_heads;
    int first = part % a->kv_heads * group;
    where at = place_of(p, part / a->kv_heads, first);
    tokens keys = tokens_of(&a->k, at.k, 0, a->seq);
    tokens dks = tokens_of(&p->grads->dk, at.k, 0, a->seq);
    tokens dvs = tokens_of(&p->grads->dv, at.k, 0, a->seq);
    write_lanes(p, &m, m.key_lanes, keys);
    write_lanes(p, &m, m.value_lanes, tokens_of(&a->v, at.k, 0, a->seq));
    write_across(p, &m, m.across, keys);
    for (int h = first; h < first + group; h++) {
        at = place_of(p, part / a->kv_heads, h);
        for (int t = 0; t < a->seq; t += p->strip) {
            strip s = {t, least(a->seq - t, p->strip), h == first};
            backward_strip(p, &m, at, s);
            fetch_next(p, part / a->kv_heads, h, t, s.rows);
        }
    }
    for (int j = 0; j < a->seq; j++) {
        put_floats(p, dks, j, m.dk + area(j, (size_t)p->dim));
        put_floats(p, dvs, j, m.dv + area(j, (size_t)p->dim));
    }
}

void bn_cpu_attention_backward(void *self, const bn_attention_args *args,
                               const bn_attention_grads *grads)
{
    pass p;
    if (!prepare(&p, self, args, grads)) return;
    bn_pool_run(p.cpu->pool, args->batch * args->kv_heads, backward_part, &p);
}
