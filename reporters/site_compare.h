/* site_compare.h - the comparison of a sweep's variants (comparison.h), as the page's JSON. */
#ifndef BN_REPORTERS_SITE_COMPARE_H
#define BN_REPORTERS_SITE_COMPARE_H

#include "engine/base/text.h"
#include "reporters/site_table.h"

/* Adds the sweep's comparison as one JSON object: cells by shape, each with its sides at their own
 * best settings and the paired differences within the shape; and the pairs over all shapes. A sweep
 * without variants or without a metric has none. BN_ENOMEM, and what reading the store can fail of.
 */
BN_MUST_CHECK bn_status bn_site_compare(bn_store *store, const bn_site_table *table, size_t sweep,
                                        bn_json *out, bn_error *err);

#endif
