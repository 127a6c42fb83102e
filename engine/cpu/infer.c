/* Products and attention of inference. Sums and their order are those of training where the shapes
 * are the same: the 2-bit products are exact in int32, whichever kernel makes them. */
#include <math.h>
#include <string.h>

#include "engine/cpu/cpu.h"
#include "engine/cpu/cpu_infer.h"
#include "engine/cpu/quantize.h"
#include "engine/cpu/ternary.h"

enum { HEAD_ROWS_A_PART = 64, DENSE_ROWS_A_PART = 16 };

size_t bn_packed_bytes(bn_backend be, int rows, int cols)
{
    return bn_ternary_bytes(be.self, rows, cols);
}

void bn_packed_fill(bn_backend be, const bn_packed *packed, const int8_t *codes)
{
    const bn_operand operand = {
        .data = codes, .dtype = BN_I8, .stride = (size_t)packed->cols, .lines = packed->rows};
    if (bn_cpu_failed(be.self)) return;
    bn_ternary_pack(be.self, &operand, packed->cols, packed->panels);
}

typedef struct single {
    const bn_cpu *cpu;
    const int8_t *x; /* padded */
    const bn_packed *weight;
    bn_panels panels;
    bn_tile tile; /* of the whole row */
} single;

static void single_part(void *context, int part, int thread)
{
    const single *s = context;
    int32_t sums[BN_KERNEL_NR_MAX];
    (void)thread;
    int lanes = s->panels.block;
    long quads = s->panels.word_count / 4;
    size_t panel_bytes = (size_t)quads * (size_t)lanes * 4;
    const char *panels = s->weight->panels;
    s->cpu->isa->decode(quads, panels + (size_t)part * panel_bytes, s->x, sums);
    bn_tile tile = s->tile;
    int left = s->weight->rows - part * lanes;
    tile.tile = sums;
    tile.tile_lanes = lanes;
    tile.lanes = left < lanes ? left : lanes;
    tile.c += part * lanes;
    if (tile.residual) tile.residual += part * lanes;
    s->cpu->isa->rows->finish_tile(&tile);
}

static void forward_one(bn_cpu *cpu, bn_mat out, const float *residual, bn_act x,
                        const bn_packed *weight)
{
    single s = {.cpu = cpu,
                .weight = weight,
                .panels = bn_ternary_panels(cpu, weight->rows, weight->cols, weight->panels)};
    size_t padded = (size_t)s.panels.word_count * 4;
    int8_t *row = bn_cpu_scratch(cpu, BN_CPU_SLOT_OP, padded);
    if (!row) return;
    memcpy(row, x.data, (size_t)x.cols);
    memset(row + x.cols, 0, padded - (size_t)x.cols);
    s.x = row;
    s.tile = (bn_tile){.rows = 1,
                       .integer = true,
                       .offset = s.panels.offset,
                       .row_sum = x.sum,
                       .row_scale = x.scale,
                       .scale = weight->scale,
                       .residual = residual,
                       .c = out.data,
                       .stride = (size_t)out.cols};
    bn_pool_run(cpu->pool, s.panels.count, single_part, &s);
}

void bn_packed_forward(bn_backend be, bn_mat out, const float *residual, bn_act x,
                       const bn_packed *weight)
{
    if (bn_cpu_failed(be.self)) return;
    if (x.rows == 1) {
        forward_one(be.self, out, residual, x, weight);
        return;
    }
    bn_panels panels = bn_ternary_panels(be.self, weight->rows, weight->cols, weight->panels);
    bn_product_job job = {.format = BN_I8, .length = x.cols, .b_packed = &panels};
    job.a = (bn_operand){.data = x.data,
                         .dtype = BN_I8,
                         .stride = (size_t)x.cols,
                         .lines = x.rows,
                         .line_sum = x.sum};
    job.b = (bn_operand){.dtype = BN_I8, .stride = (size_t)x.cols, .lines = weight->rows};
    job.result = (bn_result){.c = out.data,
                             .stride = (size_t)out.cols,
                             .residual = residual,
                             .row_scale = x.scale,
                             .scale = weight->scale};
    bn_product_run(be.self, &job);
}

typedef struct dense_pass {
    const bn_rows *rows;
    const bn_weight *weight;
    const float *x, *residual;
    float *out;
    float *scratch; /* one weight row a thread */
    size_t stride;
} dense_pass;

/* Row r of a weight as floats: where it lies, or widened into `to`. */
static const float *widen(const bn_rows *rows, const bn_weight *weight, int r, float *to)
{
    size_t width = (size_t)weight->cols;
    size_t start = (size_t)r * width;
    const void *values = bn_cpu_weight_values(weight);
    switch (bn_cpu_weight_dtype(weight->format.kind)) {
    case BN_F32:
        return (const float *)values + start;
    case BN_BF16:
        rows->from_bf16(to, (const uint16_t *)values + start, width);
        break;
    case BN_F16:
        rows->from_f16(to, (const uint16_t *)values + start, width);
        break;
    case BN_I8:
        rows->from_i8(to, (const int8_t *)values + start, width);
        break;
    }
    return to;
}

static void dense_part(void *context, int part, int thread)
{
    const dense_pass *p = context;
    size_t width = (size_t)p->weight->cols;
    float scale = bn_cpu_weight_scale(p->weight);
    float *to = p->scratch + (size_t)thread * p->stride;
    int end = (part + 1) * DENSE_ROWS_A_PART;
    if (end > p->weight->rows) end = p->weight->rows;
    for (int r = part * DENSE_ROWS_A_PART; r < end; r++) {
        float sum = p->rows->dot(widen(p->rows, p->weight, r, to), p->x, width) * scale;
        p->out[r] = p->residual ? p->residual[r] + sum : sum;
    }
}

/* The one row of x as floats, in scratch memory or where it lies. */
static const float *float_row(bn_cpu *cpu, bn_act x)
{
    if (x.dtype == BN_F32) return x.data;
    float *row = bn_cpu_scratch(cpu, BN_CPU_SLOT_OP, (size_t)x.cols * sizeof *row);
    if (row && x.dtype == BN_BF16) cpu->isa->rows->from_bf16(row, x.data, (size_t)x.cols);
    if (row && x.dtype == BN_F16) cpu->isa->rows->from_f16(row, x.data, (size_t)x.cols);
    return row;
}

void bn_dense_forward(bn_backend be, bn_mat out, const float *residual, bn_act x,
                      const bn_weight *weight)
{
    bn_cpu *cpu = be.self;
    if (x.rows > 1 || x.dtype == BN_I8) {
        bn_linear_forward(be, out, residual, x, weight);
        return;
    }
    if (bn_cpu_failed(cpu)) return;
    dense_pass p = {.rows = cpu->isa->rows,
                    .weight = weight,
                    .x = float_row(cpu, x),
                    .residual = residual,
                    .out = out.data};
    p.scratch = bn_cpu_row_scratch(cpu, (size_t)weight->cols, &p.stride);
    if (!p.x || !p.scratch) return;
    bn_pool_run(cpu->pool, bn_cpu_blocks(weight->rows, DENSE_ROWS_A_PART), dense_part, &p);
}

typedef struct head_pass {
    const bn_rows *rows;
    const bn_logits_args *args;
    float *scratch; /* one weight row a thread */
    size_t stride;
} head_pass;

static void head_part(void *context, int part, int thread)
{
    const head_pass *p = context;
    const bn_logits_args *a = p->args;
    size_t width = (size_t)a->x.cols;
    float *widened = p->scratch + (size_t)thread * p->stride;
    int end = (part + 1) * HEAD_ROWS_A_PART;
    if (end > a->out.cols) end = a->out.cols;
    for (int v = part * HEAD_ROWS_A_PART; v < end; v++) {
        const float *row = a->wide ? a->wide + (size_t)v * width : widened;
        if (a->half) p->rows->from_bf16(widened, a->half + (size_t)v * width, width);
        for (int r = 0; r < a->x.rows; r++) {
            a->out.data[(size_t)r * (size_t)a->out.cols + (size_t)v] =
                p->rows->dot(row, a->x.data + (size_t)r * width, width);
        }
    }
}

void bn_logits_forward(bn_backend be, const bn_logits_args *args)
{
    bn_cpu *cpu = be.self;
    head_pass p = {.rows = cpu->isa->rows, .args = args};
    if (bn_cpu_failed(cpu)) return;
    p.scratch = bn_cpu_row_scratch(cpu, (size_t)args->x.cols, &p.stride);
    if (!p.scratch) return;
    bn_pool_run(cpu->pool, bn_cpu_blocks(args->out.cols, HEAD_ROWS_A_PART), head_part, &p);
}

typedef struct cached_pass {
    const bn_rows *rows;
    const bn_cached_attention *args;
    float *scratch; /* scores of one query a thread */
    size_t stride;
} cached_pass;

/* One query head of one token. */
static void cached_part(void *context, int part, int thread)
{
    const cached_pass *p = context;
    const bn_cached_attention *a = p->args;
    float *scores = p->scratch + (size_t)thread * p->stride;
    int r = part / a->heads;
    int head = part % a->heads;
    size_t count = (size_t)(a->start + r) + 1;
    size_t dim = (size_t)a->dim;
    size_t width = (size_t)a->kv_heads * dim;
    size_t column = (size_t)(head / (a->heads / a->kv_heads)) * dim;
    size_t place = (size_t)part * dim; /* q and out: [R, heads, dim] */
    for (size_t t = 0; t < count; t++) {
        scores[t] = p->rows->dot(a->q.data + place, a->keys + t * width + column, dim);
    }
    float factor = (float)(1 / sqrt(a->dim));
    float total = p->rows->exp_shifted(scores, factor, p->rows->max(scores, count) * factor, count);
    float *out = a->out.data + place;
    memset(out, 0, dim * sizeof *out);
    for (size_t t = 0; t < count; t++) {
        p->rows->add_scaled(out, a->values + t * width + column, scores[t] / total, dim);
    }
}

static void rotate_rows(const bn_rows *rows, const bn_cached_attention *a, bn_mat x, int heads)
{
    int half = a->dim / 2;
    for (int r = 0; r < x.rows; r++) {
        size_t angle = (size_t)(a->start + r) * (size_t)half;
        float *row = x.data + (size_t)r * (size_t)x.cols;
        for (int h = 0; h < heads; h++) {
            rows->rotate(row + (size_t)h * (size_t)a->dim, a->cosine + angle, a->sine + angle, 1.0F,
                         half);
        }
    }
}

void bn_attention_cached(bn_backend be, const bn_cached_attention *args)
{
    bn_cpu *cpu = be.self;
    cached_pass p = {.rows = cpu->isa->rows, .args = args};
    if (bn_cpu_failed(cpu)) return;
    size_t width = (size_t)args->kv_heads * (size_t)args->dim;
    size_t bytes = (size_t)args->k.rows * width * sizeof(float);
    rotate_rows(p.rows, args, args->q, args->heads);
    rotate_rows(p.rows, args, args->k, args->kv_heads);
    memcpy(args->keys + (size_t)args->start * width, args->k.data, bytes);
    memcpy(args->values + (size_t)args->start * width, args->v.data, bytes);
    p.scratch = bn_cpu_row_scratch(cpu, (size_t)args->start + (size_t)args->q.rows, &p.stride);
    if (!p.scratch) return;
    bn_pool_run(cpu->pool, args->q.rows * args->heads, cached_part, &p);
}
