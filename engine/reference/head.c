/* The two ends of the network: token embedding, and output head with cross-entropy. */
#include <math.h>
#include <string.h>

#include "engine/reference/reference.h"

static size_t at(int row, int cols)
{
    return (size_t)row * (size_t)cols;
}

void bn_reference_embed_forward(void *self, bn_mat out, bn_mat table, const int32_t *tokens)
{
    if (bn_host_failed(self)) return;
    for (int r = 0; r < out.rows; r++) {
        memcpy(out.data + at(r, out.cols), table.data + at(tokens[r], out.cols),
               (size_t)out.cols * sizeof *out.data);
    }
}

void bn_reference_embed_backward(void *self, bn_mat dtable, bn_mat dout, const int32_t *tokens)
{
    if (bn_host_failed(self)) return;
    for (int r = 0; r < dout.rows; r++) {
        for (int c = 0; c < dout.cols; c++) {
            dtable.data[at(tokens[r], dout.cols) + (size_t)c] +=
                dout.data[at(r, dout.cols) + (size_t)c];
        }
    }
}

/* Logits of one row; returns their log-sum-exp. */
static double row_logits(const bn_head_args *args, const float *x, float *logits)
{
    const bn_reference_form *form = args->head->form;
    int cols = args->x.cols;
    double most = -INFINITY;
    for (int v = 0; v < args->head->rows; v++) {
        double sum = 0;
        for (int c = 0; c < cols; c++) {
            sum += (double)x[c] * (double)form->value[at(v, cols) + (size_t)c];
        }
        logits[v] = (float)sum;
        if (!((double)logits[v] <= most)) most = (double)logits[v];
    }
    double sum = 0;
    for (int v = 0; v < args->head->rows; v++) sum += exp((double)logits[v] - most);
    return most + log(sum);
}

/* d loss / d logit_v = p_v - [v = target], times scale. */
static void row_gradient(const bn_head_args *args, int r, const float *logits, double lse,
                         const float *x, float *dx)
{
    const bn_reference_form *form = args->head->form;
    bn_dtype dtype = args->head->format.kind == BN_WEIGHT_BF16 ? BN_BF16 : BN_F32;
    int cols = args->x.cols;
    double scale = (double)args->scale * (args->loss_scale ? *args->loss_scale : 1);
    for (int v = 0; v < args->head->rows; v++) {
        double p = exp((double)logits[v] - lse) - (v == args->targets[r] ? 1 : 0);
        float dlogit = bn_reference_round((float)(p * scale), dtype);
        for (int c = 0; c < cols; c++) {
            size_t i = at(v, cols) + (size_t)c;
            dx[c] += dlogit * form->value[i];
            args->dw[i] += dlogit * x[c];
        }
    }
}

void bn_reference_head_loss(void *self, const bn_head_args *args)
{
    int cols = args->x.cols;
    int vocabulary = args->head->rows;
    float *x = bn_reference_scratch(self, 2 * (size_t)cols + (size_t)vocabulary);
    if (!x) return;
    float *dx = x + cols;
    float *logits = dx + cols;
    bool bf16 = args->head->format.kind == BN_WEIGHT_BF16;
    for (int r = 0; r < args->x.rows; r++) {
        memset(dx, 0, (size_t)cols * sizeof *dx);
        if (args->dx.data) bn_reference_put_row(args->dx, r, dx);
        args->loss[r] = 0;
        if (args->targets[r] < 0) continue;
        bn_reference_act_read(args->x, r, x);
        for (int c = 0; c < cols; c++) x[c] = bn_reference_round(x[c], bf16 ? BN_BF16 : BN_F32);
        double lse = row_logits(args, x, logits);
        args->loss[r] = (float)(lse - (double)logits[args->targets[r]]);
        if (!args->dx.data) continue;
        row_gradient(args, r, logits, lse, x, dx);
        bn_reference_put_row(args->dx, r, dx);
    }
}
