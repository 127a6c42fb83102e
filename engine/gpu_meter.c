#include "engine/gpu_meter.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The index-th entry of "0,2" or "GPU-5e1f...,GPU-77aa...". */
static bool entry_of(const char *list, int index, char out[BN_NVML_TEXT_MAX])
{
    for (int i = 0; i < index; i++) {
        list = strchr(list, ',');
        if (!list) return false;
        list++;
    }
    list += strspn(list, " ");
    (void)snprintf(out, BN_NVML_TEXT_MAX, "%.*s", (int)strcspn(list, ", "), list);
    return *out != '\0';
}

static bn_status find_card(bn_gpu_meter *meter, const bn_gpu_place *place, bn_error *err)
{
    char id[BN_NVML_TEXT_MAX];
    bn_nvml_card card;
    meter->card = bn_nvml_at_bus(meter->nvml, place->bus);
    (void)snprintf(id, sizeof id, "%d", meter->card >= 0 ? meter->card : place->index);
    if (meter->card < 0 && place->visible && !entry_of(place->visible, place->index, id)) {
        return bn_fail(err, BN_EINVAL, "CUDA_VISIBLE_DEVICES '%.40s' names no card %d",
                       place->visible, place->index);
    }
    if (meter->card < 0) meter->card = bn_nvml_find(meter->nvml, id);
    if (meter->card < 0) return bn_fail(err, BN_EINVAL, "the driver knows no card '%.60s'", id);
    if (bn_nvml_card_at(meter->nvml, meter->card, &card, err) != BN_OK) return err->status;
    if (strcmp(card.name, place->name) == 0) return BN_OK;
    return bn_fail(err, BN_EINVAL, "the driver's card %s is a '%.50s', CUDA's a '%.50s'", id,
                   card.name, place->name);
}

bn_status bn_gpu_meter_init(bn_gpu_meter *meter, const bn_gpu_place *place, bn_error *err)
{
    *meter = (bn_gpu_meter){.card = -1, .last_j = NAN};
    if (bn_nvml_open(&meter->nvml, err) != BN_OK) return err->status;
    if (find_card(meter, place, err) != BN_OK) {
        bn_gpu_meter_release(meter);
        return err->status;
    }
    meter->last_j = bn_gpu_meter_read(meter).energy_j;
    return BN_OK;
}

void bn_gpu_meter_release(bn_gpu_meter *meter)
{
    bn_nvml_close(meter->nvml);
    *meter = (bn_gpu_meter){.card = -1, .last_j = NAN};
}

bn_nvml_reading bn_gpu_meter_read(const bn_gpu_meter *meter)
{
    if (meter->nvml) return bn_nvml_read(meter->nvml, meter->card);
    return (bn_nvml_reading){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
}

double bn_gpu_meter_joules(bn_gpu_meter *meter)
{
    if (!meter->nvml) return NAN;
    double now_j = bn_gpu_meter_read(meter).energy_j, last_j = meter->last_j;
    meter->last_j = now_j;
    if (isnan(now_j) || isnan(last_j)) return NAN;
    return now_j < last_j ? now_j : now_j - last_j;
}
