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
    const float *gate = args->gate.data + start;
    const float *up = args->up.data + start;
    for (int c = 0; c < args->gate.cols; c++) {
        h[c] = (float)activate(gate[c], args->relu2).value * up[c];
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
    float *h = bn_reference_scratch(self, (size_t)cols);
    if (!h) return;
    for (int r = 0; r < args->gate.rows; r++) {
        gated_row(args, r, h);
        size_t start = (size_t)r * (size_t)cols;
        float *dh = grads->dy.data + start;
        bn_reference_site_backward(&args->site, cols, h, args->stats + (size_t)r * BN_NORM_STATS,
                                   dh, grads->dgain);
        for (int c = 0; c < cols; c++) {
            size_t i = start + (size_t)c;
            slope act = activate(args->gate.data[i], args->relu2);
            float up = args->up.data[i]; /* dgate and dup may lie on gate and up */
            grads->dgate.data[i] = (float)((double)dh[c] * (double)up * act.gradient);
            grads->dup.data[i] = (float)((double)dh[c] * act.value);
        }
    }
}
