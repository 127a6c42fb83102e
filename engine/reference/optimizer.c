/* AdamW: Adam (arXiv:1412.6980) with decoupled weight decay (arXiv:1711.05101). */
#include <math.h>
#include <string.h>

#include "engine/reference/reference.h"

void bn_reference_sum(void *self, double *out, const float *x, size_t count)
{
    if (bn_host_failed(self)) return;
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)x[i];
    *out += sum;
}

void bn_reference_sum_squares(void *self, double *out, const float *x, size_t count)
{
    if (bn_host_failed(self)) return;
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)x[i] * (double)x[i];
    *out += sum;
}

void bn_reference_decide(void *self, bn_steps *steps, const bn_step_rule *rule)
{
    if (!bn_host_failed(self)) bn_steps_decide(steps, rule);
}

void bn_reference_adamw(void *self, const bn_adamw_args *args)
{
    const bn_adamw_rates *rates = args->rates;
    if (bn_host_failed(self)) return;
    if (rates->skip) {
        memset(args->grad, 0, args->count * sizeof *args->grad);
        return;
    }
    double beta1 = (double)args->beta1;
    double beta2 = (double)args->beta2;
    double lr = (double)rates->lr;
    double decay = args->decays ? (double)rates->decay : 0;
    for (size_t i = 0; i < args->count; i++) {
        double g = (double)args->grad[i] * rates->factor;
        double m = beta1 * (double)args->m[i] + (1 - beta1) * g;
        double v = beta2 * (double)args->v[i] + (1 - beta2) * g * g;
        double p = (double)args->param[i];
        double step = m / rates->correction1 / (sqrt(v / rates->correction2) + (double)args->eps);
        args->m[i] = (float)m;
        args->v[i] = (float)v;
        args->param[i] = (float)(p - lr * (step + decay * p));
        args->grad[i] = 0;
    }
    if (args->weight) bn_reference_weight_prepare(self, args->weight);
}
