/* record.h - one measurement of one run: the noun that travels from the loop to every screen.
 *
 * The same struct is written by the engine, read back by the runner, kept by the store and
 * handed to reporters. Its seq is its line: record 12 of a run is line 12 of its history at
 * wandb and on the dashboard, so saying it twice changes nothing.
 */
#ifndef BN_ENGINE_BASE_RECORD_H
#define BN_ENGINE_BASE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BN_RECORD_VALUES_MAX = 256, /* values in one record */
    BN_METRIC_NAME_MAX = 96,    /* bytes of a metric's name, its NUL included */
};

/* Makes a metric's name one: characters that it may not have become '_'. What a program reports and
 * what a sweep file, an option or a page asks for meet under the same name. */
static inline void bn_metric_name_clean(char *name)
{
    for (char *c = name; *c; c++) {
        bool fine = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                    (*c >= '0' && *c <= '9') || *c == '_' || *c == '.' || *c == '/' || *c == '-';
        if (!fine) *c = '_';
    }
}

typedef struct bn_value {
    const char *key; /* "train/loss"; borrowed; [A-Za-z0-9_./-]+ */
    double number;   /* NaN and infinities are measurements too */
} bn_value;

typedef struct bn_record {
    int64_t seq;            /* 0, 1, 2 ... within its run, no gaps */
    int64_t step;           /* optimizer steps done when it was taken */
    double wall_s;          /* seconds since the Unix epoch, by the run's clock */
    const bn_value *values; /* borrowed until the call that carries the record returns */
    size_t count;
} bn_record;

#endif
