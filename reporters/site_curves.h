/* site_curves.h - one metric of every run of a sweep in one small file, for the views that draw all
 * of them at once: curves-<sweep>-<metric>.js.
 *
 * Each curve is the min-max decimation of pyramid.h with buckets as wide as the sweep's size asks:
 * a file has at most BN_SITE_CURVES_BUCKETS of them, a run at most BN_PYRAMID_TOP and at least
 * BN_SITE_CURVES_LEAST. Which records a curve lacks, the run's own files tell. */
#ifndef BN_REPORTERS_SITE_CURVES_H
#define BN_REPORTERS_SITE_CURVES_H

#include "engine/base/text.h"
#include "reporters/site_table.h"

enum { BN_SITE_CURVES_BUCKETS = 32768, BN_SITE_CURVES_LEAST = 16 };

/* Records of a bucket, a power of two: of a run with `records` in a sweep of `runs`. */
int64_t bn_site_curve_width(int64_t records, size_t runs);

/* One run's curve. series with steps and times; width from above; picks: room for series->count. */
typedef struct bn_site_curve {
    const bn_run *run;
    const bn_series *series;
    int64_t records, width;
    size_t *picks;
} bn_site_curve;

/* Adds its object. out->failed says that there was no memory. */
void bn_site_curve_text(const bn_site_curve *curve, bn_text *out);

/* What stands before the curves, which commas part, and after them. */
void bn_site_curves_begin(int64_t sweep, const bn_site_metric *metric, bn_text *out);
void bn_site_curves_end(bn_text *out);

/* The whole script, read from the store. BN_ENOENT: no such sweep or metric; BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_site_curves_text(bn_store *store, int64_t sweep, int64_t metric,
                                            bn_text *out, bn_error *err);

#endif
