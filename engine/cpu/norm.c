#include "engine/cpu/norm.h"

#include <math.h>
#include <string.h>

#include "engine/cpu/quantize.h"
#include "engine/cpu/wide.h"

static float inverse_rms(const bn_rows *rows, const float *x, int cols, float eps)
{
    double squares = rows->sum_squares(x, (size_t)cols);
    return (float)(1.0 / sqrt(squares / cols + (double)eps));
}

void bn_cpu_site_forward(const bn_rows *rows, const bn_norm_site *site, int cols, const float *x,
                         float *y, float *stats)
{
    size_t count = (size_t)cols;
    stats[0] = 1;
    stats[1] = 1;
    if (site->outer) {
        stats[0] = inverse_rms(rows, x, cols, site->eps);
        rows->scale(y, x, stats[0], site->gain, count);
    } else if (y != x) {
        memcpy(y, x, count * sizeof *y);
    }
    if (!site->inner) return;
    stats[1] = inverse_rms(rows, y, cols, BN_INNER_NORM_EPS);
    rows->scale(y, y, stats[1], NULL, count);
}

/* For n = z * f, f = 1/sqrt(mean(z^2) + eps):  dz = f * dn - z * f^3 * mean(dn * z). */
static bn_site_slope slope_of(const bn_rows *rows, int cols, const float *dn, const float *z,
                              float f)
{
    float mean = rows->dot(dn, z, (size_t)cols) / (float)cols;
    return (bn_site_slope){.a = f, .b = -f * f * f * mean};
}

bn_site_slope bn_cpu_site_backward(const bn_rows *rows, const bn_norm_site *site, int cols,
                                   bn_site_row row)
{
    size_t count = (size_t)cols;
    if (site->inner) {
        const float *inner_input = row.x;
        if (site->outer) {
            rows->scale(row.z, row.x, row.stats[0], site->gain, count);
            inner_input = row.z;
        }
        bn_site_slope s = slope_of(rows, cols, row.dy, inner_input, row.stats[1]);
        rows->combine(row.dy, row.dy, s.a, inner_input, s.b, count);
    }
    if (!site->outer) return (bn_site_slope){.a = 1, .b = 0};
    if (site->gain) {
        rows->scale(row.z, row.x, row.stats[0], NULL, count);
        rows->add_product(row.dgain, row.dy, row.z, count);
        rows->scale(row.dy, row.dy, 1, site->gain, count);
    }
    return slope_of(rows, cols, row.dy, row.x, row.stats[0]);
}

float *bn_cpu_gain_parts(bn_cpu *cpu, int parts, int cols)
{
    size_t bytes = (size_t)parts * (size_t)cols * sizeof(float);
    float *memory = bn_cpu_scratch(cpu, BN_CPU_SLOT_OP, bytes);
    if (memory) memset(memory, 0, bytes);
    return memory;
}

void bn_cpu_gain_sum(bn_cpu *cpu, float *dgain, const float *parts, int count, int cols)
{
    for (int i = 0; i < count; i++) {
        cpu->isa->rows->add_scaled(dgain, parts + (size_t)i * (size_t)cols, 1, (size_t)cols);
    }
}

/* A norm pass over all rows. */
typedef struct pass {
    bn_cpu *cpu;
    const bn_norm_args *args;
    const bn_norm_grads *grads;
    float *scratch; /* a thread's rows, each `row` floats */
    size_t stride, row;
    float *gains; /* one row a part */
} pass;

static int last_row(const pass *p, int part)
{
    int end = (part + 1) * BN_CPU_ROWS_A_PART;
    return end < p->args->x.rows ? end : p->args->x.rows;
}

static void forward_part(void *context, int part, int thread)
{
    const pass *p = context;
    const bn_rows *rows = p->cpu->isa->rows;
    size_t cols = (size_t)p->args->x.cols;
    float *y = p->scratch + (size_t)thread * p->stride;
    for (int r = part * BN_CPU_ROWS_A_PART; r < last_row(p, part); r++) {
        const float *x = bn_wide_get(rows, &p->args->x, (size_t)r * cols, y, cols);
        bn_cpu_site_forward(rows, &p->args->site, (int)cols, x, y,
                            p->args->stats + (size_t)r * BN_NORM_STATS);
        bn_cpu_act_write(rows, p->args->out, r, y);
    }
}

static void backward_part(void *context, int part, int thread)
{
    const pass *p = context;
    const bn_rows *rows = p->cpu->isa->rows;
    size_t cols = (size_t)p->args->x.cols;
    const bn_norm_grads *g = p->grads;
    float *z = p->scratch + (size_t)thread * p->stride;
    float *dgain = p->gains ? p->gains + (size_t)part * cols : NULL;
    for (int r = part * BN_CPU_ROWS_A_PART; r < last_row(p, part); r++) {
        size_t start = (size_t)r * cols;
        const float *x = bn_wide_get(rows, &p->args->x, start, z + p->row, cols);
        float *dy = bn_wide_get(rows, &g->dy, start, z + 2 * p->row, cols);
        float *dx = bn_wide_place(&g->dx, start, z);
        bn_site_row row = {.x = x,
                           .stats = p->args->stats + (size_t)r * BN_NORM_STATS,
                           .dy = dy,
                           .dgain = dgain,
                           .z = z};
        bn_site_slope s = bn_cpu_site_backward(rows, &p->args->site, (int)cols, row);
        (g->add ? rows->add_combined : rows->combine)(dx, dy, s.a, x, s.b, cols);
        bn_wide_put(rows, &g->dx, start, dx, cols);
    }
}

void bn_cpu_norm_forward(void *self, const bn_norm_args *args)
{
    pass p = {.cpu = self, .args = args};
    p.scratch = bn_cpu_row_scratch(self, (size_t)args->x.cols, &p.stride);
    if (!p.scratch) return;
    bn_pool_run(p.cpu->pool, bn_cpu_blocks(args->x.rows, BN_CPU_ROWS_A_PART), forward_part, &p);
}

void bn_cpu_norm_backward(void *self, const bn_norm_args *args, const bn_norm_grads *grads)
{
    int parts = bn_cpu_blocks(args->x.rows, BN_CPU_ROWS_A_PART);
    pass p = {.cpu = self, .args = args, .grads = grads};
    p.row = bn_cpu_row_floats((size_t)args->x.cols);
    p.scratch = bn_cpu_row_scratch(self, 3 * p.row, &p.stride);
    if (!p.scratch) return;
    if (grads->dgain) {
        p.gains = bn_cpu_gain_parts(self, parts, args->x.cols);
        if (!p.gains) return;
    }
    bn_pool_run(p.cpu->pool, parts, backward_part, &p);
    if (p.gains) bn_cpu_gain_sum(self, grads->dgain, p.gains, parts, args->x.cols);
}
