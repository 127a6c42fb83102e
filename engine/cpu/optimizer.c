/* AdamW (arXiv:1711.05101), a fixed piece of the tensor at a time. */
#include <math.h>
#include <string.h>

#include "engine/cpu/quantize.h"

enum { PIECE = BN_CPU_PIECE };

typedef struct sweep {
    bn_cpu *cpu;
    const bn_adamw_args *args;
    bn_adamw_step step;
    const float *x;
    size_t count;
    double *sums; /* one a piece: of squares, or of the new |p| */
} sweep;

static size_t piece_length(const sweep *s, int part)
{
    size_t left = s->count - (size_t)part * PIECE;
    return left < PIECE ? left : PIECE;
}

static void squares_part(void *context, int part, int thread)
{
    sweep *s = context;
    (void)thread;
    s->sums[part] =
        s->cpu->isa->rows->sum_squares(s->x + (size_t)part * PIECE, piece_length(s, part));
}

/* Of losses: too few for a second thread. */
void bn_cpu_sum(void *self, double *out, const float *x, size_t count)
{
    double sum = 0;
    if (bn_host_failed(self)) return;
    for (size_t i = 0; i < count; i++) sum += (double)x[i];
    *out += sum;
}

void bn_cpu_sum_squares(void *self, double *out, const float *x, size_t count)
{
    int parts = (int)((count + PIECE - 1) / PIECE);
    sweep s = {.cpu = self, .x = x, .count = count};
    s.sums = bn_cpu_scratch(self, BN_CPU_SLOT_LINES, (size_t)parts * sizeof *s.sums);
    if (!s.sums) return;
    bn_pool_run(s.cpu->pool, parts, squares_part, &s);
    double total = 0;
    for (int i = 0; i < parts; i++) total += s.sums[i];
    *out += total;
}

static void step_part(void *context, int part, int thread)
{
    sweep *s = context;
    (void)thread;
    size_t start = (size_t)part * PIECE;
    const bn_adamw_args *a = s->args;
    s->sums[part] = s->cpu->isa->rows->adamw(&s->step, a->param + start, a->grad + start,
                                             a->m + start, a->v + start, piece_length(s, part));
}

static bn_adamw_step step_of(const bn_adamw_args *args)
{
    const bn_adamw_rates *rates = args->rates;
    double lr = (double)rates->lr, decay = args->decays ? (double)rates->decay : 0;
    return (bn_adamw_step){.beta1 = args->beta1,
                           .beta2 = args->beta2,
                           .factor = (float)rates->factor,
                           .rate = (float)(lr / rates->correction1),
                           .root = (float)(1 / sqrt(rates->correction2)),
                           .eps = args->eps,
                           .keep = (float)(1 - lr * decay)};
}

void bn_cpu_decide(void *self, bn_steps *steps, const bn_step_rule *rule)
{
    if (!bn_host_failed(self)) bn_steps_decide(steps, rule);
}

void bn_cpu_adamw(void *self, const bn_adamw_args *args)
{
    if (bn_host_failed(self)) return;
    if (args->rates->skip) {
        memset(args->grad, 0, args->count * sizeof *args->grad);
        return;
    }
    sweep s = {.cpu = self, .args = args, .count = args->count, .step = step_of(args)};
    int parts = (int)((args->count + PIECE - 1) / PIECE);
    s.sums = bn_cpu_scratch(self, BN_CPU_SLOT_LINES, (size_t)parts * sizeof *s.sums);
    if (!s.sums) return;
    bn_pool_run(s.cpu->pool, parts, step_part, &s);
    if (args->weight) bn_cpu_weight_refresh(self, args->weight, s.sums);
}
