/* The gated unit of SwiGLU (arXiv:2002.05202) and of the ReLU^2 variant (arXiv:2109.08668). */
#include <math.h>

#include "engine/reference/reference.h"

typedef struct slope {
    double value, gradient;
} slope;

static slope activate(float x, bool relu2)
{
    if (relu2) {
        double positive = x > 0 ? (double)x : 0 * (double)x; /* NaN stays NaN */
        return (slope){.value = positive * positive, .gradient = 2 * positive};
    }
    double sigmoid = 1 / (1 + exp(-(double)x));
    double value = (double)x * sigmoid;
    return (slope){.value = value, .gradient = sigmoid + value * (1 - sigmoid)};
}

static void gated_row(const bn_glu_args *args, int r, float *h)
{
    size_t start = (size_t)r * (size_t)args->gate.cols;
    for (int c = 0; c < args->gate.cols; c++) {
        float gate = bn_reference_get(args->gate, start + (size_t)c);
        float up = bn_reference_get(args->up, start + (size_t)c);
        h[c] = (float)activate(gate, args->relu2).value * up;
    }
}

void bn_reference_glu_forward(void *self, const bn_glu_args *args)
{
    float *h = bn_reference_scratch(self, (size_t)args->gate.cols);
    if (!h) return;
    for (int r = 0; r < args->gate.rows; r++) {
        gated_row(args, r, h);
        bn_reference_site_forward(&args->site, args->gate.cols, h, h,
                                  args->stats + (size_t)r * BN_NORM_STATS);
        bn_reference_act_write(args->out, r, h);
    }
}

void bn_reference_glu_backward(void *self, const bn_glu_args *args, const bn_glu_grads *grads)
{
    int cols = args->gate.cols;
    float *h = bn_reference_scratch(self, 2 * (size_t)cols);
    if (!h) return;
    float *dh = h + cols;
    for (int r = 0; r < args->gate.rows; r++) {
        gated_row(args, r, h);
        bn_reference_get_row(grads->dy, r, dh);
        bn_reference_site_backward(&args->site, cols, h, args->stats + (size_t)r * BN_NORM_STATS,
                                   dh, grads->dgain);
        for (int c = 0; c < cols; c++) {
            size_t i = (size_t)r * (size_t)cols + (size_t)c;
            slope act = activate(bn_reference_get(args->gate, i), args->relu2);
            double up = (double)bn_reference_get(args->up, i); /* may lie where dup goes */
            bn_reference_put(grads->dgate, i, (float)((double)dh[c] * up * act.gradient));
            bn_reference_put(grads->dup, i, (float)((double)dh[c] * act.value));
        }
    }
}
