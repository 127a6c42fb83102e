/* valley.h - the least of a U: loss against the logarithm of a rate.
 *
 * A parabola by least squares through the runs at the rate whose mean is best and at its two
 * neighbours on each side. The rate of its vertex, -b / 2a, has Fieller's interval (Fieller 1954),
 * the loss there Student's t. Pure. */
#ifndef BN_REPORTERS_STATS_VALLEY_H
#define BN_REPORTERS_STATS_VALLEY_H

#include <stdbool.h>
#include <stddef.h>

typedef struct bn_valley_point {
    double rate, loss;
} bn_valley_point;

typedef struct bn_valley {
    bool fitted; /* false: fewer than three rates, the best is an outermost one, or the parabola
                    falls below the best mean by more than the others lie above it (median) */
    size_t points, rates; /* that the parabola was fitted to */
    double rate, rate_low,
        rate_high; /* 95 %; NaN: with three points, or when the curve is too flat */
    double loss, loss_low, loss_high; /* 95 %; NaN: with three points */
} bn_valley;

/* Points without a positive rate or a finite loss are passed over; the others are sorted by rate.
 */
void bn_valley_fit(bn_valley_point *points, size_t count, bn_valley *out);

#endif
