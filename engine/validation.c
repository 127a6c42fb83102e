#include "engine/validation.h"

static int64_t windows_of(const bn_validation *what)
{
    int64_t all = bn_dataset_val_windows(what->data), context = what->config->model.context;
    int64_t wanted = (what->config->train.eval_tokens + context - 1) / context;
    return wanted == 0 || wanted > all ? all : wanted;
}

/* The windows of one batch; rows beyond the last window count for nothing. */
static int64_t fill(const bn_validation *what, int64_t first, int64_t windows)
{
    size_t seq = (size_t)what->model->shape.seq;
    int64_t all = bn_dataset_val_windows(what->data), counted = 0;
    for (int row = 0; row < what->model->shape.batch; row++) {
        int32_t *tokens = what->tokens + (size_t)row * seq;
        int32_t *targets = what->targets + (size_t)row * seq;
        int64_t window = first + row;
        bool real = window < windows;
        if (real) bn_dataset_val(what->data, window * all / windows, tokens, targets);
        for (size_t i = 0; i < seq; i++) {
            if (!real) tokens[i] = 0;
            if (!real) targets[i] = -1;
            counted += targets[i] >= 0;
        }
    }
    return counted;
}

bn_status bn_validate(const bn_validation *what, double *loss, bn_error *err)
{
    int64_t windows = windows_of(what), mine = what->model->shape.batch;
    int64_t offset = bn_parallel_rank(what->parallel) * mine;
    double sums[2] = {0, 0}; /* of losses; of tokens that count */
    bn_model_eval_begin(what->model);
    for (int64_t first = 0; first < windows; first += what->config->train.batch) {
        sums[1] += (double)fill(what, first + offset, windows);
        bn_model_eval(what->model, what->tokens, what->targets);
    }
    sums[0] = bn_model_eval_sum(what->model);
    if (bn_parallel_add(what->parallel, sums, 2, sums, err) != BN_OK) return err->status;
    *loss = sums[0] / sums[1];
    return BN_OK;
}
