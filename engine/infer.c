#include "engine/infer.h"

#include <assert.h>
#include <string.h>

#include "engine/base/half.h"
#include "engine/infer_state.h"

const bn_config *bn_infer_config(const bn_infer *infer)
{
    return &infer->config;
}

bn_infer_bytes bn_infer_measure(const bn_infer *infer)
{
    return infer->bytes;
}

int bn_infer_position(const bn_infer *infer)
{
    return infer->position;
}

void bn_infer_reset(bn_infer *infer)
{
    infer->position = 0;
}

/* The first `rows` rows. */
static bn_mat head_of(bn_mat mat, int rows)
{
    mat.rows = rows;
    return mat;
}

static bn_act first_of(bn_act act, int rows)
{
    act.rows = rows;
    return act;
}

static void multiply(bn_infer *infer, bn_mat out, const float *residual, bn_act x,
                     const bn_infer_matrix *m)
{
    if (m->is_packed) {
        bn_packed_forward(infer->be, out, residual, x, &m->packed);
    } else {
        bn_dense_forward(infer->be, out, residual, x, &m->weight);
    }
}

static void norm(bn_infer *infer, const bn_norm_site *site, bn_mat x, bn_act out)
{
    bn_norm_args args = {.site = *site, .x = x, .out = out, .stats = infer->stats};
    bn_norm_forward(infer->be, &args);
}

static void attend(bn_infer *infer, const bn_infer_layer *l, bn_mat q, bn_mat k, bn_mat v)
{
    const bn_shape *shape = &infer->shape;
    bn_cached_attention args = {.q = q,
                                .k = k,
                                .v = v,
                                .out = head_of(infer->attended, q.rows),
                                .keys = l->keys,
                                .values = l->values,
                                .cosine = infer->cosine,
                                .sine = infer->sine,
                                .start = infer->position,
                                .heads = shape->heads,
                                .kv_heads = shape->kv_heads,
                                .dim = shape->dim};
    bn_attention_cached(infer->be, &args);
}

/* block.h's formulas on rows of one sequence, from x to x. */
static void run_layer(bn_infer *infer, const bn_infer_layer *l, int rows)
{
    bn_mat x = head_of(infer->x, rows), mid = head_of(infer->mid, rows);
    bn_mat q = head_of(infer->q, rows), k = head_of(infer->k, rows), v = head_of(infer->v, rows);
    bn_mat gate = head_of(infer->gate, rows), up = head_of(infer->up, rows);
    bn_act wide = first_of(infer->wide, rows), hidden = first_of(infer->hidden, rows);
    norm(infer, &l->site[BN_SITE_ATTN], x, wide);
    multiply(infer, q, NULL, wide, &l->linear[BN_LINEAR_Q]);
    multiply(infer, k, NULL, wide, &l->linear[BN_LINEAR_K]);
    multiply(infer, v, NULL, wide, &l->linear[BN_LINEAR_V]);
    attend(infer, l, q, k, v);
    norm(infer, &l->site[BN_SITE_ATTN_SUB], head_of(infer->attended, rows), wide);
    multiply(infer, mid, x.data, wide, &l->linear[BN_LINEAR_O]);
    norm(infer, &l->site[BN_SITE_FFN], mid, wide);
    multiply(infer, gate, NULL, wide, &l->linear[BN_LINEAR_GATE]);
    multiply(infer, up, NULL, wide, &l->linear[BN_LINEAR_UP]);
    bn_glu_args glu = {.site = l->site[BN_SITE_FFN_SUB],
                       .gate = gate,
                       .up = up,
                       .out = hidden,
                       .stats = infer->stats,
                       .relu2 = infer->shape.relu2};
    bn_glu_forward(infer->be, &glu);
    multiply(infer, x, mid.data, hidden, &l->linear[BN_LINEAR_DOWN]);
}

/* Logits of the rows first ... rows - 1 of x. */
static void run_head(bn_infer *infer, int first, int rows)
{
    size_t width = (size_t)infer->shape.width;
    bn_mat x = {infer->x.data + (size_t)first * width, rows - first, infer->shape.width};
    bn_act last = first_of(infer->last, x.rows);
    norm(infer, &infer->final_site, x, last);
    float *values = last.data;
    size_t count = (size_t)x.rows * width;
    for (size_t i = 0; i < count && infer->half_head; i++) {
        values[i] = bn_bf16_to_float(bn_bf16_from_float(values[i]));
    }
    bn_logits_args args = {.x = {values, x.rows, x.cols},
                           .wide = infer->wide_head,
                           .half = infer->half_head,
                           .out = head_of(infer->logits, x.rows)};
    bn_logits_forward(infer->be, &args);
}

static void run_rows(bn_infer *infer, const int32_t *tokens, int rows)
{
    size_t width = (size_t)infer->shape.width;
    for (int r = 0; r < rows; r++) {
        memcpy(infer->x.data + (size_t)r * width, infer->table + (size_t)tokens[r] * width,
               width * sizeof(float));
    }
    for (int i = 0; i < infer->config.model.layers; i++) {
        run_layer(infer, &infer->layers[i], rows);
    }
    infer->position += rows;
}

bn_status bn_infer_read(bn_infer *infer, const int32_t *tokens, int count, bool all,
                        const float **logits, bn_error *err)
{
    assert(count > 0 && (!all || count <= BN_INFER_ROWS));
    const bn_config *config = &infer->config;
    if (infer->position > config->model.context - count) {
        return bn_fail(err, BN_EINVAL, "%d tokens after %d are more than 'model.context' %lld",
                       count, infer->position, (long long)config->model.context);
    }
    for (int i = 0; i < count; i++) {
        if (tokens[i] >= 0 && tokens[i] < config->model.vocab) continue;
        return bn_fail(err, BN_EINVAL, "token %d is outside the vocabulary of %lld", tokens[i],
                       (long long)config->model.vocab);
    }
    int rows = 0;
    for (int done = 0; done < count; done += rows) {
        rows = count - done < BN_INFER_ROWS ? count - done : BN_INFER_ROWS;
        run_rows(infer, tokens + done, rows);
    }
    run_head(infer, all ? 0 : rows - 1, rows);
    *logits = infer->logits.data;
    return bn_backend_sync(infer->be, err);
}
