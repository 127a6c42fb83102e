/* Rotary embedding (arXiv:2104.09864), half-split, and causal softmax attention with grouped
 * key/value heads (arXiv:2305.13245). */
#include <math.h>
#include <string.h>

#include "engine/reference/reference.h"

static void rotate(float *x, int dim, double position, const bn_rope_args *args)
{
    int half = dim / 2;
    for (int i = 0; i < half; i++) {
        double angle = position * pow((double)args->theta, -2.0 * i / dim);
        double cosine = cos(angle);
        double sine = args->inverse ? -sin(angle) : sin(angle);
        double a = (double)x[i];
        double b = (double)x[i + half];
        x[i] = (float)(a * cosine - b * sine);
        x[i + half] = (float)(b * cosine + a * sine);
    }
}

void bn_reference_rope(void *self, const bn_rope_args *args)
{
    if (((bn_reference *)self)->failure.status != BN_OK) return;
    for (int r = 0; r < args->x.rows; r++) {
        float *row = args->x.data + (size_t)r * (size_t)args->x.cols;
        for (int h = 0; h < args->heads; h++) {
            rotate(row + (size_t)h * (size_t)args->dim, args->dim, r % args->seq, args);
        }
    }
}

/* One query: token t of sequence b, head h. */
typedef struct query {
    int b, t, h;
} query;

static size_t q_at(const bn_attention_args *a, query at)
{
    return ((size_t)at.b * (size_t)a->seq + (size_t)at.t) * (size_t)a->q.cols +
           (size_t)at.h * (size_t)a->dim;
}

/* The n-th of batch * seq * heads queries. */
static query query_of(const bn_attention_args *a, int n)
{
    int row = n / a->heads;
    return (query){.b = row / a->seq, .t = row % a->seq, .h = n % a->heads};
}

/* Where key and value j of the query's kv head begin. */
static size_t k_at(const bn_attention_args *a, query at, int j)
{
    int kv = at.h / (a->heads / a->kv_heads);
    return ((size_t)at.b * (size_t)a->seq + (size_t)j) * (size_t)a->k.cols +
           (size_t)kv * (size_t)a->dim;
}

static size_t lse_at(const bn_attention_args *a, query at)
{
    return ((size_t)at.b * (size_t)a->seq + (size_t)at.t) * (size_t)a->heads + (size_t)at.h;
}

static double dot(const float *a, const float *b, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static double score(const bn_attention_args *a, query at, int j)
{
    return dot(a->q.data + q_at(a, at), a->k.data + k_at(a, at, j), a->dim) / sqrt(a->dim);
}

/* out = sum_j softmax_j(q.k_j / sqrt(dim)) v_j over j <= t; p is scratch for the weights. */
static void attend(const bn_attention_args *a, query at, double *p)
{
    double most = -INFINITY;
    for (int j = 0; j <= at.t; j++) {
        p[j] = score(a, at, j);
        if (!(p[j] <= most)) most = p[j];
    }
    double sum = 0;
    for (int j = 0; j <= at.t; j++) sum += exp(p[j] - most);
    double lse = most + log(sum);
    a->lse[lse_at(a, at)] = (float)lse;
    for (int j = 0; j <= at.t; j++) p[j] = exp(p[j] - lse);
    float *out = a->out.data + q_at(a, at);
    for (int i = 0; i < a->dim; i++) {
        double value = 0;
        for (int j = 0; j <= at.t; j++) {
            value += p[j] * (double)a->v.data[k_at(a, at, j) + (size_t)i];
        }
        out[i] = (float)value;
    }
}

void bn_reference_attention_forward(void *self, const bn_attention_args *args)
{
    double *p = (void *)bn_reference_scratch(self, 2 * (size_t)args->seq);
    if (!p) return;
    for (int n = 0; n < args->q.rows * args->heads; n++) attend(args, query_of(args, n), p);
}

/* With p_j the softmax, dp_j = dout.v_j and D = dout.out:  ds_j = p_j (dp_j - D) / sqrt(dim). */
static void attend_backward(const bn_attention_args *a, query at, const bn_attention_grads *g)
{
    const float *q = a->q.data + q_at(a, at);
    const float *dout = g->dout.data + q_at(a, at);
    double lse = (double)a->lse[lse_at(a, at)];
    double mean = dot(dout, a->out.data + q_at(a, at), a->dim);
    for (int j = 0; j <= at.t; j++) {
        size_t key = k_at(a, at, j);
        double p = exp(score(a, at, j) - lse);
        double ds = p * (dot(dout, a->v.data + key, a->dim) - mean) / sqrt(a->dim);
        float *dq = g->dq.data + q_at(a, at);
        for (int i = 0; i < a->dim; i++) {
            dq[i] += (float)(ds * (double)a->k.data[key + (size_t)i]);
            g->dk.data[key + (size_t)i] += (float)(ds * (double)q[i]);
            g->dv.data[key + (size_t)i] += (float)(p * (double)dout[i]);
        }
    }
}

static void clear(bn_mat m)
{
    memset(m.data, 0, (size_t)m.rows * (size_t)m.cols * sizeof *m.data);
}

void bn_reference_attention_backward(void *self, const bn_attention_args *args,
                                     const bn_attention_grads *grads)
{
    if (((bn_reference *)self)->failure.status != BN_OK) return;
    clear(grads->dq);
    clear(grads->dk);
    clear(grads->dv);
    for (int n = 0; n < args->q.rows * args->heads; n++) {
        attend_backward(args, query_of(args, n), grads);
    }
}
