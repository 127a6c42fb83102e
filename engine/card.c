#include "engine/card.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/device_cuda.h"
#include "engine/gpu_peak.h"

bn_status bn_card_share(bn_config *config, const bn_ranks *ranks, bn_error *err)
{
    const bn_cuda_plugin *plugin = NULL;
    int cards = 0;
    if (!ranks || ranks->local_world == 1 || strcmp(config->train.device, "cuda") != 0) {
        return BN_OK;
    }
    if (bn_device_cuda_load(&plugin, err) != BN_OK) return err->status;
    if (plugin->count(&cards, err) != BN_OK) return err->status;
    if (cards == 1) return BN_OK; /* its own: NCCL's start finds two ranks on one card */
    if (ranks->local_rank >= cards) {
        return bn_fail(err, BN_EINVAL, "rank %d is the %d. on this machine, which has %d cards",
                       ranks->rank, ranks->local_rank + 1, cards);
    }
    (void)snprintf(config->train.device, sizeof config->train.device, "cuda:%d", ranks->local_rank);
    return BN_OK;
}

bool bn_card_open(bn_gpu_meter *meter, double *peak_flops, bn_backend be, const bn_config *config,
                  void (*say)(void *self, const char *line), void *say_self)
{
    char line[320];
    bn_error why = {0};
    const bn_cuda_plugin *plugin = NULL;
    *meter = (bn_gpu_meter){.card = -1, .last_j = NAN};
    if (strcmp(be.ops->name, "cuda") != 0) return false;
    if (bn_device_cuda_load(&plugin, &why) != BN_OK) return false;
    bn_cuda_card card = plugin->card(be);
    const bn_gpu_peak *peak = bn_gpu_peak_find(card.name);
    *peak_flops = peak ? bn_gpu_peak_flops(peak, config) : 0;
    if (!peak && say) {
        (void)snprintf(line, sizeof line, "no mfu: the peak of a '%s' is not known", card.name);
        say(say_self, line);
    }
    const char *number = strchr(config->train.device, ':');
    bn_gpu_place place = {.visible = getenv("CUDA_VISIBLE_DEVICES"), /* NOLINT(*-mt-unsafe) */
                          .index = number ? (int)strtol(number + 1, NULL, 10) : 0,
                          .name = card.name,
                          .bus = card.bus};
    if (bn_gpu_meter_init(meter, &place, &why) != BN_OK && say) {
        (void)snprintf(line, sizeof line, "the card is not watched: %s", why.text);
        say(say_self, line);
    }
    return true;
}
