#include "reporters/pyramid.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

int64_t bn_pyramid_width(int level)
{
    assert(level >= 0 && level < 31);
    return INT64_C(1) << (2 * level);
}

static int64_t buckets(int64_t records, int level)
{
    int64_t width = bn_pyramid_width(level);
    return records / width + (records % width != 0);
}

int bn_pyramid_top(int64_t records)
{
    int level = 0;
    while (buckets(records, level) > BN_PYRAMID_TOP) level++;
    return level;
}

int64_t bn_pyramid_chunks(int64_t records, int level)
{
    if (level == bn_pyramid_top(records)) return 1;
    int64_t count = buckets(records, level);
    return count / BN_PYRAMID_CHUNK + (count % BN_PYRAMID_CHUNK != 0);
}

bn_pyramid_range bn_pyramid_chunk(int64_t records, int level, int64_t chunk)
{
    int64_t span = bn_pyramid_width(level) * BN_PYRAMID_CHUNK;
    int64_t first = chunk * span;
    int64_t end = first + span < records ? first + span : records;
    return (bn_pyramid_range){first < records ? first : records, end};
}

/* The first point whose seq is not below: the series is sorted by seq. */
static size_t lower_bound(const bn_series *series, int64_t seq)
{
    size_t low = 0;
    size_t high = series->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (series->seq[middle] < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Adds the points that one bucket, [from, to) of the series, keeps: at most three, ascending. */
static size_t pick_bucket(const bn_series *series, size_t from, size_t to, size_t *picks)
{
    enum { LEAST, LARGEST, ODD, KINDS };
    size_t kept[KINDS] = {to, to, to};
    const double *number = series->number;
    for (size_t i = from; i < to; i++) {
        if (!isfinite(number[i])) {
            if (kept[ODD] == to) kept[ODD] = i;
            continue;
        }
        if (kept[LEAST] == to || number[i] < number[kept[LEAST]]) kept[LEAST] = i;
        if (kept[LARGEST] == to || number[i] > number[kept[LARGEST]]) kept[LARGEST] = i;
    }
    size_t count = 0;
    size_t after = from;
    for (;;) {
        size_t next = to;
        for (int kind = 0; kind < KINDS; kind++) {
            if (kept[kind] >= after && kept[kind] < next) next = kept[kind];
        }
        if (next == to) return count;
        picks[count++] = next;
        after = next + 1;
    }
}

static size_t pick(const bn_series *series, int64_t width, bn_pyramid_range range, size_t *picks)
{
    size_t from = lower_bound(series, range.first);
    size_t end = lower_bound(series, range.end);
    size_t count = 0;
    while (from < end) {
        int64_t bucket = series->seq[from] / width;
        size_t to = from + 1;
        while (to < end && series->seq[to] / width == bucket) to++;
        count += pick_bucket(series, from, to, picks + count);
        from = to;
    }
    bool ends_here = end > 0 && end == series->count && range.first <= series->seq[end - 1];
    if (ends_here && (count == 0 || picks[count - 1] != end - 1)) picks[count++] = end - 1;
    return count;
}

size_t bn_pyramid_pick(const bn_series *series, int level, bn_pyramid_range range, size_t *picks)
{
    return pick(series, bn_pyramid_width(level), range, picks);
}

size_t bn_pyramid_pick_wide(const bn_series *series, int64_t width, size_t *picks)
{
    return pick(series, width, (bn_pyramid_range){0, INT64_MAX}, picks);
}
