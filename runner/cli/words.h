/* words.h - quantities as people read them. Each writes into out and returns it; "-" for what is
 * not known (NaN). */
#ifndef BN_RUNNER_CLI_WORDS_H
#define BN_RUNNER_CLI_WORDS_H

#include <stddef.h>

enum { BN_WORDS_MAX = 40 };

const char *bn_words_duration(char out[BN_WORDS_MAX],
                              double seconds);                      /* "850 ms" "2m 03s" "3h 05m" */
const char *bn_words_bytes(char out[BN_WORDS_MAX], double bytes);   /* "1.23 MiB" */
const char *bn_words_count(char out[BN_WORDS_MAX], double count);   /* "12.3k" "1.07M" */
const char *bn_words_number(char out[BN_WORDS_MAX], double number); /* 6 digits; NaN is "NaN" */
const char *bn_words_time(char out[BN_WORDS_MAX], double wall_s);   /* "2026-11-22 18:17:10", UTC */

#endif
