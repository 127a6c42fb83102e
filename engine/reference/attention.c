/* Rotary embedding (arXiv:2104.09864), half-split, and causal softmax attention with grouped
 * key/value heads (arXiv:2305.13245). */
#include <math.h>
#include <string.h>

#include "engine/reference/reference.h"

/* One head of one row, whose elements begin at `start`. */
static void rotate(const bn_rope_args *args, size_t start, double position)
{
    size_t half = (size_t)args->dim / 2;
    for (size_t i = 0; i < half; i++) {
        double angle = position * pow((double)args->theta, -2.0 * (double)i / args->dim);
        double cosine = cos(angle);
        double sine = args->inverse ? -sin(angle) : sin(angle);
        double a = (double)bn_reference_get(args->x, start + i);
        double b = (double)bn_reference_get(args->x, start + half + i);
        bn_reference_put(args->x, start + i, (float)(a * cosine - b * sine));
        bn_reference_put(args->x, start + half + i, (float)(b * cosine + a * sine));
    }
}

void bn_reference_rope(void *self, const bn_rope_args *args)
{
    if (bn_host_failed(self)) return;
    for (int r = 0; r < args->x.rows; r++) {
        for (int h = 0; h < args->heads; h++) {
            size_t start = (size_t)r * (size_t)args->x.cols + (size_t)h * (size_t)args->dim;
            rotate(args, start, r % args->seq);
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

/* Where one head's elements begin in a matrix. */
typedef struct place {
    bn_mat mat;
    size_t start;
} place;

static double dot(place a, place b, int count)
{
    double sum = 0;
    for (size_t i = 0; i < (size_t)count; i++) {
        sum += (double)bn_reference_get(a.mat, a.start + i) *
               (double)bn_reference_get(b.mat, b.start + i);
    }
    return sum;
}

static double score(const bn_attention_args *a, query at, int j)
{
    return dot((place){a->q, q_at(a, at)}, (place){a->k, k_at(a, at, j)}, a->dim) / sqrt(a->dim);
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
    for (size_t i = 0; i < (size_t)a->dim; i++) {
        double value = 0;
        for (int j = 0; j <= at.t; j++) {
            value += p[j] * (double)bn_reference_get(a->v, k_at(a, at, j) + i);
        }
        bn_reference_put(a->out, q_at(a, at) + i, (float)value);
    }
}

void bn_reference_attention_forward(void *self, const bn_attention_args *args)
{
    double *p = (void *)bn_reference_scratch(self, 2 * (size_t)args->seq);
    if (!p) return;
    for (int n = 0; n < args->q.rows * args->heads; n++) attend(args, query_of(args, n), p);
}

/* Sums of the gradients, in f32 until all queries have added to them. */
typedef struct slopes {
    float *dq, *dk, *dv;
} slopes;

/* With p_j the softmax, dp_j = dout.v_j and D = dout.out:  ds_j = p_j (dp_j - D) / sqrt(dim). */
static void attend_backward(const bn_attention_args *a, query at, bn_mat dout, slopes g)
{
    size_t q = q_at(a, at);
    double lse = (double)a->lse[lse_at(a, at)];
    double mean = dot((place){dout, q}, (place){a->out, q}, a->dim);
    for (int j = 0; j <= at.t; j++) {
        size_t key = k_at(a, at, j);
        double p = exp(score(a, at, j) - lse);
        double ds = p * (dot((place){dout, q}, (place){a->v, key}, a->dim) - mean) / sqrt(a->dim);
        for (size_t i = 0; i < (size_t)a->dim; i++) {
            g.dq[q + i] += (float)(ds * (double)bn_reference_get(a->k, key + i));
            g.dk[key + i] += (float)(ds * (double)bn_reference_get(a->q, q + i));
            g.dv[key + i] += (float)(p * (double)bn_reference_get(dout, q + i));
        }
    }
}

static void put_all(bn_mat m, const float *values)
{
    for (int r = 0; r < m.rows; r++) {
        bn_reference_put_row(m, r, values + (size_t)r * (size_t)m.cols);
    }
}

void bn_reference_attention_backward(void *self, const bn_attention_args *args,
                                     const bn_attention_grads *grads)
{
    size_t queries = (size_t)args->q.rows * (size_t)args->q.cols;
    size_t keys = (size_t)args->k.rows * (size_t)args->k.cols;
    float *sums = bn_reference_scratch(self, queries + 2 * keys);
    if (!sums) return;
    memset(sums, 0, (queries + 2 * keys) * sizeof *sums);
    slopes g = {sums, sums + queries, sums + queries + keys};
    for (int n = 0; n < args->q.rows * args->heads; n++) {
        attend_backward(args, query_of(args, n), grads->dout, g);
    }
    put_all(grads->dq, g.dq);
    put_all(grads->dk, g.dk);
    put_all(grads->dv, g.dv);
}
