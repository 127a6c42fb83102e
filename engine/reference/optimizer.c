/* AdamW: Adam (arXiv:1412.6980) with decoupled weight decay (arXiv:1711.05101). */
#include <math.h>
#include <string.h>

#include "engine/reference/reference.h"

void bn_reference_sum_squares(void *self, double *out, const float *x, size_t count)
{
    if (((bn_reference *)self)->failure.status != BN_OK) return;
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)x[i] * (double)x[i];
    *out += sum;
}

void bn_reference_adamw(void *self, const bn_adamw_args *args)
{
    if (((bn_reference *)self)->failure.status != BN_OK) return;
    double squares = *args->grad_squares;
    if (!isfinite(squares)) {
        memset(args->grad, 0, args->count * sizeof *args->grad);
        return;
    }
    double norm = sqrt(squares) * (double)args->grad_scale;
    double factor = (double)args->grad_scale;
    if (args->clip > 0 && norm > (double)args->clip) factor *= (double)args->clip / norm;
    double beta1 = (double)args->beta1;
    double beta2 = (double)args->beta2;
    double correction1 = 1 - pow(beta1, (double)args->step);
    double correction2 = 1 - pow(beta2, (double)args->step);
    for (size_t i = 0; i < args->count; i++) {
        double g = (double)args->grad[i] * factor;
        double m = beta1 * (double)args->m[i] + (1 - beta1) * g;
        double v = beta2 * (double)args->v[i] + (1 - beta2) * g * g;
        double p = (double)args->param[i];
        double step = m / correction1 / (sqrt(v / correction2) + (double)args->eps);
        args->m[i] = (float)m;
        args->v[i] = (float)v;
        args->param[i] = (float)(p - (double)args->lr * (step + (double)args->decay * p));
        args->grad[i] = 0;
    }
    if (args->weight) bn_reference_weight_prepare(self, args->weight);
}
