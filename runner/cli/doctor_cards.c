#include "runner/cli/doctor_cards.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/device_cuda.h"
#include "engine/nvml.h"

static void judge_age(bn_doctor_card *card)
{
    int capability = 10 * card->major + card->minor;
    card->usable = capability >= BN_CUDA_CAPABILITY;
    if (card->usable || capability == 0) return;
    (void)snprintf(card->why, sizeof card->why, "compute capability %d.%d, bnexp needs %d.%d",
                   card->major, card->minor, BN_CUDA_CAPABILITY / 10, BN_CUDA_CAPABILITY % 10);
}

static void ask_driver(bn_doctor_cards *out, bn_error *err)
{
    bn_nvml *nvml = NULL;
    if (bn_nvml_open(&nvml, err) != BN_OK) return;
    (void)snprintf(out->driver, sizeof out->driver, "%s", bn_nvml_driver(nvml));
    out->cuda = bn_nvml_cuda(nvml);
    for (int i = 0; i < bn_nvml_count(nvml) && i < BN_DOCTOR_CARDS_MAX; i++) {
        bn_nvml_card told;
        bn_error why = {0};
        bn_doctor_card *card = &out->cards[out->count++];
        bn_status status = bn_nvml_card_at(nvml, i, &told, &why);
        bn_nvml_reading now = bn_nvml_read(nvml, i);
        *card = (bn_doctor_card){.major = told.major,
                                 .minor = told.minor,
                                 .memory_bytes = now.memory_total_bytes,
                                 .free_bytes = now.memory_total_bytes - now.memory_bytes};
        (void)snprintf(card->name, sizeof card->name, "%s", told.name);
        (void)snprintf(card->uuid, sizeof card->uuid, "%s", told.uuid);
        if (status != BN_OK) (void)snprintf(card->why, sizeof card->why, "%s", why.text);
        if (status == BN_OK) judge_age(card);
    }
    bn_nvml_close(nvml);
}

/* What the backend itself may use, which CUDA_VISIBLE_DEVICES can make less; false: nothing. */
static bool ask_plugin(bn_doctor_cards *out, const bn_cuda_plugin *plugin, bn_error *err)
{
    int count = 0;
    bool any = false;
    if (plugin->count(&count, err) != BN_OK) return false;
    out->count = 0;
    for (int i = 0; i < count && i < BN_DOCTOR_CARDS_MAX; i++) {
        bn_cuda_card told = {.major = 0};
        bn_error why = {0};
        bn_doctor_card *card = &out->cards[out->count++];
        bn_status status = plugin->look(i, &told, &why);
        *card = (bn_doctor_card){.major = told.major,
                                 .minor = told.minor,
                                 .memory_bytes = (double)told.memory_bytes,
                                 .free_bytes = (double)told.free_bytes};
        (void)snprintf(card->name, sizeof card->name, "%s", told.name);
        if (status != BN_OK) (void)snprintf(card->why, sizeof card->why, "%s", why.text);
        if (status == BN_OK) judge_age(card);
        any = any || card->usable;
    }
    if (count == 0) (void)bn_fail(err, BN_EINVAL, "there is no card that this process may use");
    if (count > 0 && !any) (void)bn_fail(err, BN_EINVAL, "card 0: %s", out->cards[0].why);
    return any;
}

void bn_doctor_cards_find(bn_doctor_cards *out)
{
    bn_error driver = {0}, backend = {0};
    const bn_cuda_plugin *plugin = NULL;
    *out = (bn_doctor_cards){.count = 0};
    ask_driver(out, &driver);
    bn_status status = bn_device_cuda_load(&plugin, &backend);
    if (status == BN_OK) out->usable = ask_plugin(out, plugin, &backend);
    bool has_driver = driver.status == BN_OK;
    out->trouble = !out->usable && (has_driver || driver.status != BN_ENOENT);
    if (out->usable) return;
    for (int i = 0; i < out->count; i++) out->cards[i].usable = false;
    /* Without a driver it does not matter what else is missing. */
    const char *why = !has_driver && status == BN_OK ? driver.text : backend.text;
    (void)snprintf(out->why, sizeof out->why, "%s", why);
}

static void say_cuda_version(const bn_doctor_cards *found, bn_text *out)
{
    if (!*found->driver) return;
    bn_text_addf(out, "; driver %s", found->driver);
    if (found->cuda == 0) return;
    bn_text_addf(out, " (CUDA %d.%d)", found->cuda / 1000, found->cuda % 1000 / 10);
}

void bn_doctor_cards_say(const bn_doctor_cards *found, bn_text *out)
{
    if (!found->usable) {
        bn_text_addf(out, "not usable: %s", found->why);
    } else {
        bn_text_addf(out, "usable: %d card%s", found->count, found->count == 1 ? "" : "s");
    }
    say_cuda_version(found, out);
}

void bn_doctor_card_say(const bn_doctor_card *card, bn_text *out)
{
    bn_text_add(out, *card->name ? card->name : "a card without a name");
    if (card->major > 0) bn_text_addf(out, ", sm_%d%d", card->major, card->minor);
    if (!isnan(card->free_bytes)) {
        bn_text_addf(out, ", %.1f of %.1f GB free", card->free_bytes / 1e9,
                     card->memory_bytes / 1e9);
    }
    if (*card->why) bn_text_addf(out, "; %s", card->why);
}

static void card_json(const bn_doctor_card *card, bn_json *json)
{
    char capability[16] = "";
    if (card->major > 0) {
        (void)snprintf(capability, sizeof capability, "%d.%d", card->major, card->minor);
    }
    bn_json_object(json);
    bn_json_key(json, "name");
    bn_json_string(json, card->name);
    bn_json_key(json, "uuid");
    bn_json_string(json, card->uuid);
    bn_json_key(json, "compute_capability");
    bn_json_string(json, capability);
    bn_json_key(json, "memory_bytes");
    bn_json_real(json, card->memory_bytes);
    bn_json_key(json, "free_bytes");
    bn_json_real(json, card->free_bytes);
    bn_json_key(json, "usable");
    bn_json_bool(json, card->usable);
    bn_json_key(json, "why");
    bn_json_string(json, card->why);
    bn_json_end_object(json);
}

void bn_doctor_cards_json(const bn_doctor_cards *found, bn_json *json)
{
    bn_json_object(json);
    bn_json_key(json, "usable");
    bn_json_bool(json, found->usable);
    bn_json_key(json, "why");
    bn_json_string(json, found->why);
    bn_json_key(json, "driver");
    bn_json_string(json, found->driver);
    bn_json_key(json, "driver_cuda");
    bn_json_int(json, found->cuda);
    bn_json_key(json, "cards");
    bn_json_array(json);
    for (int i = 0; i < found->count; i++) card_json(&found->cards[i], json);
    bn_json_end_array(json);
    bn_json_end_object(json);
}
