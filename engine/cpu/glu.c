/* The gated unit and the norm site behind it, a row at a time. */
#include "engine/cpu/norm.h"
#include "engine/cpu/quantize.h"
#include "engine/cpu/wide.h"

/* Gate and up are widened a piece at a time, so that the rows that a norm needs whole stay in the
 * first-level cache. */
enum { PIECE = 512, WIDE_FLOATS = 2 * PIECE };

typedef struct pass {
    bn_cpu *cpu;
    const bn_glu_args *args;
    const bn_glu_grads *grads;
    float *scratch; /* a thread's: WIDE_FLOATS, then rows of `row` floats */
    size_t stride, row;
    float *gains; /* one row a part */
} pass;

static int last_row(const pass *p, int part)
{
    int end = (part + 1) * BN_CPU_ROWS_A_PART;
    return end < p->args->gate.rows ? end : p->args->gate.rows;
}

/* Columns c ... of a row, which begins at `start`; what lies in 16 bits is widened into `wide`, two
 * pieces long. */
typedef struct piece {
    size_t at, count;
    float *gate, *up;
} piece;

static piece piece_of(const pass *p, size_t start, size_t c, float *wide)
{
    const bn_rows *rows = p->cpu->isa->rows;
    const bn_glu_args *a = p->args;
    size_t left = (size_t)a->gate.cols - c;
    piece s = {.at = start + c, .count = left < PIECE ? left : PIECE};
    s.gate = bn_wide_get(rows, &a->gate, s.at, wide, s.count);
    s.up = bn_wide_get(rows, &a->up, s.at, wide + PIECE, s.count);
    return s;
}

static void make_unit(const pass *p, size_t start, float *h, float *wide)
{
    for (size_t c = 0; c < (size_t)p->args->gate.cols; c += PIECE) {
        piece s = piece_of(p, start, c, wide);
        p->cpu->isa->rows->glu(h + c, s.gate, s.up, p->args->relu2, s.count);
    }
}

static void unit_back(const pass *p, size_t start, const float *dh, float *wide)
{
    const bn_rows *rows = p->cpu->isa->rows;
    const bn_glu_grads *g = p->grads;
    for (size_t c = 0; c < (size_t)p->args->gate.cols; c += PIECE) {
        piece s = piece_of(p, start, c, wide);
        float *dgate = bn_wide_place(&g->dgate, s.at, s.gate);
        float *dup = bn_wide_place(&g->dup, s.at, s.up);
        (p->args->relu2 ? rows->glu_backward_relu2 : rows->glu_backward)(dgate, dup, s.gate, s.up,
                                                                         dh + c, s.count);
        bn_wide_put(rows, &g->dgate, s.at, dgate, s.count);
        bn_wide_put(rows, &g->dup, s.at, dup, s.count);
    }
}

static void forward_part(void *context, int part, int thread)
{
    const pass *p = context;
    const bn_rows *rows = p->cpu->isa->rows;
    const bn_glu_args *a = p->args;
    size_t cols = (size_t)a->gate.cols;
    float *wide = p->scratch + (size_t)thread * p->stride;
    float *h = wide + WIDE_FLOATS;
    for (int r = part * BN_CPU_ROWS_A_PART; r < last_row(p, part); r++) {
        make_unit(p, (size_t)r * cols, h, wide);
        bn_cpu_site_forward(rows, &a->site, (int)cols, h, h, a->stats + (size_t)r * BN_NORM_STATS);
        bn_cpu_act_write(rows, a->out, r, h);
    }
}

static void backward_part(void *context, int part, int thread)
{
    const pass *p = context;
    const bn_rows *rows = p->cpu->isa->rows;
    const bn_glu_args *a = p->args;
    size_t cols = (size_t)a->gate.cols;
    float *wide = p->scratch + (size_t)thread * p->stride;
    float *h = wide + WIDE_FLOATS;
    float *z = h + p->row;
    float *dgain = p->gains ? p->gains + (size_t)part * cols : NULL;
    for (int r = part * BN_CPU_ROWS_A_PART; r < last_row(p, part); r++) {
        size_t start = (size_t)r * cols;
        float *dh = bn_wide_get(rows, &p->grads->dy, start, z + p->row, cols);
        if (a->site.outer || a->site.inner) {
            make_unit(p, start, h, wide);
            bn_site_row row = {.x = h,
                               .stats = a->stats + (size_t)r * BN_NORM_STATS,
                               .dy = dh,
                               .dgain = dgain,
                               .z = z};
            bn_site_slope s = bn_cpu_site_backward(rows, &a->site, (int)cols, row);
            rows->combine(dh, dh, s.a, h, s.b, cols);
        }
        unit_back(p, start, dh, wide);
    }
}

void bn_cpu_glu_forward(void *self, const bn_glu_args *args)
{
    pass p = {.cpu = self, .args = args, .row = bn_cpu_row_floats((size_t)args->gate.cols)};
    p.scratch = bn_cpu_row_scratch(self, WIDE_FLOATS + p.row, &p.stride);
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
    p.scratch = bn_cpu_row_scratch(self, WIDE_FLOATS + 3 * p.row, &p.stride);
    if (!p.scratch) return;
    if (grads->dgain) {
        p.gains = bn_cpu_gain_parts(self, parts, args->gate.cols);
        if (!p.gains) return;
    }
    bn_pool_run(p.cpu->pool, parts, backward_part, &p);
    if (p.gains) bn_cpu_gain_sum(self, grads->dgain, p.gains, parts, args->gate.cols);
}
