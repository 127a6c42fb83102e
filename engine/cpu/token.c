/* One token through all steps. Every phase is cut by rows of weights; norms and quantizing, which
 * are short, are done by each thread for itself rather than waited for. */
#include <math.h>
#include <string.h>

#include "engine/cpu/norm.h"
#include "engine/cpu/quantize.h"
#include "engine/cpu/stepper.h"

enum { FETCH_BYTES = 96 << 10 };

typedef struct phase {
    const bn_stepper *stepper;
    const bn_linear_step *linear;
    const bn_attend_step *attend;
    int index; /* of the step */
} phase;

static int parts_of(const bn_cpu *cpu, const bn_matrix *m)
{
    if (m->kind == BN_MATRIX_DENSE) return bn_cpu_blocks(m->rows, BN_DENSE_ROWS_A_PART);
    return bn_layout_of(cpu, m).panels;
}

static int linear_parts(const bn_cpu *cpu, const bn_linear_step *s)
{
    int parts = parts_of(cpu, s->weights[0]);
    for (int i = 1; i < s->count && !s->gated; i++) parts += parts_of(cpu, s->weights[i]);
    return parts;
}

/* The step's input in this seat. Whoever holds a part of a phase may read its input: it cannot
 * change before the phase ends. */
static void prepare(const phase *p, bn_seat *seat)
{
    const bn_linear_step *s = p->linear;
    const bn_rows *rows = p->stepper->cpu->isa->rows;
    if (seat->prepared == p->index) return;
    seat->prepared = p->index;
    size_t cols = (size_t)s->x.cols;
    bn_cpu_site_forward(rows, &s->site, s->x.cols, s->x.data, seat->row, seat->stats);
    bn_act act = {seat->codes, &seat->scale, &seat->sum, 1, s->x.cols, s->input.dtype};
    if (act.dtype == BN_F32) return;
    if (act.dtype != BN_I8) act.data = seat->halves;
    bn_cpu_act_write(rows, act, 0, seat->row);
    if (act.dtype == BN_BF16) rows->from_bf16(seat->row, seat->halves, cols);
    if (act.dtype == BN_F16) rows->from_f16(seat->row, seat->halves, cols);
    if (act.dtype != BN_I8) return;
    bn_layout l = bn_layout_of(p->stepper->cpu, s->weights[0]);
    memset(seat->codes + cols, 0, (size_t)l.words * 4 - cols);
    bool reads_left =
        s->weights[0]->kind == BN_MATRIX_BYTES && !p->stepper->cpu->isa->decode->dot_bytes;
    if (!reads_left) return;
    size_t step = (size_t)p->stepper->cpu->isa->kernels[BN_PRODUCT_KIND_U8].mr;
    for (size_t w = 0; w < (size_t)l.words; w++) {
        memcpy(seat->left + w * step, seat->codes + 4 * w, sizeof *seat->left);
    }
}

/* Rows `part` of one weight: panels of codes. */
static void multiply_codes(const bn_cpu *cpu, const bn_matrix *m, int part, const bn_seat *seat,
                           bn_tile tile)
{
    _Alignas(64) int32_t sums[BN_KERNEL_MR_MAX * BN_KERNEL_NR_MAX];
    bn_layout l = bn_layout_of(cpu, m);
    const char *panel = (const char *)m->panels + (size_t)part * l.bytes;
    int first = part * l.lanes;
    if (m->kind == BN_MATRIX_PACKED) {
        cpu->isa->decode->dot(l.groups, panel, seat->codes, sums);
        tile.offset = 1;
    } else if (cpu->isa->decode->dot_bytes) {
        cpu->isa->decode->dot_bytes(l.words, panel, seat->codes, sums);
    } else {
        cpu->isa->kernels[BN_PRODUCT_KIND_U8].run(l.words, seat->left, panel, sums, false);
    }
    if (m->kind == BN_MATRIX_BYTES) tile.offset = bn_byte_panels(cpu, m).offset;
    tile.tile = sums;
    tile.tile_lanes = l.lanes;
    tile.lanes = m->rows - first < l.lanes ? m->rows - first : l.lanes;
    tile.integer = true;
    tile.lane_scale = m->units ? m->units + first : NULL;
    tile.row_sum = &seat->sum;
    tile.row_scale = &seat->scale;
    tile.scale = m->scale;
    tile.c += first;
    if (tile.residual) tile.residual += first;
    cpu->isa->rows->finish_tile(&tile);
}

static void multiply_dense(const bn_cpu *cpu, const bn_matrix *m, int part, const bn_seat *seat,
                           bn_tile tile)
{
    const bn_rows *rows = cpu->isa->rows;
    float scale = bn_cpu_weight_scale(&m->weight);
    int end = (part + 1) * BN_DENSE_ROWS_A_PART;
    if (end > m->rows) end = m->rows;
    for (int r = part * BN_DENSE_ROWS_A_PART; r < end; r++) {
        const float *weight = bn_dense_row(rows, &m->weight, r, seat->widened);
        float sum = rows->dot(weight, seat->row, (size_t)m->cols) * scale;
        tile.c[r] = tile.residual ? tile.residual[r] + sum : sum;
    }
}

static void multiply(const bn_cpu *cpu, const bn_linear_step *s, int which, int part,
                     const bn_seat *seat)
{
    const bn_matrix *m = s->weights[which];
    bn_tile tile = {
        .rows = 1, .residual = s->residual, .c = s->out[which], .stride = (size_t)m->rows};
    (m->kind == BN_MATRIX_DENSE ? multiply_dense : multiply_codes)(cpu, m, part, seat, tile);
}

static void linear_part(void *context, int part, int member)
{
    const phase *p = context;
    const bn_cpu *cpu = p->stepper->cpu;
    const bn_linear_step *s = p->linear;
    bn_seat *seat = &p->stepper->seats[member];
    prepare(p, seat);
    if (!s->gated) {
        int which = 0;
        for (int parts = parts_of(cpu, s->weights[0]); part >= parts; which++) {
            part -= parts;
            parts = parts_of(cpu, s->weights[which + 1]);
        }
        multiply(cpu, s, which, part, seat);
        return;
    }
    multiply(cpu, s, 0, part, seat);
    multiply(cpu, s, 1, part, seat);
    int lanes = s->weights[0]->kind == BN_MATRIX_DENSE ? BN_DENSE_ROWS_A_PART
                                                       : bn_layout_of(cpu, s->weights[0]).lanes;
    int first = part * lanes;
    int left = s->weights[0]->rows - first;
    cpu->isa->rows->glu(s->out[0] + first, s->out[0] + first, s->out[1] + first, s->relu2,
                        (size_t)(left < lanes ? left : lanes));
}

static void append_part(void *context, int part, int member)
{
    const phase *p = context;
    (void)member;
    bn_cache_append(p->stepper->cpu, p->attend, part, p->stepper->start, 0);
}

/* One query head. */
static void attend_part(void *context, int part, int member)
{
    const phase *p = context;
    const bn_cpu *cpu = p->stepper->cpu;
    const bn_rows *rows = cpu->isa->rows;
    const bn_attend_step *s = p->attend;
    float *scores = p->stepper->seats[member].scores;
    int group = s->heads / s->cache->heads;
    if (group == 1) append_part(context, part, member);
    bn_cache_head c = bn_cache_head_of(cpu, s->cache, part / group);
    const float *query = bn_query_rotate(cpu, s, part, p->stepper->start, 0);
    int seen = p->stepper->start + 1;
    int dim = s->cache->dim;
    for (int j = 0; j < seen; j += c.lanes) {
        const float *panel = c.keys + (size_t)j * (size_t)dim;
        cpu->isa->decode->weigh(scores + j, c.lanes, query, panel, (size_t)dim);
    }
    float factor = (float)(1 / sqrt(dim));
    float most = rows->max(scores, (size_t)seen) * factor;
    float inverse = 1 / rows->exp_shifted(scores, factor, most, (size_t)seen);
    for (int i = 0; i < c.dim_panels; i++) {
        float sums[BN_KERNEL_NR_MAX];
        int first = i * c.lanes;
        const float *panel = c.values + (size_t)i * (size_t)s->cache->context * (size_t)c.lanes;
        cpu->isa->decode->weigh(sums, c.lanes, scores, panel, (size_t)seen);
        rows->scale(s->out + (size_t)part * (size_t)dim + first, sums, inverse, NULL,
                    (size_t)(dim - first < c.lanes ? dim - first : c.lanes));
    }
}

/* Where a member's first weights of a later step lie. */
static void fetch_next(bn_crew_phase *work, const bn_stepper *s, int next, int index)
{
    while (next < s->running && s->steps[next].kind != BN_STEP_LINEAR) next++;
    if (next == s->running) return;
    const bn_linear_step *linear = &s->steps[next].linear;
    int parts = linear_parts(s->cpu, linear);
    int first = bn_crew_first(s->crew, parts, index);
    int which = 0;
    while (!linear->gated && first >= parts_of(s->cpu, linear->weights[which])) {
        first -= parts_of(s->cpu, linear->weights[which++]);
    }
    const bn_matrix *m = linear->weights[which];
    if (m->kind == BN_MATRIX_DENSE) return;
    bn_layout l = bn_layout_of(s->cpu, m);
    size_t left = (size_t)(l.panels - first) * l.bytes;
    work->next = (const char *)m->panels + (size_t)first * l.bytes;
    work->next_bytes = left < FETCH_BYTES ? left : FETCH_BYTES;
}

static void member_part(void *context, int part, int thread)
{
    bn_stepper *s = context;
    bn_crew_member member = bn_crew_join(s->crew, part);
    (void)thread;
    s->seats[part].prepared = -1;
    for (int i = 0; i < s->running; i++) {
        const bn_step *step = &s->steps[i];
        bool is_linear = step->kind == BN_STEP_LINEAR;
        phase p = {s, &step->linear, &step->attend, i};
        bn_crew_phase work = {.context = &p};
        fetch_next(&work, s, i + 1, part);
        if (is_linear) {
            work.parts = linear_parts(s->cpu, &step->linear);
            work.part = linear_part;
            bn_crew_run(&member, &work);
            continue;
        }
        if (step->attend.heads != step->attend.cache->heads) {
            bn_crew_phase append = {
                .parts = step->attend.cache->heads, .part = append_part, .context = &p};
            bn_crew_run(&member, &append);
        }
        work.parts = step->attend.heads;
        work.part = attend_part;
        bn_crew_run(&member, &work);
    }
    if (part == 0) s->last = member;
}

void bn_token_run(bn_stepper *stepper)
{
    bn_pool_run(stepper->cpu->pool, bn_pool_threads(stepper->cpu->pool), member_part, stepper);
    bn_crew_leave(&stepper->last);
}
