#include "runner/cli/bench_peak.h"

#include <string.h>

#include "engine/cost.h"
#include "engine/device_cuda.h"
#include "engine/gpu_peak.h"

/* NULL: not a card, or not one whose figures are known. */
static const bn_gpu_peak *peak_of(bn_backend be)
{
    const bn_cuda_plugin *plugin = NULL;
    bn_error ignored = {0}; /* it was loaded when be was opened */
    if (strcmp(be.ops->name, "cuda") != 0) return NULL;
    if (bn_device_cuda_load(&plugin, &ignored) != BN_OK) return NULL;
    bn_cuda_card card = plugin->card(be);
    return bn_gpu_peak_find(card.name);
}

double bn_bench_device_peak(bn_backend be, bn_dtype format)
{
    const bn_gpu_peak *peak = peak_of(be);
    if (!peak) return bn_bench_peak(be, format);
    switch (format) {
    case BN_F32:
        return peak->fp32;
    case BN_BF16:
    case BN_F16:
        return peak->bf16;
    case BN_I8:
        break;
    }
    return peak->int8;
}

double bn_bench_mfu(bn_backend be, const bn_bench *bench, double tokens_per_s)
{
    const bn_gpu_peak *peak = peak_of(be);
    if (!peak) return 0;
    bn_cost cost = bn_cost_of(&bench->config, &bench->model->params);
    return tokens_per_s * cost.train_flops_per_token / bn_gpu_peak_flops(peak, &bench->config);
}
