/* listing.h - runs as a table to filter, sort and print: a column is a field of the run, a knob or
 * a metric, named as everywhere else. Only the columns that are asked for are read. */
#ifndef BN_RUNNER_CLI_LISTING_H
#define BN_RUNNER_CLI_LISTING_H

#include "runner/cli/words.h"
#include "store/run.h"

typedef enum bn_listing_kind {
    BN_LISTING_NONE,
    BN_LISTING_NUMBER,
    BN_LISTING_WORDS
} bn_listing_kind;

typedef struct bn_listing_cell {
    bn_listing_kind kind;
    double number;
    const char *words; /* lives as long as the listing */
} bn_listing_cell;

typedef struct bn_listing bn_listing;

/* The runs of a sweep (0: of all), none left out, by number. now_s: for how long a running one has
 * run. The store is borrowed. */
BN_MUST_CHECK bn_status bn_listing_open(bn_listing **out, bn_store *store, int64_t sweep,
                                        double now_s, bn_error *err);
void bn_listing_close(bn_listing *listing); /* NULL is fine */

size_t bn_listing_count(const bn_listing *listing);
const bn_run *bn_listing_run(const bn_listing *listing, size_t row);
double bn_listing_duration_s(const bn_listing *listing, size_t row);

/* The number of a column: "state", "optim.lr", "val/loss", "val/loss:min" (or max, last, step);
 * read at its first use. BN_EINVAL names the nearest. */
BN_MUST_CHECK bn_status bn_listing_column(bn_listing *listing, const char *name, size_t *column,
                                          bn_error *err);
bn_listing_cell bn_listing_cell_at(const bn_listing *listing, size_t column, size_t row);

/* As people read it: times, durations and numbers each in their way. */
const char *bn_listing_words(const bn_listing *listing, size_t column, size_t row,
                             char out[BN_WORDS_MAX]);
bool bn_listing_numeric(const bn_listing *listing, size_t column);

/* Keeps the rows for which keep says true. */
typedef bool bn_listing_keep(void *self, const bn_listing *listing, size_t row);
void bn_listing_filter(bn_listing *listing, bn_listing_keep *keep, void *self);

/* By a column, a leading '-' for descending; what has no value comes last. Stable. */
BN_MUST_CHECK bn_status bn_listing_sort(bn_listing *listing, const char *key, bn_error *err);
void bn_listing_limit(bn_listing *listing, size_t count);

#endif
