#include "engine/diagnostics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 14 };

/* Counts over all layers, before they become shares. */
typedef struct tally {
    int64_t zero, positive, flipped;
    int64_t hist[BN_HIST_BINS];
} tally;

static void tally_codes(tally *sum, const int8_t *now, const int8_t *last, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sum->zero += now[i] == 0;
        sum->positive += now[i] > 0;
        sum->flipped += now[i] != last[i];
    }
}

static void tally_latent(tally *sum, const bn_model *model, const bn_weight *weight, float scale)
{
    float chunk[CHUNK];
    size_t count = (size_t)weight->rows * (size_t)weight->cols;
    for (size_t at = 0; at < count; at += CHUNK) {
        size_t part = count - at < CHUNK ? count - at : CHUNK;
        bn_backend_read(model->be, chunk, weight->master + at, part * sizeof *chunk);
        for (size_t i = 0; i < part; i++) {
            double bin = fabs((double)chunk[i]) / (double)scale / BN_HIST_WIDTH;
            sum->hist[bin < BN_HIST_BINS - 1 ? (int)bin : BN_HIST_BINS - 1]++;
        }
    }
}

/* Reads the codes of every layer to `now`; with sum also counts. */
static void read_codes(const bn_codes *codes, const bn_model *model, tally *sum)
{
    size_t at = 0;
    for (size_t i = 0; i < model->params.count; i++) {
        const bn_tensor *tensor = &model->params.tensors[i];
        if (tensor->role != BN_ROLE_LINEAR) continue;
        const bn_weight *weight = bn_model_weight_of(model, tensor);
        float scale = 1;
        bn_weight_codes(model->be, weight, codes->now + at, &scale);
        if (sum) {
            tally_codes(sum, codes->now + at, codes->last + at, tensor->count);
            tally_latent(sum, model, weight, scale);
        }
        at += tensor->count;
    }
}

bn_status bn_codes_init(bn_codes *codes, const bn_model *model, bn_error *err)
{
    *codes = (bn_codes){.count = (size_t)model->params.linear};
    codes->last = calloc(codes->count, 1);
    codes->now = calloc(codes->count, 1);
    if (!codes->last || !codes->now) {
        bn_codes_release(codes);
        return bn_fail(err, BN_ENOMEM, "no memory for the codes of %lld weights",
                       (long long)model->params.linear);
    }
    read_codes(codes, model, NULL);
    memcpy(codes->last, codes->now, codes->count);
    return BN_OK;
}

void bn_codes_release(bn_codes *codes)
{
    free(codes->last);
    free(codes->now);
    *codes = (bn_codes){0};
}

void bn_codes_look(bn_codes *codes, const bn_model *model, bn_quant_stats *stats)
{
    tally sum = {0};
    double count = (double)codes->count;
    read_codes(codes, model, &sum);
    double negative = count - (double)sum.zero - (double)sum.positive;
    double signs = (double)sum.positive + negative;
    stats->zero_frac = (double)sum.zero / count;
    stats->balance = signs > 0 ? ((double)sum.positive - negative) / signs : 0;
    stats->flip_rate = (double)sum.flipped / count;
    for (int i = 0; i < BN_HIST_BINS; i++) stats->hist[i] = (double)sum.hist[i] / count;
    int8_t *swap = codes->last;
    codes->last = codes->now;
    codes->now = swap;
}
