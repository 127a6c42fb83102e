/* Many tokens through all steps: products in the register blocks of training, attention by blocks
 * of queries. */
#include <math.h>
#include <string.h>

#include "engine/cpu/product.h"
#include "engine/cpu/stepper.h"

static bn_mat first_rows(bn_mat mat, int rows)
{
    mat.rows = rows;
    return mat;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* One input against the panels of several weights: packed once for all of them. */
typedef struct packed_pass {
    const bn_cpu *cpu;
    const bn_linear_step *step;
    bn_operand x;
    bn_act act;
    bn_panels a;
    bn_layout layout[BN_STEP_PRODUCTS];
    char *scratch; /* a panel in 2 bits and a tile, each thread */
    size_t stride, panel_bytes;
} packed_pass;

static void pack_part(void *context, int part, int thread)
{
    const packed_pass *p = context;
    (void)thread;
    bn_pack_part(p->cpu->isa->rows, &p->a, &p->x, BN_I8, p->act.cols, part);
}

/* Panel `part` of all weights after another, with all rows of the input. */
static void packed_part(void *context, int part, int thread)
{
    const packed_pass *p = context;
    const bn_kernel *kernel = &p->cpu->isa->kernels[BN_PRODUCT_KIND_U2];
    char *wide = p->scratch + (size_t)thread * p->stride;
    void *sums = wide + p->panel_bytes;
    int which = 0;
    while (part >= p->layout[which].panels) part -= p->layout[which++].panels;
    const bn_matrix *m = p->step->weights[which];
    const bn_layout *l = &p->layout[which];
    const void *panel = (const char *)m->panels + (size_t)part * l->bytes;
    if (p->cpu->isa->decode->widen) {
        p->cpu->isa->decode->widen(l->groups, panel, wide);
        panel = wide;
    }
    bn_tile tile = {.tile = sums,
                    .tile_lanes = l->lanes,
                    .lanes = least(m->rows - part * l->lanes, l->lanes),
                    .integer = true,
                    .offset = 1,
                    .scale = m->scale,
                    .stride = (size_t)m->rows};
    for (int i = 0; i < p->a.count; i++) {
        int row = i * p->a.block;
        size_t at = (size_t)row * tile.stride + (size_t)(part * l->lanes);
        kernel->run(l->words, p->a.words + (size_t)row * (size_t)l->words, panel, sums, false);
        tile.rows = least(p->act.rows - row, p->a.block);
        tile.row_sum = p->act.sum + row;
        tile.row_scale = p->act.scale + row;
        tile.c = p->step->out[which] + at;
        tile.residual = p->step->residual ? p->step->residual + at : NULL;
        p->cpu->isa->rows->finish_tile(&tile);
    }
}

static void multiply_packed(bn_cpu *cpu, const bn_linear_step *step, bn_act act)
{
    const bn_kernel *kernel = &cpu->isa->kernels[BN_PRODUCT_KIND_U2];
    packed_pass p = {.cpu = cpu, .step = step, .act = act};
    int panels = 0;
    for (int i = 0; i < step->count; i++) {
        p.layout[i] = bn_layout_of(cpu, step->weights[i]);
        panels += p.layout[i].panels;
    }
    int words = p.layout[0].words;
    p.x = (bn_operand){
        .data = act.data, .dtype = BN_I8, .stride = (size_t)act.cols, .lines = act.rows};
    p.a = (bn_panels){.block = kernel->mr,
                      .count = bn_cpu_blocks(act.rows, kernel->mr),
                      .word_count = words,
                      .word = BN_WORD_I8};
    size_t tile_bytes = (size_t)kernel->mr * (size_t)kernel->nr * sizeof(int32_t);
    p.panel_bytes = (size_t)words * (size_t)kernel->nr;
    p.stride = (p.panel_bytes + tile_bytes + 255) / 256 * 256;
    p.a.words =
        bn_cpu_scratch(cpu, BN_CPU_SLOT_PANELS,
                       (size_t)p.a.count * (size_t)p.a.block * (size_t)words * sizeof *p.a.words);
    p.scratch =
        bn_cpu_scratch(cpu, BN_CPU_SLOT_TILES, p.stride * (size_t)bn_pool_threads(cpu->pool));
    if (!p.a.words || !p.scratch) return;
    bn_pool_run(cpu->pool, bn_pack_parts(&p.a, &p.x), pack_part, &p);
    bn_pool_run(cpu->pool, panels, packed_part, &p);
}

static void multiply_bytes(bn_cpu *cpu, const bn_linear_step *step, int which, bn_act act)
{
    const bn_matrix *m = step->weights[which];
    bn_panels panels = bn_byte_panels(cpu, m);
    bn_product_job job = {.format = BN_I8, .length = act.cols, .b_packed = &panels};
    job.a = (bn_operand){.data = act.data,
                         .dtype = BN_I8,
                         .stride = (size_t)act.cols,
                         .lines = act.rows,
                         .line_sum = act.sum};
    job.b = (bn_operand){.dtype = BN_I8, .stride = (size_t)act.cols, .lines = m->rows};
    job.result = (bn_result){.c = step->out[which],
                             .stride = (size_t)m->rows,
                             .residual = step->residual,
                             .row_scale = act.scale,
                             .scale = m->scale};
    bn_product_run(cpu, &job);
}

typedef struct glu_pass {
    const bn_rows *rows;
    const bn_linear_step *step;
} glu_pass;

static void glu_part(void *context, int part, int thread)
{
    const glu_pass *p = context;
    size_t cols = (size_t)p->step->weights[0]->rows;
    float *gate = p->step->out[0] + (size_t)part * cols;
    (void)thread;
    p->rows->glu(gate, gate, p->step->out[1] + (size_t)part * cols, p->step->relu2, cols);
}

static void run_linear(bn_stepper *s, const bn_linear_step *step, int rows)
{
    bn_act act = step->input;
    act.rows = rows;
    const bn_norm_args args = {
        .site = step->site, .x = first_rows(step->x, rows), .out = act, .stats = s->stats};
    bn_norm_forward(s->be, &args);
    if (step->weights[0]->kind == BN_MATRIX_PACKED) multiply_packed(s->cpu, step, act);
    for (int i = 0; i < step->count; i++) {
        const bn_matrix *m = step->weights[i];
        if (m->kind == BN_MATRIX_BYTES) multiply_bytes(s->cpu, step, i, act);
        if (m->kind != BN_MATRIX_DENSE) continue;
        const bn_linear_out layer = {.weight = &m->weight,
                                     .out = {.data = step->out[i], .rows = rows, .cols = m->rows},
                                     .residual = step->residual};
        bn_linear_forward(s->be, act, &layer, 1);
    }
    glu_pass glu = {s->cpu->isa->rows, step};
    if (step->gated) bn_pool_run(s->cpu->pool, rows, glu_part, &glu);
}

typedef struct attend_pass {
    const bn_cpu *cpu;
    const bn_attend_step *step;
    const bn_kernel *kernel;
    int start, rows, blocks; /* of queries */
    size_t padded;           /* positions in whole panels */
    float *scratch;          /* scores [block, padded], a panel, a tile */
    size_t stride;
} attend_pass;

/* Query heads are rotated, kv heads go to the cache. */
static void append_part(void *context, int part, int thread)
{
    const attend_pass *p = context;
    (void)thread;
    for (int r = 0; r < p->rows; r++) {
        if (part < p->step->heads) {
            (void)bn_query_rotate(p->cpu, p->step, part, p->start, r);
        } else {
            bn_cache_append(p->cpu, p->step, part - p->step->heads, p->start, r);
        }
    }
}

/* Softmax weights of `lines` queries from position `first` on, not yet divided by their sums. */
static void weigh(const attend_pass *p, float *scores, int first, int lines, float *inverse)
{
    const bn_rows *rows = p->cpu->isa->rows;
    float factor = (float)(1 / sqrt(p->step->cache->dim));
    for (int r = 0; r < lines; r++) {
        float *s = scores + (size_t)r * p->padded;
        size_t seen = (size_t)(first + r) + 1;
        float most = rows->max(s, seen) * factor;
        inverse[r] = 1 / rows->exp_shifted(s, factor, most, seen);
        memset(s + seen, 0, ((size_t)(first + lines) - seen) * sizeof *s);
    }
}

/* A block of queries of one head. */
static void attend_part(void *context, int part, int thread)
{
    const attend_pass *p = context;
    const bn_attend_step *step = p->step;
    const bn_rows *rows = p->cpu->isa->rows;
    int head = part % step->heads;
    int row = (p->blocks - 1 - part / step->heads) * p->kernel->mr; /* the longest first */
    int lines = least(p->rows - row, p->kernel->mr);
    int end = p->start + row + lines;
    int dim = step->cache->dim;
    bn_cache_head c =
        bn_cache_head_of(p->cpu, step->cache, head / (step->heads / step->cache->heads));
    size_t width = (size_t)step->q.cols;
    size_t at = (size_t)row * width + (size_t)head * (size_t)dim;
    float inverse[BN_KERNEL_MR_MAX];
    _Alignas(64) float tile[BN_KERNEL_MR_MAX * BN_KERNEL_NR_MAX];
    float *scores = p->scratch + (size_t)thread * p->stride;
    float *left = scores + p->padded * (size_t)p->kernel->mr;
    rows->transpose((uint32_t *)left, p->kernel->mr, (const uint32_t *)step->q.data + at, width,
                    lines, dim);
    for (int j = 0; j < end; j += c.lanes) {
        p->kernel->run(dim, left, c.keys + (size_t)j * (size_t)dim, tile, false);
        for (int r = 0; r < lines; r++) {
            memcpy(scores + (size_t)r * p->padded + j, tile + r * c.lanes,
                   (size_t)c.lanes * sizeof *tile);
        }
    }
    weigh(p, scores, p->start + row, lines, inverse);
    rows->transpose((uint32_t *)left, p->kernel->mr, (const uint32_t *)scores, p->padded, lines,
                    end);
    for (int i = 0; i < c.dim_panels; i++) {
        size_t panel = (size_t)i * (size_t)step->cache->context * (size_t)c.lanes;
        p->kernel->run(end, left, c.values + panel, tile, false);
        bn_tile t = {.tile = tile,
                     .tile_lanes = c.lanes,
                     .rows = lines,
                     .lanes = least(dim - i * c.lanes, c.lanes),
                     .row_scale = inverse,
                     .scale = 1,
                     .c = step->out + at + i * c.lanes,
                     .stride = width};
        rows->finish_tile(&t);
    }
}

static void run_attend(bn_cpu *cpu, const bn_attend_step *step, int start, int rows)
{
    const bn_kernel *kernel = &cpu->isa->kernels[BN_PRODUCT_KIND_F32];
    attend_pass p = {.cpu = cpu, .step = step, .kernel = kernel, .start = start, .rows = rows};
    p.blocks = bn_cpu_blocks(rows, kernel->mr);
    p.padded = (size_t)bn_cpu_blocks(start + rows, kernel->nr) * (size_t)kernel->nr;
    size_t longer = p.padded > (size_t)step->cache->dim ? p.padded : (size_t)step->cache->dim;
    p.scratch = bn_cpu_row_scratch(cpu, (p.padded + longer) * (size_t)kernel->mr, &p.stride);
    if (!p.scratch) return;
    bn_pool_run(cpu->pool, step->heads + step->cache->heads, append_part, &p);
    bn_pool_run(cpu->pool, step->heads * p.blocks, attend_part, &p);
}

void bn_batch_run(bn_stepper *stepper, int rows)
{
    for (int i = 0; i < stepper->running; i++) {
        const bn_step *step = &stepper->steps[i];
        if (step->kind == BN_STEP_LINEAR) {
            run_linear(stepper, &step->linear, rows);
        } else {
            run_attend(stepper->cpu, &step->attend, stepper->start, rows);
        }
    }
}
