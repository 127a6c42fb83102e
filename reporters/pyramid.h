/* pyramid.h - a long series in few points, without lying about it.
 *
 * Level L joins 4^L neighbouring records into a bucket and keeps the least and the largest number
 * of each (min-max decimation): every peak survives on every level, level 0 is the series itself,
 * and nothing is ever sampled. A bucket is a range of seq, so all metrics of a run share them.
 */
#ifndef BN_REPORTERS_PYRAMID_H
#define BN_REPORTERS_PYRAMID_H

#include <stddef.h>
#include <stdint.h>

#include "store/history.h"

enum {
    BN_PYRAMID_TOP = 256,    /* buckets at most on the coarsest level */
    BN_PYRAMID_CHUNK = 4096, /* buckets of one chunk of a finer level */
};

/* Records of one bucket of a level: 4^level. */
int64_t bn_pyramid_width(int level);

/* The coarsest level of a run of so many records: the first with at most BN_PYRAMID_TOP buckets. */
int bn_pyramid_top(int64_t records);

/* Chunks of a level: its buckets in pieces of BN_PYRAMID_CHUNK. The top level is one chunk. */
int64_t bn_pyramid_chunks(int64_t records, int level);

/* A range of seq: first <= seq < end. */
typedef struct bn_pyramid_range {
    int64_t first, end;
} bn_pyramid_range;

bn_pyramid_range bn_pyramid_chunk(int64_t records, int level, int64_t chunk);

/* Positions in the series of the points that the level keeps within the range, ascending: of each
 * bucket the first least, the first largest, the first that is not finite (a gap must stay
 * visible); and the very last point of the series. picks has room for series->count. */
size_t bn_pyramid_pick(const bn_series *series, int level, bn_pyramid_range range, size_t *picks);

/* The same for buckets of any number of records, over the whole series. */
size_t bn_pyramid_pick_wide(const bn_series *series, int64_t width, size_t *picks);

#endif
