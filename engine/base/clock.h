/* clock.h - the two times there are. Modules that decide take a time as an argument instead. */
#ifndef BN_ENGINE_BASE_CLOCK_H
#define BN_ENGINE_BASE_CLOCK_H

#include <stddef.h>

/* Seconds since the Unix epoch; may jump when the machine's clock is set. */
double bn_clock_wall_s(void);

/* Seconds since some fixed moment; never goes back. For durations and timeouts. */
double bn_clock_mono_s(void);

enum { BN_CLOCK_TEXT_MAX = 32 };

/* Writes wall_s as RFC 3339 in UTC with milliseconds, "2026-11-22T18:17:12.742Z"; "" when wall_s
 * is not a time. Returns out. */
const char *bn_clock_text(char out[BN_CLOCK_TEXT_MAX], double wall_s);

#endif
