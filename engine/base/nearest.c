#include "engine/base/nearest.h"

#include <string.h>

enum { NAME_MAX_BYTES = 64 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Optimal string alignment distance. */
static int edits(const char *a, const char *b)
{
    int rows[3][NAME_MAX_BYTES + 1];
    int na = (int)strlen(a), nb = (int)strlen(b);
    if (na > NAME_MAX_BYTES || nb > NAME_MAX_BYTES) return NAME_MAX_BYTES;
    for (int j = 0; j <= nb; j++) rows[0][j] = j;
    for (int i = 1; i <= na; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(replaced, 1 + least(above[j], row[j - 1]));
            int swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) row[j] = least(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[na % 3][nb];
}

const char *bn_nearest(const char *name, const char *const *candidates, size_t count,
                       size_t stride_bytes)
{
    const char *best = NULL;
    int best_edits = (int)strlen(name) / 2 + 1;
    const char *place = (const char *)candidates;
    for (size_t i = 0; i < count; i++) {
        const char *candidate = NULL;
        memcpy(&candidate, place + i * stride_bytes, sizeof candidate);
        int distance = edits(name, candidate);
        /* "lr" for "optim.lr": the last part of a dotted name counts as the name. */
        const char *dot = strrchr(candidate, '.');
        if (dot) distance = least(distance, edits(name, dot + 1) + 1);
        if (distance < best_edits) {
            best_edits = distance;
            best = candidate;
        }
    }
    return best;
}
