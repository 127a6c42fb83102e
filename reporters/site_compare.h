/* site_compare.h - the comparison of a sweep's variants, as the page's JSON. */
#ifndef BN_REPORTERS_SITE_COMPARE_H
#define BN_REPORTERS_SITE_COMPARE_H

#include "engine/base/text.h"
#include "reporters/site_table.h"

/* Adds the sweep's comparison as a JSON array of cells. A cell is what stays the same when only
 * the variant, the learning rate and the seed change (one model size, say). In it every variant
 * stands with its own best learning rate, the rate whose finished runs have the best mean.
 * BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_site_compare(const bn_site_table *table, size_t sweep, bn_json *out,
                                        bn_error *err);

#endif
