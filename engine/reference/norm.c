/* RMSNorm (arXiv:1910.07467) and SwiGLU (arXiv:2002.05202), each ending in a quantizer whose
 * gradient passes straight through. */
#include <math.h>
#include <string.h>

#include "engine/reference/reference.h"

/* y = x / sqrt(mean(x^2) + eps) [* gain]; returns the factor of x. x and y may be the same. */
static float normalize(int cols, const float *x, const float *gain, float eps, float *y)
{
    double squares = 0;
    for (int c = 0; c < cols; c++) squares += (double)x[c] * (double)x[c];
    float inverse_rms = (float)(1.0 / sqrt(squares / cols + (double)eps));
    for (int c = 0; c < cols; c++) y[c] = x[c] * inverse_rms * (gain ? gain[c] : 1.0F);
    return inverse_rms;
}

void bn_reference_site_forward(const bn_norm_site *site, int cols, const float *x, float *y,
                               float *stats)
{
    memmove(y, x, (size_t)cols * sizeof *y);
    stats[0] = 1;
    stats[1] = 1;
    if (site->outer) stats[0] = normalize(cols, y, site->gain, site->eps, y);
    if (site->inner) stats[1] = normalize(cols, y, NULL, BN_INNER_NORM_EPS, y);
}

/* What the inner norm reads: the outer norm's result, or x where there is none. */
static float outer_value(const bn_norm_site *site, const float *x, const float *stats, int c)
{
    if (!site->outer) return x[c];
    return x[c] * stats[0] * (site->gain ? site->gain[c] : 1.0F);
}

/* For n = z * f, f = 1/sqrt(mean(z^2) + eps):  dz = f * (dn - n * mean(dn * n)). */
void bn_reference_site_backward(const bn_norm_site *site, int cols, const float *x,
                                const float *stats, float *dy, float *dgain)
{
    if (site->inner) {
        double mean = 0;
        for (int c = 0; c < cols; c++) {
            mean += (double)dy[c] * (double)(outer_value(site, x, stats, c) * stats[1]) / cols;
        }
        for (int c = 0; c < cols; c++) {
            double n = (double)(outer_value(site, x, stats, c) * stats[1]);
            dy[c] = (float)((double)stats[1] * ((double)dy[c] - n * mean));
        }
    }
    if (!site->outer) return;
    double mean = 0;
    for (int c = 0; c < cols; c++) {
        float n = x[c] * stats[0];
        if (dgain) dgain[c] += dy[c] * n;
        if (site->gain) dy[c] *= site->gain[c];
        mean += (double)dy[c] * (double)n / cols;
    }
    for (int c = 0; c < cols; c++) {
        double n = (double)(x[c] * stats[0]);
        dy[c] = (float)((double)stats[0] * ((double)dy[c] - n * mean));
    }
}

void bn_reference_norm_forward(void *self, const bn_norm_args *args)
{
    float *y = bn_reference_scratch(self, (size_t)args->x.cols);
    if (!y) return;
    for (int r = 0; r < args->x.rows; r++) {
        bn_reference_get_row(args->x, r, y);
        bn_reference_site_forward(&args->site, args->x.cols, y, y,
                                  args->stats + (size_t)r * BN_NORM_STATS);
        bn_reference_act_write(args->out, r, y);
    }
}

void bn_reference_norm_backward(void *self, const bn_norm_args *args, const bn_norm_grads *grads)
{
    int cols = args->x.cols;
    float *x = bn_reference_scratch(self, 2 * (size_t)cols);
    if (!x) return;
    float *dy = x + cols;
    for (int r = 0; r < args->x.rows; r++) {
        size_t start = (size_t)r * (size_t)cols;
        bn_reference_get_row(args->x, r, x);
        bn_reference_get_row(grads->dy, r, dy);
        bn_reference_site_backward(&args->site, cols, x, args->stats + (size_t)r * BN_NORM_STATS,
                                   dy, grads->dgain);
        for (int c = 0; c < cols && grads->add; c++) dy[c] += grads->dx.data[start + (size_t)c];
        bn_reference_put_row(grads->dx, r, dy);
    }
}
