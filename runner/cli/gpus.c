#include "runner/cli/gpus.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"

static const char DRIVER[] = "/proc/driver/nvidia/gpus";

static void add(bn_gpus *gpus, const char *id, size_t length)
{
    if (gpus->count == BN_GPUS_MAX || length == 0) return;
    char *kept = gpus->text[gpus->count];
    (void)snprintf(kept, sizeof gpus->text[0], "%.*s", (int)length, id);
    gpus->ids[gpus->count++] = kept;
}

static void add_listed(bn_gpus *gpus, const char *list)
{
    for (const char *c = list; *c; c += *c == ',') {
        size_t length = strcspn(c, ",");
        add(gpus, c, length);
        c += length;
    }
}

/* "GPU UUID: \t GPU-5e1f..." of one device's file. */
static void add_device(bn_gpus *gpus, const char *address)
{
    static const char key[] = "GPU UUID:";
    char path[BN_PATH_MAX], *text = NULL;
    size_t size = 0;
    bn_error ignored = {0};
    (void)snprintf(path, sizeof path, "%s/%.200s/information", DRIVER, address);
    if (bn_file_read(path, 64 * 1024, &text, &size, &ignored) != BN_OK) return;
    const char *id = strstr(text, key);
    if (id) id += strlen(key);
    if (id) id += strspn(id, " \t");
    if (id) add(gpus, id, strcspn(id, " \t\n"));
    free(text);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

void bn_gpus_find(bn_gpus *gpus)
{
    struct dirent **entries = NULL;
    const char *given = getenv("CUDA_VISIBLE_DEVICES"); /* NOLINT(concurrency-mt-unsafe) */
    gpus->count = 0;
    if (given) {
        add_listed(gpus, given);
        return;
    }
    int count = scandir(DRIVER, &entries, NULL, by_name);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') add_device(gpus, entries[i]->d_name);
        free(entries[i]);
    }
    free((void *)entries);
}
