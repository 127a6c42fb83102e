/* The gated unit and the norm site behind it, a row at a time. */
#include "engine/cpu/norm.h"
#include "engine/cpu/quantize.h"
#include "engine/cpu/wide.h"

typedef struct pass {
    bn_cpu *cpu;
    const bn_glu_args *args;
    const bn_glu_grads *grads;
    float *scratch; /* a thread's rows, each `row` floats */
    size_t stride, row;
    float *gains; /* one row a part */
} pass;

static int last_row(const pass *p, int part)
{
    int end = (part + 1) * BN_CPU_ROWS_A_PART;
    return end < p->args->gate.rows ? end : p->args->gate.rows;
}

static void forward_part(void *context, int part, int thread)
{
    const pass *p = context;
    const bn_rows *rows = p->cpu->isa->rows;
    const bn_glu_args *a = p->args;
    size_t cols = (size_t)a->gate.cols;
    float *h = p->scratch + (size_t)thread * p->stride;
    for (int r = part * BN_CPU_ROWS_A_PART; r < last_row(p, part); r++) {
        size_t start = (size_t)r * cols;
        const float *gate = bn_wide_get(rows, &a->gate, start, h, cols);
        const float *up = bn_wide_get(rows, &a->up, start, h + p->row, cols);
        rows->glu(h, gate, up, a->relu2, cols);
        bn_cpu_site_forward(rows, &a->site, (int)cols, h, h, a->stats + (size_t)r * BN_NORM_STATS);
        bn_cpu_act_write(rows, a->out, r, h);
    }
}

static void backward_part(void *context, int part, int thread)
{
    const pass *p = context;
    const bn_rows *rows = p->cpu->isa->rows;
    const bn_glu_args *a = p->args;
    const bn_glu_grads *g = p->grads;
    size_t cols = (size_t)a->gate.cols;
    float *h = p->scratch + (size_t)thread * p->stride;
    float *z = h + p->row;
    float *dgain = p->gains ? p->gains + (size_t)part * cols : NULL;
    for (int r = part * BN_CPU_ROWS_A_PART; r < last_row(p, part); r++) {
        size_t start = (size_t)r * cols;
        float *dh = bn_wide_get(rows, &g->dy, start, z + p->row, cols);
        float *gate = bn_wide_get(rows, &a->gate, start, z + 2 * p->row, cols);
        float *up = bn_wide_get(rows, &a->up, start, z + 3 * p->row, cols);
        float *dgate = bn_wide_place(&g->dgate, start, gate);
        float *dup = bn_wide_place(&g->dup, start, up);
        if (a->site.outer || a->site.inner) {
            rows->glu(h, gate, up, a->relu2, cols);
            bn_site_row row = {.x = h,
                               .stats = a->stats + (size_t)r * BN_NORM_STATS,
                               .dy = dh,
                               .dgain = dgain,
                               .z = z};
            bn_site_slope s = bn_cpu_site_backward(rows, &a->site, (int)cols, row);
            rows->combine(dh, dh, s.a, h, s.b, cols);
        }
        (a->relu2 ? rows->glu_backward_relu2 : rows->glu_backward)(dgate, dup, gate, up, dh, cols);
        bn_wide_put(rows, &g->dgate, start, dgate, cols);
        bn_wide_put(rows, &g->dup, start, dup, cols);
    }
}

void bn_cpu_glu_forward(void *self, const bn_glu_args *args)
{
    pass p = {.cpu = self, .args = args, .row = bn_cpu_row_floats((size_t)args->gate.cols)};
    p.scratch = bn_cpu_row_scratch(self, 2 * p.row, &p.stride);
    if (!p.scratch) return;
    bn_pool_run(p.cpu->pool, bn_cpu_blocks(args->gate.rows, BN_CPU_ROWS_A_PART), forward_part, &p);
}

void bn_cpu_glu_backward(void *self, const bn_glu_args *args, const bn_glu_grads *grads)
{
    int parts = bn_cpu_blocks(args->gate.rows, BN_CPU_ROWS_A_PART);
    pass p = {.cpu = self,
              .args = args,
              .grads = grads,
              .row = bn_cpu_row_floats((size_t)args->gate.cols)};
    p.scratch = bn_cpu_row_scratch(self, 5 * p.row, &p.stride);
    if (!p.scratch) return;
    if (grads->dgain) {
        p.gains = bn_cpu_gain_parts(self, parts, args->gate.cols);
        if (!p.gains) return;
    }
    bn_pool_run(p.cpu->pool, parts, backward_part, &p);
    if (p.gains) bn_cpu_gain_sum(self, grads->dgain, p.gains, parts, args->gate.cols);
}
