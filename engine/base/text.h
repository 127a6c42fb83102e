/* text.h - text that grows, and JSON on top of it: the one place that prints JSON.
 *
 * A bn_text either grows on the heap or fills a buffer of the caller's. When there is no room it
 * keeps what it has, remembers, and tells at the end (`failed`): no error branches in between.
 */
#ifndef BN_ENGINE_BASE_TEXT_H
#define BN_ENGINE_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

typedef struct bn_text {
    char *data; /* always NUL-terminated once initialised */
    size_t length, size;
    bool fixed;  /* data is the caller's */
    bool failed; /* something did not fit; data holds a prefix */
} bn_text;

/* {0} is a valid empty growing text. */
void bn_text_fixed(bn_text *text, char *buffer, size_t size); /* size >= 1 */
void bn_text_release(bn_text *text);                          /* {0} is fine */
void bn_text_clear(bn_text *text);                            /* keeps the memory */

void bn_text_add(bn_text *text, const char *words);
void bn_text_add_bytes(bn_text *text, const char *bytes, size_t count);
void bn_text_addf(bn_text *text, const char *format, ...) BN_PRINTF(2, 3);

/* How a double that JSON cannot say is said. */
typedef enum bn_nonfinite {
    BN_NONFINITE_QUOTED, /* "NaN" "Infinity" "-Infinity": events.jsonl and our data files */
    BN_NONFINITE_BARE,   /* NaN Infinity -Infinity: wandb's extended JSON */
    BN_NONFINITE_NULL,   /* null: --json output */
} bn_nonfinite;

/* A double in the fewest digits that read back as the same double. */
void bn_text_number(bn_text *text, double number, bn_nonfinite style);

/* "..." with JSON's escapes. Bytes that are not UTF-8 become U+FFFD, so the output always parses.
 */
void bn_text_quoted(bn_text *text, const char *words);

/* Writes one JSON value after another with the commas where they belong; at most 60 levels. */
typedef struct bn_json {
    bn_text *text;
    bn_nonfinite nonfinite;
    int depth;
    uint64_t started; /* bit d: level d has an element already */
    bool after_key;
} bn_json;

void bn_json_object(bn_json *json); /* { */
void bn_json_array(bn_json *json);  /* [ */
void bn_json_end_object(bn_json *json);
void bn_json_end_array(bn_json *json);
void bn_json_key(bn_json *json, const char *key);
void bn_json_string(bn_json *json, const char *words); /* NULL prints null */
void bn_json_int(bn_json *json, int64_t number);
void bn_json_real(bn_json *json, double number);
void bn_json_bool(bn_json *json, bool value);
void bn_json_raw(bn_json *json, const char *value); /* a value that is JSON already */

#endif
