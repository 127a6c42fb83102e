/* Rotary embedding (arXiv:2104.09864), half-split. */
#include <math.h>

#include "engine/cpu/cpu.h"
#include "engine/cpu/wide.h"

enum { ROWS_A_PART = 16 };

typedef struct pass {
    bn_cpu *cpu;
    const bn_rope_args *args;
    const float *cosine, *sine; /* [seq, dim / 2] */
    float *scratch;             /* one row a thread */
    size_t stride;
} pass;

static void rope_part(void *context, int part, int thread)
{
    const pass *p = context;
    const bn_rows *rows = p->cpu->isa->rows;
    const bn_rope_args *a = p->args;
    size_t cols = (size_t)a->x.cols;
    int half = a->dim / 2;
    int end = (part + 1) * ROWS_A_PART < a->x.rows ? (part + 1) * ROWS_A_PART : a->x.rows;
    for (int r = part * ROWS_A_PART; r < end; r++) {
        size_t angle = (size_t)(r % a->seq) * (size_t)half;
        float *x = bn_wide_get(rows, &a->x, (size_t)r * cols,
                               p->scratch + (size_t)thread * p->stride, cols);
        for (int h = 0; h < a->heads; h++) {
            rows->rotate(x + (size_t)h * (size_t)a->dim, p->cosine + angle, p->sine + angle,
                         a->inverse ? -1.0F : 1.0F, half);
        }
        bn_wide_put(rows, &a->x, (size_t)r * cols, x, cols);
    }
}

/* The table is made again only when shape or theta change. */
static bool make_angles(bn_cpu *cpu, const bn_rope_args *args)
{
    bn_rope_table *table = &cpu->rope;
    int half = args->dim / 2;
    size_t count = (size_t)args->seq * (size_t)half;
    float *memory = bn_cpu_scratch(cpu, BN_CPU_SLOT_ANGLES, 2 * count * sizeof *memory);
    if (!memory) return false;
    bool same = table->dim == args->dim && table->seq == args->seq && table->theta == args->theta;
    if (same) return true;
    for (int i = 0; i < half; i++) {
        double frequency = pow((double)args->theta, -2.0 * i / args->dim);
        for (int t = 0; t < args->seq; t++) {
            size_t at = (size_t)t * (size_t)half + (size_t)i;
            memory[at] = (float)cos(t * frequency);
            memory[count + at] = (float)sin(t * frequency);
        }
    }
    *table = (bn_rope_table){.dim = args->dim, .seq = args->seq, .theta = args->theta};
    return true;
}

void bn_cpu_rope(void *self, const bn_rope_args *args)
{
    bn_cpu *cpu = self;
    if (!make_angles(cpu, args)) return;
    const float *angles = cpu->scratch[BN_CPU_SLOT_ANGLES].memory;
    size_t count = (size_t)args->seq * (size_t)args->dim / 2;
    pass p = {.cpu = cpu, .args = args, .cosine = angles, .sine = angles + count};
    p.scratch = bn_cpu_row_scratch(cpu, (size_t)args->x.cols, &p.stride);
    if (!p.scratch) return;
    bn_pool_run(cpu->pool, bn_cpu_blocks(args->x.rows, ROWS_A_PART), rope_part, &p);
}
