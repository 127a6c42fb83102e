/* page.h - a stretch of one run's records, put together again from the columns they are kept in. */
#ifndef BN_STORE_PAGE_H
#define BN_STORE_PAGE_H

#include "engine/base/record.h"
#include "store/inside.h"

typedef struct bn_page_point {
    uint32_t record; /* index in records */
    uint32_t key;    /* index in keys */
    double number;
} bn_page_point;

typedef struct bn_page {
    bn_record *records; /* `count` of them, in order of seq */
    size_t count;
    size_t record_room;
    bn_value *values;
    size_t value_room;
    bn_page_point *points; /* scratch: values in the order they are kept */
    size_t point_count, point_room;
    const char **keys; /* the run's metrics; names live as long as the store */
    int64_t *key_ids;
    size_t key_count, key_room, key_id_room;
} bn_page; /* {0} is an empty one */

void bn_page_release(bn_page *page);

/* At most `limit` records from first_seq on, replacing what the page held. Inside the caller's
 * transaction. */
BN_MUST_CHECK bn_status bn_page_fill(bn_page *page, bn_store *store, int64_t run, int64_t first_seq,
                                     size_t limit, bn_error *err);

#endif
