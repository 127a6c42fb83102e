/* Causal attention by blocks of queries: a block's scores are one strip [rows, seq], never the
 * square. All four products go through the f32 micro-kernel; keys and values are packed once a head
 * and stay in the second-level cache. One (sequence, kv head) is one part, so its dk and dv have
 * one owner. */
#include <math.h>
#include <string.h>

#include "engine/cpu/cpu.h"

/* Register blocks of queries whose scores are kept together in the backward pass. */
enum { STRIP_BLOCKS = 4 };

typedef struct head_memory {
    float *key_rows;   /* B panels, lanes = keys, words = dim */
    float *value_rows; /* the same of the values; backward only */
    float *across;     /* B panels, lanes = dim, words = keys: values forward, keys backward */
    float *scores;     /* [strip rows, padded seq]: softmax weights */
    float *slopes;     /* the same: their gradient; backward only */
    float *left;       /* A panel: block rows, words = seq or dim */
    float *query_strip, *dout_strip; /* B panels, lanes = dim, words = strip rows */
} head_memory;

typedef struct pass {
    bn_cpu *cpu;
    const bn_attention_args *args;
    const bn_attention_grads *grads;
    const bn_kernel *kernel;
    const bn_rows *rows;
    int keys_padded, dim_padded; /* to whole panels */
    int strip;                   /* query rows a strip */
    float factor;                /* 1 / sqrt(dim) */
    float *scratch;
    size_t stride;
} pass;

/* What a part works on: one sequence and kv head. */
typedef struct where {
    size_t q, k; /* element offset of token 0 of the query head and the kv head */
    size_t lse;  /* of token 0 of the query head */
    size_t q_step, k_step;
} where;

static size_t area(int a, int b)
{
    return (size_t)a * (size_t)b;
}

static head_memory memory_of(const pass *p, int thread)
{
    float *at = p->scratch + (size_t)thread * p->stride;
    size_t rows = area(p->keys_padded, p->args->dim);
    size_t across = area(p->args->seq, p->dim_padded);
    size_t strip = area(p->strip, p->keys_padded);
    size_t strip_across = area(p->strip, p->dim_padded);
    head_memory m;
    m.key_rows = at;
    m.value_rows = m.key_rows + rows;
    m.across = m.value_rows + rows;
    m.scores = m.across + across;
    m.slopes = m.scores + strip;
    m.query_strip = m.slopes + strip;
    m.dout_strip = m.query_strip + strip_across;
    m.left = m.dout_strip + strip_across;
    return m;
}

static bool prepare(pass *p, bn_cpu *cpu, const bn_attention_args *args,
                    const bn_attention_grads *grads)
{
    const bn_kernel *kernel = &cpu->isa->kernels[BN_PRODUCT_KIND_F32];
    *p = (pass){.cpu = cpu, .args = args, .grads = grads, .kernel = kernel, .rows = cpu->isa->rows};
    p->keys_padded = bn_cpu_blocks(args->seq, kernel->nr) * kernel->nr;
    p->dim_padded = bn_cpu_blocks(args->dim, kernel->nr) * kernel->nr;
    p->strip = STRIP_BLOCKS * kernel->mr;
    p->factor = (float)(1 / sqrt(args->dim));
    int words = p->keys_padded > args->dim ? p->keys_padded : args->dim;
    size_t floats = 2 * area(p->keys_padded, args->dim) + area(args->seq, p->dim_padded) +
                    2 * area(p->strip, p->keys_padded) + 2 * area(p->strip, p->dim_padded) +
                    area(words, kernel->mr);
    p->scratch = bn_cpu_row_scratch(cpu, floats, &p->stride);
    return p->scratch != NULL;
}

static where place_of(const pass *p, int sequence, int head)
{
    const bn_attention_args *a = p->args;
    size_t token = area(sequence, a->seq);
    int kv = head / (a->heads / a->kv_heads);
    return (where){.q = token * (size_t)a->q.cols + area(head, a->dim),
                   .k = token * (size_t)a->k.cols + area(kv, a->dim),
                   .lse = token * (size_t)a->heads + (size_t)head,
                   .q_step = (size_t)a->q.cols,
                   .k_step = (size_t)a->k.cols};
}

/* B panels whose lanes are tokens and whose words run along dim. */
static void pack_tokens(const pass *p, float *to, const float *from, size_t step)
{
    int lanes = p->kernel->nr;
    for (int j = 0; j < p->args->seq; j += lanes) {
        int lines = p->args->seq - j < lanes ? p->args->seq - j : lanes;
        p->rows->transpose((uint32_t *)to + area(j, p->args->dim), lanes,
                           (const uint32_t *)from + (size_t)j * step, step, lines, p->args->dim);
    }
}

/* B panels whose lanes run along dim and whose words are `count` tokens. */
static void pack_dim(const pass *p, float *to, const float *from, size_t step, int count)
{
    int lanes = p->kernel->nr;
    for (int c = 0; c < p->args->dim; c += lanes) {
        int have = p->args->dim - c < lanes ? p->args->dim - c : lanes;
        float *panel = to + area(c, count);
        for (int j = 0; j < count; j++) {
            memcpy(panel + area(j, lanes), from + (size_t)j * step + c,
                   (size_t)have * sizeof *panel);
            memset(panel + area(j, lanes) + have, 0, (size_t)(lanes - have) * sizeof *panel);
        }
    }
}

/* strip[r, j] = left . B's lane j, for the lanes before `end`. */
static void multiply_keys(const pass *p, const float *left, const float *panels, float *strip,
                          int end)
{
    _Alignas(64) float tile[BN_KERNEL_MR_MAX * BN_KERNEL_NR_MAX];
    int lanes = p->kernel->nr;
    int dim = p->args->dim;
    for (int j = 0; j < end; j += lanes) {
        p->kernel->run(dim, (const uint32_t *)left, (const uint32_t *)panels + area(j, dim), tile,
                       false);
        for (int r = 0; r < p->kernel->mr; r++) {
            memcpy(strip + area(r, p->keys_padded) + j, tile + area(r, lanes),
                   (size_t)lanes * sizeof *tile);
        }
    }
}

typedef struct target {
    float *c;
    size_t step;
    int rows;
    const float *row_scale;
    bool accumulate;
} target;

/* c[r, :] (=, +=) left . B panels over dim, `words` long, each `panel_words` apart. */
static void multiply_dim(const pass *p, const float *left, const float *panels, int words,
                         int panel_words, target to)
{
    _Alignas(64) float sums[BN_KERNEL_MR_MAX * BN_KERNEL_NR_MAX];
    int lanes = p->kernel->nr;
    for (int c = 0; c < p->args->dim; c += lanes) {
        p->kernel->run(words, (const uint32_t *)left,
                       (const uint32_t *)panels + area(c, panel_words), sums, false);
        bn_tile t = {.tile = sums, .tile_lanes = lanes, .rows = to.rows, .scale = 1};
        t.lanes = p->args->dim - c < lanes ? p->args->dim - c : lanes;
        t.row_scale = to.row_scale;
        t.accumulate = to.accumulate;
        t.c = to.c + c;
        t.stride = to.step;
        p->rows->finish_tile(&t);
    }
}

static void turn(const pass *p, float *left, const float *from, size_t step, int lines, int words)
{
    p->rows->transpose((uint32_t *)left, p->kernel->mr, (const uint32_t *)from, step, lines, words);
}

/* Queries t ... t + lines - 1 of one head. */
static void attend(const pass *p, const head_memory *m, where at, int t, int lines)
{
    const bn_attention_args *a = p->args;
    float inverse[BN_KERNEL_MR_MAX];
    int end = t + lines;
    turn(p, m->left, a->q.data + at.q + (size_t)t * at.q_step, at.q_step, lines, a->dim);
    multiply_keys(p, m->left, m->key_rows, m->scores, end);
    for (int r = 0; r < lines; r++) {
        float *s = m->scores + area(r, p->keys_padded);
        size_t seen = (size_t)t + (size_t)r + 1;
        float most = p->rows->max(s, seen) * p->factor;
        float sum = p->rows->exp_shifted(s, p->factor, most, seen);
        memset(s + seen, 0, ((size_t)end - seen) * sizeof *s);
        a->lse[at.lse + area(t + r, a->heads)] = most + logf(sum);
        inverse[r] = 1 / sum;
    }
    turn(p, m->left, m->scores, (size_t)p->keys_padded, lines, end);
    target to = {.c = a->out.data + at.q + (size_t)t * at.q_step,
                 .step = at.q_step,
                 .rows = lines,
                 .row_scale = inverse};
    multiply_dim(p, m->left, m->across, end, a->seq, to);
}

static void forward_part(void *context, int part, int thread)
{
    const pass *p = context;
    const bn_attention_args *a = p->args;
    head_memory m = memory_of(p, thread);
    int group = a->heads / a->kv_heads;
    int first = part % a->kv_heads * group;
    where at = place_of(p, part / a->kv_heads, first);
    pack_tokens(p, m.key_rows, a->k.data + at.k, at.k_step);
    pack_dim(p, m.across, a->v.data + at.k, at.k_step, a->seq);
    for (int h = first; h < first + group; h++) {
        at = place_of(p, part / a->kv_heads, h);
        for (int t = 0; t < a->seq; t += p->kernel->mr) {
            int lines = a->seq - t < p->kernel->mr ? a->seq - t : p->kernel->mr;
            attend(p, &m, at, t, lines);
        }
    }
}

void bn_cpu_attention_forward(void *self, const bn_attention_args *args)
{
    pass p;
    if (!prepare(&p, self, args, NULL)) return;
    bn_pool_run(p.cpu->pool, args->batch * args->kv_heads, forward_part, &p);
}

/* Softmax weights and their slopes for queries t ... of a strip that ends before key `end`, and
 * these queries' dq. With p the softmax, dp = dout.v, D = dout.out:  ds = p (dp - D) / sqrt(dim).
 */
static void slopes_of(const pass *p, const head_memory *m, where at, int t, int lines, int row)
{
    const bn_attention_args *a = p->args;
    const bn_attention_grads *g = p->grads;
    int end = t + lines;
    float *weights = m->scores + area(row, p->keys_padded);
    float *slopes = m->slopes + area(row, p->keys_padded);
    size_t q = at.q + (size_t)t * at.q_step;
    turn(p, m->left, a->q.data + q, at.q_step, lines, a->dim);
    multiply_keys(p, m->left, m->key_rows, weights, end);
    turn(p, m->left, g->dout.data + q, at.q_step, lines, a->dim);
    multiply_keys(p, m->left, m->value_rows, slopes, end);
    for (int r = 0; r < lines; r++) {
        size_t seen = (size_t)t + (size_t)r + 1;
        float *w = weights + area(r, p->keys_padded);
        float *s = slopes + area(r, p->keys_padded);
        size_t row_at = q + (size_t)r * at.q_step;
        float mean = p->rows->dot(g->dout.data + row_at, a->out.data + row_at, (size_t)a->dim);
        (void)p->rows->exp_shifted(w, p->factor, a->lse[at.lse + area(t + r, a->heads)], seen);
        p->rows->softmax_backward(s, w, mean, p->factor, seen);
        memset(w + seen, 0, ((size_t)p->keys_padded - seen) * sizeof *w);
        memset(s + seen, 0, ((size_t)p->keys_padded - seen) * sizeof *s);
    }
    turn(p, m->left, slopes, (size_t)p->keys_padded, lines, end);
    target to = {.c = g->dq.data + q, .step = at.q_step, .rows = lines};
    multiply_dim(p, m->left, m->across, end, a->seq, to);
}

/* A strip's weights or slopes [rows, padded keys], and the B panels of its queries over dim. */
typedef struct strip {
    const float *values, *panels;
    int rows, end; /* keys before `end` are seen by some row */
} strip;

/* c[j, :] += sum over the strip's rows of values[row, j] * B[row, :]. */
static void add_keys(const pass *p, const head_memory *m, strip s, target to)
{
    int block = p->kernel->mr;
    float *c = to.c;
    for (int j = 0; j < s.end; j += block) {
        to.rows = s.end - j < block ? s.end - j : block;
        for (int r = 0; r < s.rows; r++) {
            float *left = m->left + area(r, block);
            const float *from = s.values + area(r, p->keys_padded) + j;
            memcpy(left, from, (size_t)to.rows * sizeof *left);
            memset(left + to.rows, 0, (size_t)(block - to.rows) * sizeof *left);
        }
        to.c = c + (size_t)j * to.step;
        multiply_dim(p, m->left, s.panels, s.rows, s.rows, to);
    }
}

static void backward_strip(const pass *p, const head_memory *m, where at, int t)
{
    const bn_attention_args *a = p->args;
    const bn_attention_grads *g = p->grads;
    int rows = a->seq - t < p->strip ? a->seq - t : p->strip;
    for (int row = 0; row < rows; row += p->kernel->mr) {
        int lines = rows - row < p->kernel->mr ? rows - row : p->kernel->mr;
        slopes_of(p, m, at, t + row, lines, row);
    }
    size_t q = at.q + (size_t)t * at.q_step;
    pack_dim(p, m->query_strip, a->q.data + q, at.q_step, rows);
    pack_dim(p, m->dout_strip, g->dout.data + q, at.q_step, rows);
    target dk = {.c = g->dk.data + at.k, .step = at.k_step, .accumulate = true};
    target dv = {.c = g->dv.data + at.k, .step = at.k_step, .accumulate = true};
    add_keys(p, m, (strip){m->slopes, m->query_strip, rows, t + rows}, dk);
    add_keys(p, m, (strip){m->scores, m->dout_strip, rows, t + rows}, dv);
}

static void backward_part(void *context, int part, int thread)
{
    const pass *p = context;
    const bn_attention_args *a = p->args;
    head_memory m = memory_of(p, thread);
    int group = a->heads / a->kv_heads;
    int first = part % a->kv_heads * group;
    where at = place_of(p, part / a->kv_heads, first);
    pack_tokens(p, m.key_rows, a->k.data + at.k, at.k_step);
    pack_tokens(p, m.value_rows, a->v.data + at.k, at.k_step);
    pack_dim(p, m.across, a->k.data + at.k, at.k_step, a->seq);
    for (int j = 0; j < a->seq; j++) {
        size_t key = at.k + (size_t)j * at.k_step;
        memset(p->grads->dk.data + key, 0, (size_t)a->dim * sizeof(float));
        memset(p->grads->dv.data + key, 0, (size_t)a->dim * sizeof(float));
    }
    for (int h = first; h < first + group; h++) {
        at = place_of(p, part / a->kv_heads, h);
        for (int t = 0; t < a->seq; t += p->strip) backward_strip(p, &m, at, t);
    }
}

void bn_cpu_attention_backward(void *self, const bn_attention_args *args,
                               const bn_attention_grads *grads)
{
    pass p;
    if (!prepare(&p, self, args, grads)) return;
    bn_pool_run(p.cpu->pool, args->batch * args->kv_heads, backward_part, &p);
}
