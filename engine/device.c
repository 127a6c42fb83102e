#include "engine/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cpu/cpu_backend.h"
#include "engine/device_cuda.h"
#include "engine/reference/reference_backend.h"

enum { CARDS_MAX = 1024 };

/* The card that "cuda" or "cuda:N" names; -1: neither. */
static int card_of(const char *name)
{
    if (strcmp(name, "cuda") == 0) return 0;
    if (strncmp(name, "cuda:", 5) != 0 || name[5] < '0' || name[5] > '9') return -1;
    char *end = NULL;
    long card = strtol(name + 5, &end, 10);
    return *end || card >= CARDS_MAX ? -1 : (int)card;
}

bool bn_device_is_card(const char *name)
{
    return card_of(name) >= 0;
}

/* What keeps "auto" from a card is worth a word only where a part of CUDA is there. */
static bn_status open_best(bn_backend *out, int threads, char note[BN_DEVICE_NOTE_MAX],
                           bn_error *err)
{
    bn_error why = {0};
    if (bn_device_cuda_try(out, &why) == BN_OK) return BN_OK;
    if (bn_device_cuda_is_here()) (void)snprintf(note, BN_DEVICE_NOTE_MAX, "%s", why.text);
    return bn_cpu_open(out, threads, err);
}

bn_status bn_device_choose(bn_backend *out, const char *name, int threads,
                           char note[BN_DEVICE_NOTE_MAX], bn_error *err)
{
    *out = (bn_backend){0};
    note[0] = '\0';
    int card = card_of(name);
    if (strcmp(name, "auto") == 0) return open_best(out, threads, note, err);
    if (strcmp(name, "cpu") == 0) return bn_cpu_open(out, threads, err);
    if (strcmp(name, "reference") == 0) return bn_reference_open(out, err);
    if (card < 0) {
        return bn_fail(err, BN_EINVAL,
                       "'train.device' must be auto, cpu, cuda, cuda:N or reference, is '%s'",
                       name);
    }
    if (bn_device_cuda_open(out, card, err) == BN_OK) return BN_OK;
    return bn_fail_in(err, "'train.device' %s cannot be used", name);
}

bn_status bn_device_open(bn_backend *out, const char *name, int threads, bn_error *err)
{
    char note[BN_DEVICE_NOTE_MAX];
    return bn_device_choose(out, name, threads, note, err);
}

/* The processor's name as the system tells it, or "". */
static void processor_name(char *out, size_t size)
{
    char line[256];
    out[0] = '\0';
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (!file) return;
    while (!out[0] && fgets(line, sizeof line, file)) {
        const char *colon = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (colon) (void)snprintf(out, size, "%s", colon + 2);
    }
    out[strcspn(out, "\n")] = '\0';
    (void)fclose(file);
}

static void describe_card(bn_backend be, char out[BN_DEVICE_TEXT_MAX])
{
    bn_error ignored = {0}; /* it was loaded when be was opened */
    const bn_cuda_plugin *plugin = NULL;
    if (bn_device_cuda_load(&plugin, &ignored) != BN_OK) return;
    bn_cuda_card card = plugin->card(be);
    (void)snprintf(out, BN_DEVICE_TEXT_MAX, "cuda: %s, %.0f GB, sm_%d%d", card.name,
                   (double)card.memory_bytes / 1e9, card.major, card.minor);
}

const char *bn_device_describe(bn_backend be, char out[BN_DEVICE_TEXT_MAX])
{
    (void)snprintf(out, BN_DEVICE_TEXT_MAX, "%s", be.ops->name);
    if (strcmp(be.ops->name, "cuda") == 0) describe_card(be, out);
    if (strcmp(be.ops->name, "cpu") != 0) return out;
    char processor[64];
    processor_name(processor, sizeof processor);
    int threads = bn_cpu_threads(be);
    (void)snprintf(out, BN_DEVICE_TEXT_MAX, "cpu: %s%s%d thread%s, %s", processor,
                   processor[0] ? ", " : "", threads, threads == 1 ? "" : "s", bn_cpu_isa_name(be));
    return out;
}
