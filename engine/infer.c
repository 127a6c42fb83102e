#include "engine/infer.h"

#include <assert.h>
#include <string.h>

#include "engine/base/half.h"
#include "engine/infer_state.h"

bn_status bn_infer_head_parse(bn_infer_head *out, const char *word, bn_error *err)
{
    *out = strcmp(word, "int8") == 0 ? BN_INFER_HEAD_INT8 : BN_INFER_HEAD_TRAINED;
    if (*out == BN_INFER_HEAD_INT8 || strcmp(word, "trained") == 0) return BN_OK;
    return bn_fail(err, BN_EINVAL, "--head must be int8 or trained, is '%.40s'", word);
}

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

/* Room for the logits of `rows` tokens. */
static bn_status reserve(bn_infer *infer, int rows, bn_error *err)
{
    bn_mat *logits = &infer->logits;
    if (rows <= logits->rows) return BN_OK;
    size_t row_bytes = (size_t)infer->config.model.vocab * sizeof *logits->data;
    float *more = bn_backend_alloc(infer->be, (size_t)rows * row_bytes);
    if (!more) return bn_backend_sync(infer->be, err);
    bn_backend_free(infer->be, logits->data);
    infer->bytes.activations += (size_t)(rows - logits->rows) * row_bytes;
    *logits = (bn_mat){.data = more, .rows = rows, .cols = (int)infer->config.model.vocab};
    if (infer->token_steps > infer->layer_steps) {
        infer->steps[infer->layer_steps].linear.out[0] = more;
    }
    return BN_OK;
}

/* Logits of the rows first ... rows - 1 of x. */
static void run_head(bn_infer *infer, int first, int rows)
{
    size_t width = (size_t)infer->shape.width;
    bn_act last = infer->last;
    last.rows = rows - first;
    bn_norm_args norm = {.site = infer->final_site,
                         .x = {.data = infer->x.data + (size_t)first * width,
                               .rows = last.rows,
                               .cols = infer->shape.width},
                         .out = last,
                         .stats = infer->stats};
    bn_norm_forward(infer->be, &norm);
    float *values = last.data;
    size_t count = (size_t)last.rows * width;
    for (size_t i = 0; i < count && infer->half_head; i++) {
        values[i] = bn_bf16_to_float(bn_bf16_from_float(values[i]));
    }
    bn_logits_args args = {
        .x = last,
        .wide = infer->wide_head,
        .half = infer->half_head,
        .coded = infer->coded_head.panels ? &infer->coded_head : NULL,
        .out = {.data = infer->logits.data, .rows = last.rows, .cols = infer->logits.cols}};
    bn_logits_forward(infer->be, &args);
}

static void run_rows(bn_infer *infer, const int32_t *tokens, int rows)
{
    size_t width = (size_t)infer->shape.width;
    for (int r = 0; r < rows; r++) {
        memcpy(infer->x.data + (size_t)r * width, infer->table + (size_t)tokens[r] * width,
               width * sizeof(float));
    }
    int steps = rows == 1 ? infer->token_steps : infer->layer_steps;
    bn_stepper_run(infer->stepper, steps, infer->position, rows);
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
    if (all && reserve(infer, count, err) != BN_OK) return err->status;
    int passes = (count + BN_INFER_ROWS - 1) / BN_INFER_ROWS;
    int rows = 0;
    for (int done = 0; passes > 0; done += rows, passes--) { /* even ones: a short one costs most */
        rows = (count - done + passes - 1) / passes;
        run_rows(infer, tokens + done, rows);
    }
    bool has_logits = rows == 1 && infer->token_steps > infer->layer_steps;
    if (!has_logits) run_head(infer, all ? 0 : rows - 1, rows);
    *logits = infer->logits.data;
    return bn_backend_sync(infer->be, err);
}
