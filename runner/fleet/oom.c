#include "runner/fleet/oom.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"

enum { TEXT_MAX = 64 * 1024 };

static char *read_text(const char *path)
{
    char *text = NULL;
    size_t size = 0;
    bn_error ignored = {0};
    return bn_file_read(path, TEXT_MAX, &text, &size, &ignored) == BN_OK ? text : NULL;
}

/* The number after a word that begins a line of the file, or -1. */
static int64_t counter(const char *path, const char *word)
{
    char *text = read_text(path);
    int64_t number = -1;
    size_t length = strlen(word);
    for (char *line = text; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, word, length) != 0 || line[length] != ' ') continue;
        number = strtoll(line + length, NULL, 10);
        break;
    }
    free(text);
    return number;
}

/* The rest of the line of /proc/self/cgroup that holds `controller`, e.g. "0::" or ":memory:". */
static bool group_of(const char *root, const char *controller, char out[BN_PATH_MAX])
{
    char path[BN_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    char *text = read_text(path);
    const char *place = text ? strstr(text, controller) : NULL;
    if (place) {
        place += strlen(controller);
        (void)snprintf(out, BN_PATH_MAX, "%.*s", (int)strcspn(place, "\n"), place);
    }
    free(text);
    return place != NULL;
}

int64_t bn_oom_kills_in(const char *root)
{
    char group[BN_PATH_MAX], path[2 * BN_PATH_MAX + 64];
    int64_t kills = -1;
    if (group_of(root, "0::", group)) {
        (void)snprintf(path, sizeof path, "%s/sys/fs/cgroup%s/memory.events", root, group);
        kills = counter(path, "oom_kill");
    }
    if (kills < 0 && group_of(root, ":memory:", group)) {
        (void)snprintf(path, sizeof path, "%s/sys/fs/cgroup/memory%s/memory.oom_control", root,
                       group);
        kills = counter(path, "oom_kill");
    }
    (void)snprintf(path, sizeof path, "%s/proc/vmstat", root);
    return kills >= 0 ? kills : counter(path, "oom_kill");
}

int64_t bn_oom_kills(void)
{
    return bn_oom_kills_in("");
}
