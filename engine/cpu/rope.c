/* Rotary embedding (arXiv:2104.09864), half-split. */
#include <math.h>

#include "engine/cpu/cpu.h"

enum { ROWS_A_PART = 16 };

typedef struct pass {
    bn_cpu *cpu;
    const bn_rope_args *args;
    const float *cosine, *sine; /* [seq, dim / 2] */
} pass;

static void rope_part(void *context, int part, int thread)
{
    const pass *p = context;
    (void)thread;
    const bn_rope_args *a = p->args;
    int half = a->dim / 2;
    int end = (part + 1) * ROWS_A_PART < a->x.rows ? (part + 1) * ROWS_A_PART : a->x.rows;
    for (int r = part * ROWS_A_PART; r < end; r++) {
        size_t angle = (size_t)(r % a->seq) * (size_t)half;
        float *x = a->x.data + (size_t)r * (size_t)a->x.cols;
        for (int h = 0; h < a->heads; h++) {
            p->cpu->isa->rows->rotate(x + (size_t)h * (size_t)a->dim, p->cosine + angle,
                                      p->sine + angle, a->inverse ? -1.0F : 1.0F, half);
        }
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
    bn_pool_run(cpu->pool, bn_cpu_blocks(args->x.rows, ROWS_A_PART), rope_part, &p);
}
